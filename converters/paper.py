"""The paper's white and the scanner's noise: what a scan or a photograph of a page has and a drawn page has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from converters.morphology import pooled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converters.page import Gray

#: A page with more than this share of pure white was drawn, not scanned.
_DRAWN = 0.25
_PURE = 250
#: White of a flattened page: a little below pure, so that noise above it is not cut off.
_FLAT_WHITE = 248.0
#: Darker than this the brightest fifth of a page is no paper but a picture: then nothing is flattened.
_DARKEST_PAPER = 90.0
#: Share of its neighbours' white that a cell of paper in a shadow still has.
_GENTLY = 0.85


@dataclass(frozen=True, slots=True)
class Paper:
    """A page with white paper. ``noise``: standard deviation in gray levels, 0 for a drawn page."""

    gray: Gray
    noise: float

    @property
    def drawn(self) -> bool:
        """Whether the page was drawn by a program, so that its grays are meant."""
        return self.noise == 0.0


def is_drawn(gray: Gray) -> bool:
    """Return whether the page was drawn by a program: no scanner gives so much pure white."""
    return bool(np.count_nonzero(gray >= _PURE) > _DRAWN * gray.size)


def flattened(gray: Gray, cell_rows: int, cell_columns: int) -> Paper:
    """Return the page with its paper made evenly white, by cells that tile it. Not for a drawn page."""
    noise = _noise(gray)
    # Pure white is no scanned paper but what was put around it, or paper that needs no help.
    scanned = np.where(gray < _PURE, gray, 0)
    brightest = pooled(scanned, cell_rows, cell_columns, np.maximum).astype(np.float32) - 2 * noise
    paper = brightest > 0
    white = float(np.percentile(brightest[paper], 80)) if paper.any() else 0.0
    if white <= _DARKEST_PAPER:
        return Paper(gray, noise)
    level = _smoothed(_filled(brightest, paper & (brightest >= 0.8 * white)))
    height, width = gray.shape
    everywhere = np.asarray(Image.fromarray(level).resize((width, height), Image.Resampling.BILINEAR))
    scaled = gray * (np.float32(_FLAT_WHITE) / np.maximum(everywhere, 60))
    return Paper(np.minimum(255, scaled).astype(np.uint8), noise)


def _noise(gray: Gray) -> float:
    """Return the noise's standard deviation, from small differences of neighbours; never 0 (that means drawn)."""
    difference = np.abs(gray[:-1:2, 2::4].astype(np.int16) - gray[:-1:2, 0:-2:4])
    small = difference[difference < 24]  # noqa: PLR2004  larger ones are edges
    return max(0.5, 1.2 * float(small.mean())) if small.size else 0.5


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
    padded = np.pad(cells, 2, mode="edge").astype(np.float64)
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    means: NDArray[np.float32] = ((sums[5:, 5:] - sums[:-5, 5:] - sums[5:, :-5] + sums[:-5, :-5]) / 25).astype(
        np.float32
    )
    return means
