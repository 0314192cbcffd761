"""Gray-scale morphology, cells and labelling on whole pages: the tools that :mod:`converters.binarise` is made of.

Windows and cells are in pixels or in cells of the array at hand, rows first. OpenCV does what it does several times as
fast as numpy (measured: morphology four times), on one thread: the parent of the confined children must have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Mask = NDArray[np.bool_]
    Bytes = NDArray[np.uint8]

cv2.setNumThreads(1)

#: What OpenCV does faster with whole rows.
_OF_ROWS: dict[Any, Any] = {np.maximum: cv2.max, np.minimum: cv2.min}
#: The integer whose bytes are all 1, by how many of them it has: a value times it is the value so often.
_REPEATED = {
    2: (np.uint16, np.uint16(0x0101)),
    4: (np.uint32, np.uint32(0x01010101)),
    8: (np.uint64, np.uint64(0x0101010101010101)),
}


def dilated(values: Array, rows: int, columns: int) -> Array:
    """Return the greatest value in the window of ``rows`` x ``columns`` (odd) around each place."""
    return _like(values, cv2.dilate(_plain(values), _window(rows, columns)))


def eroded(values: Array, rows: int, columns: int) -> Array:
    """Return the least value in the window around each place."""
    return _like(values, cv2.erode(_plain(values), _window(rows, columns)))


def closed(values: Array, rows: int, columns: int) -> Array:
    """Return the background of dark strokes: what is narrower than the window and dark is gone."""
    return _like(values, cv2.morphologyEx(_plain(values), cv2.MORPH_CLOSE, _window(rows, columns)))


def opened(values: Array, rows: int, columns: int) -> Array:
    """Return the background of light strokes: what is narrower than the window and light is gone."""
    return _like(values, cv2.morphologyEx(_plain(values), cv2.MORPH_OPEN, _window(rows, columns)))


def _window(rows: int, columns: int) -> Bytes:
    return np.ones((rows, columns), np.uint8)


def _plain(values: Array) -> Array:
    """Return booleans as bytes, which OpenCV knows, and anything else as it is."""
    return values.view(np.uint8) if values.dtype == np.bool_ else values


def _like(values: Array, made: Array) -> Array:
    return made.view(np.bool_) if values.dtype == np.bool_ else made


def inner(mask: Mask) -> Mask:
    """Return the places whose four neighbours are all set too."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    return cv2.erode(mask.view(np.uint8), cross).view(np.bool_)


def pooled(values: Array, rows: int, columns: int, extreme: np.ufunc) -> Array:
    """Return the extreme of each cell of ``rows`` x ``columns`` values; the cells must tile the array.

    Halving by slices is several times as fast as a reduction over reshaped axes.
    """
    fast = _OF_ROWS.get(extreme, extreme) if values.dtype == np.uint8 else extreme
    while rows % 2 == 0:
        values, rows = fast(values[0::2], values[1::2]), rows // 2
    while columns % 2 == 0:
        values, columns = extreme(values[:, 0::2], values[:, 1::2]), columns // 2
    if rows > 1:
        values = extreme.reduce(values.reshape(-1, rows, values.shape[1]), axis=1)
    if columns > 1:
        values = extreme.reduce(values.reshape(values.shape[0], -1, columns), axis=2)
    return np.ascontiguousarray(values)


def means(gray: Bytes, rows: int, columns: int) -> Bytes:
    """Return the mean of each cell of ``rows`` x ``columns`` pixels; the cells must tile the page."""
    size = (gray.shape[1] // columns, gray.shape[0] // rows)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def share(mask: Mask, rows: int, columns: int) -> NDArray[np.float32]:
    """Return which share of each cell of ``rows`` x ``columns`` is set; cells tile the mask.

    ``columns`` is a multiple of 4: four truths are an integer, and its bits are counted faster than truths are added.
    """
    counts = np.bitwise_count(np.ascontiguousarray(mask).view(np.uint32))
    counts = counts.reshape(-1, rows, counts.shape[1]).sum(axis=1, dtype=np.uint16)
    counts = pooled(counts, 1, columns // 4, np.add)
    return np.asarray(counts / np.float32(rows * columns), np.float32)


def mean_around(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of 3 x 3 cells around each."""
    return np.asarray(cv2.blur(cells, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)


def spread(cells: Array, rows: int, columns: int) -> Array:
    """Return the array in which each cell (a byte or a truth) has become ``rows`` x ``columns`` equal values.

    Two, four and eight columns are one multiplication of a wider integer.
    """
    if columns in _REPEATED:
        kind, ones = _REPEATED[columns]
        wide = (_plain(cells).astype(kind) * ones).view(np.uint8)
    else:
        wide = np.repeat(_plain(cells), columns, 1)
    tall = np.empty((wide.shape[0], rows, wide.shape[1]), np.uint8)
    tall[:] = wide[:, None, :]
    return _like(cells, tall.reshape(-1, wide.shape[1]))


def labelled(mask: Mask, levels: Bytes | None = None, tolerance: int = 0) -> tuple[NDArray[np.int32], int]:
    """Label the connected parts of a mask: 0 outside, 1 to the returned count inside.

    Neighbours side by side or one above the other belong together, with ``levels`` only if theirs differ by less than
    ``tolerance``: between each two places stands a link, which is a place of the picture that is labelled.
    """
    if levels is None:
        count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        return np.asarray(labels, np.int32), count - 1
    linked = np.zeros((2 * mask.shape[0] - 1, 2 * mask.shape[1] - 1), np.bool_)
    linked[::2, ::2] = mask
    linked[::2, 1::2] = mask[:, 1:] & mask[:, :-1] & (cv2.absdiff(levels[:, 1:], levels[:, :-1]) < tolerance)
    linked[1::2, ::2] = mask[1:] & mask[:-1] & (cv2.absdiff(levels[1:], levels[:-1]) < tolerance)
    count, labels = cv2.connectedComponents(linked.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    return np.ascontiguousarray(labels[::2, ::2]), count - 1
