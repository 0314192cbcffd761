"""Where the photographs are: parts of a page with many grays and no flat ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converters.morphology import inner, labelled, mean_around, means, pooled, share, spread
from converters.paper import FINE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converters.page import Gray
    from converters.paper import Paper

_COLUMNS = 8
#: Grays that are neither ink nor paper; on a drawn page light tints are meant as such.
_MID = (40, 226)
_PAPER_DRAWN, _PAPER_SCANNED = 215, 200
#: Pictures are judged in blocks of 2 x 2 cells, 2 mm: at least so many of them, of which so many are full of mid grays.
_LEAST_BLOCKS, _LEAST_GRAY, _LEAST_SIDE = 40, 25, 5
_GRAY_SHARE = 0.3
#: A picture's grays are spread: at most this share lies within two neighbouring sixteenths of the range.
_MOST_IN_TWO = 0.65
#: And they are not flat: at most this share of a drawn page's gray blocks has one level.
_MOST_FLAT = 0.35
#: A picture that fills this share of its frame is taken whole, with its whites and blacks.
_FILLS_FRAME = 0.55
#: A page is a photograph as a whole if more than this share of its cells lies between these shares of its white.
#: Measured: scans of letters 0.08, a scan full of tints and a picture 0.20, a letter photographed in a shadow 0.23;
#: photographs 0.40 to 0.74.
_MOSTLY_BETWEEN, _BETWEEN = 0.32, (0.3, 0.8)
#: Lighter cells are the white around a picture.
_MARGIN = 250


def whole_picture(gray: Gray, cell_rows: int) -> tuple[slice, slice] | None:
    """Return the frame of a photograph that fills a scanned page; ``None``: it is paper with something on it.

    Told apart by how many cells are between black and the page's white: a page has few, even one in a shadow on a
    table.
    """
    mean = means(gray, cell_rows, _COLUMNS)
    inside = mean < _MARGIN
    if not inside.any():
        return None
    white = float(np.percentile(mean[inside], 80))
    between = (mean > _BETWEEN[0] * white) & (mean < _BETWEEN[1] * white)
    if between[inside].mean() < _MOSTLY_BETWEEN:
        return None
    ys, xs = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return (
        slice(int(ys[0]) * cell_rows, (int(ys[-1]) + 1) * cell_rows),
        slice(int(xs[0]) * _COLUMNS, (int(xs[-1]) + 1) * _COLUMNS),
    )


def find_pictures(paper: Paper, ground: Gray, cell_rows: int) -> NDArray[np.bool_]:
    """Return the cells (``cell_rows`` x 8 pixels) that belong to photographs. ``ground``: each cell's background."""
    sample = paper.sample
    found = np.zeros(ground.shape, np.bool_)
    if np.count_nonzero((ground >= _MID[0]) & (ground < _MID[1])) < _LEAST_GRAY:
        return found
    mid = (sample > _MID[0]) & (sample < _MID[1])
    deep = inner(mid)  # mid grays among mid grays: not the edges of letters
    rows, columns = 2 * cell_rows * sample.shape[0] // paper.gray.shape[0], 2 * _COLUMNS // FINE
    full = mean_around(share(deep, rows, columns)) > _GRAY_SHARE
    if not full.any():
        return found
    candidate = full | (pooled(ground, 2, 2, np.minimum) < (_PAPER_DRAWN if paper.drawn else _PAPER_SCANNED))
    flat = _flat(paper, 2 * cell_rows, 2 * _COLUMNS)
    labels, _ = labelled(candidate)
    sizes, grays = np.bincount(labels.ravel()), np.bincount(labels.ravel(), full.ravel())
    blocks = np.zeros(full.shape, np.bool_)
    for label in np.flatnonzero((sizes >= _LEAST_BLOCKS) & (grays >= _LEAST_GRAY)):
        part = labels == label
        if label == 0:
            continue
        ys, xs = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        frame = (slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1))
        part = part[frame]
        if min(part.shape) < _LEAST_SIDE:
            continue
        places = (
            slice(frame[0].start * rows, frame[0].stop * rows),
            slice(frame[1].start * columns, frame[1].stop * columns),
        )
        inside = deep[places] & spread(part, rows, columns)
        if not _spread_out(sample[places][inside]):
            continue
        if (flat[frame] & full[frame] & part).sum() > _MOST_FLAT * (full[frame] & part).sum():
            continue
        blocks[frame] |= True if part.mean() > _FILLS_FRAME else part
    return np.asarray(spread(blocks, 2, 2))


def _flat(paper: Paper, rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the blocks of one gray; of a scan, those whose means of 4 x 4 pixels differ no more than noise does."""
    if paper.drawn:
        rows, columns = rows * paper.lightest.shape[0] // paper.gray.shape[0], columns // FINE
        lightest, darkest, most = paper.lightest, paper.darkest, 2.0
    else:
        step = max(1, rows // 4)
        lightest = darkest = means(paper.gray, step, 4)
        rows, columns, most = rows // step, columns // 4, 4.0 + 1.2 * paper.noise
    return np.asarray(pooled(lightest, rows, columns, np.maximum) - pooled(darkest, rows, columns, np.minimum) <= most)


def _spread_out(values: Gray) -> bool:
    counts = np.bincount(values >> 4, minlength=16).astype(np.float64)
    return bool((counts[1:] + counts[:-1]).max() <= _MOST_IN_TWO * max(1.0, counts.sum()))
