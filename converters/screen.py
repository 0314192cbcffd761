"""Screens: a photograph as dots of one period, a tint as a hatch. Both are made for ITU-T T.6, which codes edges.

A clustered 45 degree dot has few edges for its gray; error diffusion has the most that can be had and makes one page
cost ten minutes of line (measured at fine: 1160 KB against 384 KB for an 8 pixel dot).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converters.page import Gray

X_DPI = 204
#: Pixels of a dot's period by whether it shall be fine and whether the page has 98 lines, which are too few rows for a
#: smaller one to have grays.
_PERIODS = {(False, False): 8, (False, True): 12, (True, False): 6, (True, True): 8}
_COARSE_BELOW = 150
#: Fax machines print dots fatter than they are sent: shadows are lifted by this exponent.
_GAMMA = 0.75
#: Percentiles of the picture that become black and white, and levels that become so entirely.
_BLACK_AT, _WHITE_AT = 2, 96
_SURELY_BLACK, _SURELY_WHITE = 10, 242
#: Lighter tints get dots, darker ones stripes.
_LIGHT_TINT = 168
_NOISY = 2.0
#: Unsharp masking: radius in pixels, how much of the difference is added, and differences that are grain.
_SHARPEN_RADIUS, _SHARPEN, _GRAIN = 3.0, 0.9, 3


def screened(gray: Gray, y_dpi: int, noise: float = 0.0, *, fine: bool = False) -> NDArray[np.bool_]:
    """Return the ink of a photograph: noise smoothed, edges sharpened, contrast stretched, dots, or ``fine`` dots."""
    values = _sharpened(cv2.GaussianBlur(gray, (0, 0), 0.8 if noise < _NOISY else 1.2))
    black, white = np.percentile(values[::4, ::4], (_BLACK_AT, _WHITE_AT))
    curve = np.clip((np.arange(256) - black) / max(30.0, white - black), 0, 1) ** _GAMMA * 255
    curve[curve > _SURELY_WHITE] = 255
    curve[curve < _SURELY_BLACK] = 0
    toned = cv2.LUT(values, curve.astype(np.uint8))
    period = _PERIODS[fine, y_dpi < _COARSE_BELOW]
    return np.asarray(toned <= _tiled(_dot(max(4, round(period * y_dpi / X_DPI)), period), toned.shape))


def _sharpened(picture: Any) -> Any:
    """Return the picture with its edges raised by what they differ from their surroundings; grain is left alone."""
    around = cv2.GaussianBlur(picture, (0, 0), _SHARPEN_RADIUS)
    sharp = cv2.addWeighted(picture, 1 + _SHARPEN, around, -_SHARPEN, 0)
    return np.where(cv2.absdiff(picture, around) > _GRAIN, sharp, picture).astype(np.uint8, copy=False)


def hatched(levels: Gray, y_dpi: int, place: tuple[int, int] = (0, 0)) -> NDArray[np.bool_]:
    """Return the ink of flat tints: sparse dots for light ones, stripes for darker ones, one pattern for each.

    ``place``: row and column of the page at which ``levels`` begins.
    """
    height, width = levels.shape
    rows, columns = np.ogrid[place[0] : place[0] + height, place[1] : place[1] + width]
    period = max(4, round(8 * y_dpi / X_DPI))
    dots = ((columns % 8) < 2) & ((rows % period) < max(1, period // 4))  # noqa: PLR2004  2 of 8 pixels
    stripes = (columns + rows * 8 // period) % 8 < 3  # noqa: PLR2004  3 of 8 pixels
    return np.asarray(np.where(levels >= _LIGHT_TINT, dots, stripes))


def _dot(rows: int, columns: int) -> NDArray[np.uint8]:
    """Return the thresholds of one cell of a clustered dot at 45 degrees (a cosine spot function, ranked)."""
    v, u = np.mgrid[0:rows, 0:columns].astype(np.float64)
    u, v = u / columns, v / rows
    spot = np.cos(2 * np.pi * (u + v)) + np.cos(2 * np.pi * (u - v))
    spot += 1e-4 * (5 * u + 3 * v)  # ties are broken the same way everywhere
    rank = np.empty(spot.size)
    rank[np.argsort(spot.ravel(), kind="stable")] = np.arange(spot.size)
    return np.asarray(((rank + 0.5) / spot.size * 255).reshape(spot.shape), np.uint8)


def _tiled(cell: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    times = [-(-length // size) for length, size in zip(shape, cell.shape, strict=True)]
    return np.tile(cell, times)[: shape[0], : shape[1]]
