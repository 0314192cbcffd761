"""The paper's white and the scanner's noise: what a scan or a photograph of a page has and a drawn page has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from converters.morphology import pooled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converters.page import Gray

#: A page with more than this share of pure white was drawn, not scanned.
_DRAWN = 0.25
_PURE = 250
#: And so has one whose gray parts have less grain: measured, 0.2 to 0.6 on drawn pages (the edges of letters), 0.8 to 3
#: on pictures from cameras and scanners, which JPEG gives a grain where they had none.
_GRAIN = 0.75
#: White of a flattened page: a little below pure, so that noise above it is not cut off.
_FLAT_WHITE = 248.0
#: Paper darker than this is not made lighter than it would be: its noise would be ink.
_LEAST_PAPER = 60
#: Darker than this the brightest fifth of a page is no paper but a picture: then nothing is flattened.
_DARKEST_PAPER = 90.0
#: Share of its neighbours' white that a cell of paper in a shadow still has.
_GENTLY = 0.85


#: Columns of the grid on which strokes are looked for; it has two rows as well, but one at 98 lines, which are as far
#: apart as two columns.
FINE = 2
COARSE_BELOW = 150


@dataclass(frozen=True, slots=True)
class Paper:
    """A page with white paper. ``noise``: standard deviation in gray levels, 0 for a drawn page.

    By :func:`fine_rows` x :data:`FINE` pixels: ``lightest`` and ``darkest``, their extremes, and ``sample``, one of
    them, with which shares of areas are counted at a quarter of the cost.
    """

    gray: Gray
    noise: float
    lightest: Gray
    darkest: Gray
    sample: Gray

    @classmethod
    def of(cls, gray: Gray, noise: float, y_dpi: int) -> Paper:
        """Return the paper of a page whose white is even."""
        rows = fine_rows(y_dpi)
        sample = np.ascontiguousarray(gray[::rows, ::FINE])
        return cls(gray, noise, pooled(gray, rows, FINE, np.maximum), pooled(gray, rows, FINE, np.minimum), sample)

    @property
    def drawn(self) -> bool:
        """Whether the page was drawn by a program, so that its grays are meant."""
        return self.noise == 0.0


def is_drawn(gray: Gray) -> bool:
    """Return whether the page was drawn by a program: no scanner gives so much pure white.

    The white around a camera's or a scanner's picture, which was put there, does not count.
    """
    step = 4
    pure = gray[::step, ::step] >= _PURE
    if np.count_nonzero(pure) <= _DRAWN * pure.size:
        return False
    rows, columns = np.flatnonzero(~pure.all(1)), np.flatnonzero(~pure.all(0))
    if not rows.size:
        return True
    inside = pure[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if np.count_nonzero(inside) > _DRAWN * inside.size:
        return True
    return _grain(gray[rows[0] * step : (rows[-1] + 1) * step, columns[0] * step : (columns[-1] + 1) * step]) < _GRAIN


def fine_rows(y_dpi: int) -> int:
    """Return the rows of a place of the fine grid."""
    return 1 if y_dpi < COARSE_BELOW else FINE


def flattened(gray: Gray, cell_rows: int, cell_columns: int, y_dpi: int) -> Paper:
    """Return the page with its paper made evenly white, by cells that tile it. Not for a drawn page."""
    noise = _noise(gray)
    # Pure white is no scanned paper but what was put around it, or paper that needs no help.
    _, scanned = cv2.threshold(gray, _PURE - 1, 0, cv2.THRESH_TOZERO_INV)
    brightest = pooled(scanned, cell_rows, cell_columns, np.maximum).astype(np.float32) - np.float32(2 * noise)
    paper = brightest > 0
    white = float(np.percentile(brightest[paper], 80)) if paper.any() else 0.0
    if white <= _DARKEST_PAPER:
        return Paper.of(gray, noise, y_dpi)
    level = _smoothed(_filled(brightest, paper & (brightest >= 0.8 * white)))
    height, width = gray.shape
    # A level's fraction of a gray is less than any noise, and bytes are scaled several times as fast as fractions.
    small = np.clip(np.rint(level), _LEAST_PAPER, 255).astype(np.uint8)
    everywhere = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return Paper.of(np.asarray(cv2.divide(gray, everywhere, scale=_FLAT_WHITE), np.uint8), noise, y_dpi)


def _noise(gray: Gray) -> float:
    """Return the noise's standard deviation, from small differences of neighbours; never 0 (that means drawn)."""
    return max(0.5, 1.2 * _grain(gray))


def _grain(gray: Gray) -> float:
    """Return the mean of the small differences between neighbours, in gray levels."""
    if gray.shape[0] < 2 or gray.shape[1] < 3:  # noqa: PLR2004  too small to have neighbours
        return 0.0
    difference = cv2.absdiff(np.ascontiguousarray(gray[:-1:2, 2::4]), np.ascontiguousarray(gray[:-1:2, 0:-2:4]))
    small = difference[difference < 24]  # noqa: PLR2004  larger ones are edges
    return float(small.mean()) if small.size else 0.0


def _filled(cells: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the cells with the unknown ones (a banner, a picture) filled from their known neighbours, ring by ring."""
    values, known = np.where(known, cells, 0).astype(np.float32), known.copy()
    while not known.all():
        padded, counted = np.pad(values * known, 1), np.pad(known.astype(np.float32), 1)
        total = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        count = counted[:-2, 1:-1] + counted[2:, 1:-1] + counted[1:-1, :-2] + counted[1:-1, 2:]
        reached = ~known & (count > 0)
        if not reached.any():
            break
        estimate = total[reached] / count[reached]
        # A shadow falls off gently, cell by cell; what is suddenly darker is not paper.
        values[reached] = np.where(cells[reached] > _GENTLY * estimate, np.minimum(cells[reached], estimate), estimate)
        known |= reached
    return values


def _smoothed(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of 5 x 5 cells around each."""
    return np.asarray(cv2.blur(cells, (5, 5), borderType=cv2.BORDER_REPLICATE), np.float32)
