"""Flat areas wider than a stroke: banners, tinted boxes, bars of a chart.

Each becomes what its writing needs. Dark writing: the area turns white. Light writing: it turns black. No writing:
dark ones turn black, others are hatched so that they can be told apart, specks turn white. Judged in cells of 1 mm,
painted pixel by pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converters.morphology import dilated, eroded, labelled, mean_around, pooled, share, spread
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
#: Share of an area's inner cells that strokes must cover to be writing.
_WRITING = 0.012
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
    above = gray.astype(np.int16) - spread(level, rows, _COLUMNS)
    # A cell with little of its level is a gap between two areas, and would join them.
    flat &= share(np.abs(above) < _near(paper), rows, _COLUMNS) > _OWN
    labels, count = labelled(flat, level, tolerance)
    dark, light = above < -strokes.contrast, above > strokes.contrast
    black, hatch = _decide(labels, count, level, share(dark, rows, _COLUMNS), share(light, rows, _COLUMNS))
    if hatch.any():
        _paint_hatch(ink, paper, level, hatch & ~pictures, y_dpi)
    if black.any():
        _paint_black(ink, gray, level, black, ~pictures & ((labels == 0) | black))
    return True


def _levels(paper: Paper, strokes: Strokes, rows: int) -> Gray:
    """Return each cell's level: the ground of its dark or of its light strokes, whichever more of its pixels have."""
    near = _near(paper)
    gray = paper.gray.astype(np.int16)
    # A closing follows the noise's peaks and an opening its troughs: both lie two deviations beside the level.
    bias = round(2 * paper.noise)
    under = np.maximum(strokes.under, bias) - bias
    over = np.minimum(strokes.over, 255 - bias) + bias
    at_under = mean_around(share(np.abs(gray - spread(under, rows, _COLUMNS)) < near, rows, _COLUMNS))
    at_over = mean_around(share(np.abs(gray - spread(over, rows, _COLUMNS)) < near, rows, _COLUMNS))
    return np.where((at_over > at_under) & (over < under), over, under).astype(np.uint8)


def _decide(
    labels: NDArray[np.intp], count: int, level: Gray, dark: NDArray[np.float32], light: NDArray[np.float32]
) -> tuple[Mask, Mask]:
    """Return the cells that turn black and those that are hatched; the others turn white."""
    flat_labels = labels.ravel()
    inner = eroded(labels, 3, 3) == dilated(labels, 3, 3)  # an edge's cells have the strokes of both sides
    sizes = np.maximum(1, np.bincount(flat_labels, minlength=count + 1))
    inside = np.bincount(flat_labels, inner.ravel(), minlength=count + 1)
    weight = np.maximum(1, inside)
    written_dark = np.bincount(flat_labels, (dark * inner).ravel(), minlength=count + 1) / weight
    written_light = np.bincount(flat_labels, (light * inner).ravel(), minlength=count + 1) / weight
    mean = np.bincount(flat_labels, level.ravel(), minlength=count + 1) / sizes
    darkly = (written_dark > _WRITING) & ((written_dark >= written_light) | (mean > _NEVER_BLACK[0]))
    lightly = (written_light > _WRITING) & ~darkly & (mean < _NEVER_BLACK[1])
    silent = ~darkly & ~lightly
    black = lightly | (silent & (mean < _BLACK))
    large = silent & ~black & (sizes >= _LEAST_HATCHED) & (inside > 0)
    black |= silent & ~large & (mean < _HALF_TONE)
    black[0] = large[0] = False
    return black[labels], large[labels]


def _paint_hatch(ink: Mask, paper: Paper, level: Gray, hatch: Mask, y_dpi: int) -> None:
    gray = paper.gray
    rows = gray.shape[0] // level.shape[0]
    reach = dilated(hatch, 3, 3)  # the area's edge runs through the cells around it
    tone = spread(dilated(np.where(hatch, level, 0), 3, 3), rows, _COLUMNS)
    here = spread(reach, rows, _COLUMNS) & (np.abs(gray.astype(np.int16) - tone) <= _near(paper) + 2)
    ink[here] = hatched(tone, y_dpi)[here]


def _paint_black(ink: Mask, gray: Gray, level: Gray, black: Mask, allowed: Mask) -> None:
    """Cut half-way between the area's level and the lightest pixels around, so that its light writing stays white."""
    rows = gray.shape[0] // level.shape[0]
    tone = dilated(np.where(black, level, 0), 3, 3)
    lightest = dilated(pooled(gray, rows, _COLUMNS, np.maximum), 3, 3).astype(np.int16)
    cut = tone + np.maximum(24, (lightest - tone) // 2)
    core = spread(black, rows, _COLUMNS)
    rim = spread(dilated(black, 3, 3) & allowed, rows, _COLUMNS)
    below = gray < spread(cut, rows, _COLUMNS)
    ink[core] = below[core]
    ink |= rim & below


def _near(paper: Paper) -> int:
    """Return how far a pixel may be from the level that it is at."""
    return 14 if paper.drawn else round(14 + 3 * paper.noise)
