"""Gray pages into black and white for the line: writing stays readable, and every edge that is coded costs time.

A page of black on white is cut at half. Any other page is looked at in this order: the paper is made white
(:mod:`converters.paper`); strokes, which are narrower than :data:`STROKE` millimetres, are cut half-way between
themselves and their own background, whatever the two grays are; photographs are found and screened; flat areas become
white, black or hatched by what is written on them (:mod:`converters.areas`). Thresholds are in gray levels 0 (black)
to 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from converters.areas import paint_areas
from converters.document import X_DPI, Mode
from converters.morphology import closed, eroded, opened, pooled, spread
from converters.paper import COARSE_BELOW, FINE, Paper, fine_rows, flattened, is_drawn
from converters.pictures import find_pictures, whole_picture
from converters.screen import screened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converters.edges import Rows
    from converters.page import Gray

    Ink = NDArray[np.bool_]

#: Strokes are narrower than this; wider is an area. Millimetres.
STROKE = 2.6
#: Columns of a cell, the unit in which areas are judged: 1 mm. Its rows are as many as make it square.
CELL = 8
#: A drawn page's least contrast of a stroke; of a scan it is several times the noise.
_CONTRAST = 28
_SCAN_CONTRAST = 48
#: Black on white is cut above half, so that strokes narrower than a row keep their ink, and strokes at less than half
#: of the way from their ground to their middle; with 98 lines an inch more so. Measured by reading at many cuts
#: (docs/legibility.md): half loses 2 % of the letters of 8 to 10 points at 98 lines, these lose 0.4 %.
_CUTS = (166, 186)
_STROKE_CUTS = (0.45, 0.35)
#: Cells around which nothing is darker have light strokes, which cutting at half would lose.
_LIGHT = 88
#: Levels that are neither paper nor black.
_PAPER = 232
_BLACK = 16
#: What is as dark as this is ink wherever it stands.
_INK = 32


@dataclass(frozen=True, slots=True)
class Strokes:
    """The page's strokes and their grounds.

    ``dark``: pixels of strokes darker than their ground. By cells: ``under``, the ground of dark strokes, and
    ``over``, that of light strokes. ``contrast``: the least that a stroke has.
    """

    dark: Ink
    under: Gray
    over: Gray
    contrast: int


def binarise(gray: Gray, y_dpi: int, mode: Mode) -> tuple[Rows, str]:
    """Return the ink of a gray page and its treatment: ``text``, ``mixed`` or ``photo``.

    The ink is in packed rows, eight pixels a byte, the first in the highest bit, 1 is black; the last byte of a row of
    other widths is filled with white.
    """
    if mode is Mode.PHOTO:
        return np.packbits(screened(gray, y_dpi), axis=1), "photo"
    cell_rows = max(2, round(CELL * y_dpi / X_DPI / 2) * 2)
    bands = _to_look_at(gray, cell_rows)
    if not bands or is_drawn(gray):
        rows, treatment = _drawn(gray, bands, y_dpi, mode, cell_rows)
        return rows, treatment
    whole = _in_cells(gray, 4 * cell_rows)
    if mode is not Mode.TEXT and (frame := whole_picture(whole, cell_rows)) is not None:
        ink, treatment = np.zeros(whole.shape, np.bool_), "photo"
        ink[frame] = screened(whole[frame], y_dpi, fine=mode is Mode.QUALITY)
        rows = np.packbits(ink, axis=1)
    else:
        ink, treatment = _adapted(flattened(whole, 4 * cell_rows, 4 * CELL, y_dpi), y_dpi, mode, cell_rows)
        rows = np.packbits(ink, axis=1)
    return rows[: len(gray)], treatment


def _drawn(gray: Gray, bands: list[slice], y_dpi: int, mode: Mode, cell_rows: int) -> tuple[Rows, str]:
    """Return the ink of a drawn page, of which only the bands are more than black on white."""
    rows, treatments = np.packbits(gray < _CUTS[y_dpi < COARSE_BELOW], axis=1), set()
    for band in bands:
        part = _in_cells(gray[band], 4 * cell_rows)
        ink, treatment = _adapted(Paper.of(part, 0.0, y_dpi), y_dpi, mode, cell_rows)
        # A band's edge may run through letters, of which half looks like anything.
        first = band.start + (2 * cell_rows if band.start > 0 else 0)
        last = band.stop - 2 * cell_rows if band.stop < len(gray) else len(gray)
        rows[first:last] = np.packbits(ink[first - band.start : last - band.start], axis=1)
        treatments.add(treatment)
    return rows, "mixed" if "mixed" in treatments else "text"


def _in_cells(gray: Gray, rows: int) -> Gray:
    """Return a page, or its end, with white below it, so that cells of so many rows tile it."""
    missing = -len(gray) % rows
    return np.pad(gray, ((0, missing), (0, 0)), constant_values=255) if missing else gray


def _to_look_at(gray: Gray, cell_rows: int) -> list[slice]:
    """Return the bands of rows that hold more than black strokes on white: cells without paper, or of light strokes.

    A band begins and ends where flattening's cells do, with more than a stroke's width to spare.
    """
    full = len(gray) // (4 * cell_rows) * 4 * cell_rows
    parts = [part for part in (gray[:full], _in_cells(gray[full:], 4 * cell_rows)) if len(part)]
    lightest = np.concatenate([pooled(part, cell_rows, CELL, np.maximum) for part in parts])
    darkest = np.concatenate([pooled(part, cell_rows, CELL, np.minimum) for part in parts])
    area = (lightest < _PAPER) & (lightest > _INK)
    light = (darkest < _PAPER) & (eroded(darkest, 3, 3) > _LIGHT)
    wanted = np.pad((area | light).any(1).reshape(-1, 4).any(1), 1)
    wanted[1:-1] |= wanted[:-2] | wanted[2:]
    wanted[[0, -1]] = False
    edges = np.flatnonzero(wanted[1:] != wanted[:-1]) * 4 * cell_rows
    return [slice(first, last) for first, last in edges.reshape(-1, 2).tolist()]


def _adapted(paper: Paper, y_dpi: int, mode: Mode, cell_rows: int) -> tuple[Ink, str]:
    """Return the ink of what is not simply black on white."""
    strokes = _strokes(paper, y_dpi, cell_rows)
    ink = strokes.dark | (paper.gray < _INK)
    pictures = np.zeros(strokes.under.shape, np.bool_)
    if mode is not Mode.TEXT:
        pictures = find_pictures(paper, strokes.under, cell_rows)
    areas = paint_areas(ink, paper, strokes, pictures, y_dpi)
    if pictures.any():
        _paint_pictures(ink, paper, pictures, y_dpi, fine=mode is Mode.QUALITY)
    return ink, "mixed" if areas or pictures.any() else "text"


def _strokes(paper: Paper, y_dpi: int, cell_rows: int) -> Strokes:
    """Find strokes on a grid of half the resolution; pixels are cut at full resolution."""
    contrast = _CONTRAST if paper.drawn else max(_SCAN_CONTRAST, round(9 * paper.noise))
    rows = fine_rows(y_dpi)
    window = (_odd(STROKE / 25.4 * y_dpi / rows), _odd(STROKE / 25.4 * X_DPI / FINE))
    near = (_odd(window[0] / 2), _odd(window[1] / 2))
    under = closed(paper.lightest, *window)
    # One cell in from an area's edge: a cell half tint and half paper would take the tint for a stroke on paper.
    ground = eroded(under, 3, 3)
    depth: Gray = cv2.subtract(ground, eroded(paper.darkest, *near)).astype(np.uint8, copy=False)
    cut = _STROKE_CUTS[y_dpi < COARSE_BELOW]
    level = cv2.subtract(ground, cv2.convertScaleAbs(depth, alpha=cut))
    level[depth <= contrast] = 0
    cell = (cell_rows // rows, CELL // FINE)
    return Strokes(
        dark=paper.gray < spread(level, rows, FINE),
        under=pooled(under, *cell, np.minimum),
        over=pooled(opened(paper.darkest, *window), *cell, np.minimum),
        contrast=contrast,
    )


def _paint_pictures(ink: Ink, paper: Paper, pictures: NDArray[np.bool_], y_dpi: int, *, fine: bool) -> None:
    """Screen the pictures' cells, all with one contrast."""
    cell_rows = paper.gray.shape[0] // pictures.shape[0]
    rows, columns = np.flatnonzero(pictures.any(1)), np.flatnonzero(pictures.any(0))
    part = (
        slice(rows[0] * cell_rows, (rows[-1] + 1) * cell_rows),
        slice(columns[0] * CELL, (columns[-1] + 1) * CELL),
    )
    dots = screened(paper.gray[part], y_dpi, paper.noise, fine=fine)
    here = spread(pictures, cell_rows, CELL)[part]
    ink[part] = np.where(here, dots, ink[part])


def _odd(value: float) -> int:
    return max(3, int(value) // 2 * 2 + 1)
