"""Flat areas wider than a stroke: banners, tinted boxes, bars of a chart.

Each becomes what its writing needs. Dark writing: the area turns white. Light writing: it turns black. No writing:
dark ones turn black, others are hatched so that they can be told apart, specks turn white. Judged in cells of 1 mm,
painted pixel by pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from converters.morphology import closed, dilated, eroded, labelled, mean_around, pooled, share, spread
from converters.paper import FINE
from converters.screen import hatched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converters.binarise import Strokes
    from converters.page import Gray
    from converters.paper import Paper

    Mask = NDArray[np.bool_]

_COLUMNS = 8
#: Lighter is paper: on a drawn page, and on a scan, whose white is never quite even.
_PAPER_DRAWN, _PAPER_SCANNED = 232, 205
#: Neighbouring cells whose levels differ by less belong to one area.
_TOLERANCE = 16
#: The extremes of a flat cell differ by no more than this.
_FLAT = 6
#: Share of an area's inner cells that strokes must cover to be writing.
_WRITING = 0.012
#: Or so many of its inner cells have so large a share of strokes.
_WORD, _FULL = 4, 0.12
#: Holes in an area that are narrower than this, in cells, are writing.
_HOLE = 5
#: What is nearer to an area than the strokes of a large letter are wide, in cells across, and most of it.
_LETTER, _MOST = 7, 0.5
#: Share of a cell's pixels that must be at its level.
_OWN = 0.3
#: Areas without writing: darker ones are black; larger ones (in cells, and cells across) are hatched; the rest is
#: white.
_BLACK = 100
_LEAST_HATCHED = 10
_HALF_TONE = 150
#: Lighter than the first, an area with any dark writing stays white (paper between two areas looks like light
#: writing); lighter than the second, nobody writes on it in white.
_NEVER_BLACK = (150, 200)


def paint_areas(ink: Mask, paper: Paper, strokes: Strokes, pictures: Mask, y_dpi: int) -> bool:
    """Paint the areas into ``ink``; return whether there were any. ``pictures``: cells that are none of them."""
    gray = paper.gray
    rows = gray.shape[0] // pictures.shape[0]
    level = _levels(paper, strokes, rows)
    flat = (level < (_PAPER_DRAWN if paper.drawn else _PAPER_SCANNED)) & ~pictures
    if not flat.any():
        return False
    tolerance = _TOLERANCE + round(2 * paper.noise)
    sample, cell = _sample(paper, rows)
    everywhere = spread(level, *cell)
    # A cell with little of its level is a gap between two areas, and would join them.
    flat &= share(cv2.absdiff(sample, everywhere) < _near(paper), *cell) > _OWN
    labels, count = labelled(flat, level, tolerance)
    labels, level = _filled(labels, count, level)
    everywhere = spread(level, *cell)
    # Differences of bytes that would be below 0 are 0.
    dark, light = (cv2.subtract(*two) > strokes.contrast for two in ((everywhere, sample), (sample, everywhere)))
    black, hatch = _decide(labels, count, level, share(dark, *cell), share(light, *cell))
    if hatch.any():
        _paint_hatch(ink, paper, level, hatch & ~pictures, y_dpi)
    if black.any():
        _paint_black(ink, gray, level, black, ~pictures & ((labels == 0) | black))
    return True


def _levels(paper: Paper, strokes: Strokes, rows: int) -> Gray:
    """Return each cell's level: the ground of its dark or of its light strokes, whichever more of its pixels have."""
    near = _near(paper)
    sample, cell = _sample(paper, rows)
    # A closing follows the noise's peaks and an opening its troughs: both lie two deviations beside the level.
    bias = round(2 * paper.noise)
    under = (np.maximum(strokes.under, bias) - bias).astype(np.uint8)
    over = (np.minimum(strokes.over, 255 - bias) + bias).astype(np.uint8)
    at_under = mean_around(share(cv2.absdiff(sample, spread(under, *cell)) < near, *cell))
    at_over = mean_around(share(cv2.absdiff(sample, spread(over, *cell)) < near, *cell))
    level = np.where((at_over > at_under) & (over < under), over, under).astype(np.uint8)
    # What is flat knows its level best: beside letters of an enlarged picture the two lie a shade off, as it rings.
    lightest, darkest = pooled(paper.lightest, *cell, np.maximum), pooled(paper.darkest, *cell, np.minimum)
    flat = cv2.subtract(lightest, darkest) <= _FLAT + round(4 * paper.noise)
    return np.where(flat, cv2.addWeighted(lightest, 0.5, darkest, 0.5, 0), level).astype(np.uint8)


def _filled(labels: NDArray[np.int32], count: int, level: Gray) -> tuple[NDArray[np.int32], Gray]:
    """Return labels and levels with the areas' narrow holes filled: bold letters fill a cell, and are no edge."""
    # OpenCV's morphology knows no larger integers than of 16 bits.
    exact = labels.astype(np.float32)
    whole = closed(exact, _HOLE, _HOLE).astype(np.int32)
    # What lies between two areas is a gap: the greatest label around it is not the least.
    least = closed(np.where(labels > 0, count + 1 - exact, 0).astype(np.float32), _HOLE, _HOLE).astype(np.int32)
    whole[whole + least != count + 1] = 0
    flat_labels = labels.ravel()
    sizes = np.maximum(1, np.bincount(flat_labels, minlength=count + 1))
    mean = (np.bincount(flat_labels, level.ravel(), minlength=count + 1) / sizes).astype(np.uint8)
    whole[labels > 0] = labels[labels > 0]
    return whole, np.where((labels == 0) & (whole > 0), mean[whole], level)


def _sample(paper: Paper, rows: int) -> tuple[Gray, tuple[int, int]]:
    """Return the paper's sample and the rows and columns of a cell in it."""
    return paper.sample, (rows * paper.sample.shape[0] // paper.gray.shape[0], _COLUMNS // FINE)


def _decide(
    labels: NDArray[np.int32], count: int, level: Gray, dark: NDArray[np.float32], light: NDArray[np.float32]
) -> tuple[Mask, Mask]:
    """Return the cells that turn black and those that are hatched; the others turn white."""
    flat_labels = labels.ravel()
    exact = labels.astype(np.float32)
    inner = eroded(exact, 3, 3) == dilated(exact, 3, 3)  # an edge's cells have the strokes of both sides
    sizes = np.maximum(1, np.bincount(flat_labels, minlength=count + 1))
    inside = np.bincount(flat_labels, inner.ravel(), minlength=count + 1)
    weight = np.maximum(1, inside)
    written_dark = np.bincount(flat_labels, (dark * inner).ravel(), minlength=count + 1) / weight
    written_light = np.bincount(flat_labels, (light * inner).ravel(), minlength=count + 1) / weight
    mean = np.bincount(flat_labels, level.ravel(), minlength=count + 1) / sizes
    # A word or two on a long banner are a small share of it, but some of its cells are full of strokes.
    full_dark, full_light = (
        np.bincount(flat_labels, (inner & (strokes > _FULL)).ravel(), minlength=count + 1) for strokes in (dark, light)
    )
    has_dark = (written_dark > _WRITING) | (full_dark >= _WORD)
    has_light = (written_light > _WRITING) | (full_light >= _WORD)
    darkly = has_dark & ((written_dark >= written_light) | (mean > _NEVER_BLACK[0]))
    lightly = has_light & ~darkly & (mean < _NEVER_BLACK[1])
    silent = ~darkly & ~lightly
    black = lightly | (silent & (mean < _BLACK))
    large = silent & ~black & (sizes >= _LEAST_HATCHED) & (inside > 0)
    black |= silent & ~large & (mean < _HALF_TONE)
    joined = large & _beside(lightly, labels, level, sizes)
    black[0] = large[0] = False
    return (black | joined)[labels], (large & ~joined)[labels]


def _beside(
    written: NDArray[np.bool_], labels: NDArray[np.int32], level: Gray, sizes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return the areas that lie close to one that is ``written`` on, at its level: the inside of a letter on it."""
    tone = dilated(np.where(written[labels], level, 0).astype(np.uint8), _LETTER, _LETTER)
    same = (tone > 0) & (cv2.absdiff(tone, level) <= _TOLERANCE)
    return np.bincount(labels.ravel(), same.ravel(), minlength=len(sizes)) / sizes > _MOST


def _paint_hatch(ink: Mask, paper: Paper, level: Gray, hatch: Mask, y_dpi: int) -> None:
    reach = dilated(hatch, 3, 3)  # the area's edge runs through the cells around it
    rows = paper.gray.shape[0] // level.shape[0]
    cells, pixels = _frame(reach, rows)
    tone = spread(dilated(np.where(hatch, level, 0).astype(np.uint8), 3, 3)[cells], rows, _COLUMNS)
    here = spread(reach[cells], rows, _COLUMNS) & (cv2.absdiff(paper.gray[pixels], tone) <= _near(paper) + 2)
    # The pattern is the page's, not the frame's: two areas on one page have it in step.
    part = ink[pixels]
    part[here] = hatched(tone, y_dpi, (pixels[0].start, pixels[1].start))[here]


def _paint_black(ink: Mask, gray: Gray, level: Gray, black: Mask, allowed: Mask) -> None:
    """Cut half-way between the area's level and the lightest pixels around, so that its light writing stays white."""
    rows = gray.shape[0] // level.shape[0]
    cells, pixels = _frame(dilated(black, 3, 3), rows)
    gray, black = gray[pixels], black[cells]
    tone = dilated(np.where(black, level[cells], 0).astype(np.uint8), 3, 3)
    lightest = dilated(pooled(gray, rows, _COLUMNS, np.maximum), 3, 3)
    cut = cv2.add(tone, np.maximum(24, cv2.subtract(lightest, tone) // 2))
    core = spread(black, rows, _COLUMNS)
    rim = spread(dilated(black, 3, 3) & allowed[cells], rows, _COLUMNS)
    below = gray < spread(cut, rows, _COLUMNS)
    part = ink[pixels]
    part[:] = (part & ~core) | (below & (core | rim))


def _frame(cells: Mask, rows: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the smallest frame around the cells that are set, in cells and in pixels."""
    ys, xs = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    top, bottom, left, right = int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1
    pixels = slice(top * rows, bottom * rows), slice(left * _COLUMNS, right * _COLUMNS)
    return (slice(top, bottom), slice(left, right)), pixels


def _near(paper: Paper) -> int:
    """Return how far a pixel may be from the level that it is at."""
    return 14 if paper.drawn else round(14 + 3 * paper.noise)
