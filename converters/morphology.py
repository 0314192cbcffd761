"""Gray-scale morphology and labelling on whole pages, in numpy: the tools that :mod:`converters.binarise` is made of.

Windows and cells are in pixels or in cells of the array at hand, rows first. Running extremes take log2(n) passes (a
window of 13 is the extreme of two of 8 that overlap), so that a window's size hardly costs time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Mask = NDArray[np.bool_]


def dilated(values: Array, rows: int, columns: int) -> Array:
    """Return the greatest value in the window of ``rows`` x ``columns`` (odd) around each place."""
    return _running(_running(values, rows, 0, np.maximum), columns, 1, np.maximum)


def eroded(values: Array, rows: int, columns: int) -> Array:
    """Return the least value in the window around each place."""
    return _running(_running(values, rows, 0, np.minimum), columns, 1, np.minimum)


def closed(values: Array, rows: int, columns: int) -> Array:
    """Return the background of dark strokes: what is narrower than the window and dark is gone."""
    return eroded(dilated(values, rows, columns), rows, columns)


def opened(values: Array, rows: int, columns: int) -> Array:
    """Return the background of light strokes: what is narrower than the window and light is gone."""
    return dilated(eroded(values, rows, columns), rows, columns)


def _running(values: Array, length: int, axis: int, extreme: np.ufunc) -> Array:
    out, done = values, 1
    while done < length:
        step = min(done, length - done)
        ahead = [slice(None), slice(None)]
        behind = [slice(None), slice(None)]
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        out = extreme(out[tuple(behind)], out[tuple(ahead)])
        done += step
    # The edges repeat, as np.pad(mode="edge") would have it at four times the cost.
    whole = np.empty_like(values)
    along, reached = (whole, out) if axis == 0 else (whole.T, out.T)
    before = (length - 1) // 2
    along[before : before + len(reached)] = reached
    along[:before] = reached[:1]
    along[before + len(reached) :] = reached[-1:]
    return whole


def pooled(values: Array, rows: int, columns: int, extreme: np.ufunc) -> Array:
    """Return the extreme of each cell of ``rows`` x ``columns`` values; the cells must tile the array.

    Halving by slices is several times as fast as a reduction over reshaped axes.
    """
    while rows % 2 == 0:
        values, rows = extreme(values[0::2], values[1::2]), rows // 2
    while columns % 2 == 0:
        values, columns = extreme(values[:, 0::2], values[:, 1::2]), columns // 2
    if rows > 1:
        values = extreme.reduce(values.reshape(-1, rows, values.shape[1]), axis=1)
    if columns > 1:
        values = extreme.reduce(values.reshape(values.shape[0], -1, columns), axis=2)
    return values


def share(mask: Mask, rows: int, columns: int) -> NDArray[np.float32]:
    """Return which share of each cell of ``rows`` x ``columns`` is set; cells tile the mask.

    ``columns`` is a multiple of 8: eight neighbours are a byte, and bits are counted faster than truths are added.
    """
    counts = np.bitwise_count(np.packbits(mask, axis=1))
    counts = counts.reshape(-1, rows, counts.shape[1]).sum(axis=1, dtype=np.uint16)
    counts = counts.reshape(counts.shape[0], -1, columns // 8).sum(axis=2, dtype=np.uint16)
    return np.asarray(counts / np.float32(rows * columns), np.float32)


def mean_around(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of 3 x 3 cells around each."""
    padded = np.pad(cells, 1, mode="edge")
    total = np.zeros_like(cells)
    for y in range(3):
        for x in range(3):
            total += padded[y : y + cells.shape[0], x : x + cells.shape[1]]
    return total / np.float32(9)


def spread(cells: Array, rows: int, columns: int) -> Array:
    """Return the array in which each cell has become ``rows`` x ``columns`` equal values."""
    return np.repeat(np.repeat(cells, columns, 1), rows, 0)


def labelled(mask: Mask, levels: NDArray[np.uint8], tolerance: int) -> tuple[NDArray[np.intp], int]:
    """Label the connected parts of a mask: 0 outside, 1 to the returned count inside.

    Neighbours side by side or one above the other belong together if their levels differ by less than ``tolerance``.
    Union-find over horizontal runs: Python touches runs, not places.
    """
    level = levels.astype(np.int16)
    begins = mask.copy()
    begins[:, 1:] &= ~(mask[:, :-1] & (np.abs(level[:, 1:] - level[:, :-1]) < tolerance))
    run = np.cumsum(begins.ravel()).reshape(mask.shape) * mask
    joined = mask[1:] & mask[:-1] & (np.abs(level[1:] - level[:-1]) < tolerance)
    parent = list(range(int(begins.sum()) + 1))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in np.unique(np.stack([run[1:][joined], run[:-1][joined]], 1), axis=0).tolist():
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    roots = np.array([root(node) for node in range(len(parent))])
    numbers, place = np.unique(roots, return_inverse=True)
    return place[run], len(numbers) - 1
