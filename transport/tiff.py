"""The little of TIFF (6.0, class F) that a call needs: is this a fax document, where does a received page's strip lie.

Both files are our own: the one to send was decoded and checked by its maker, the received one was written by
libspandsp. So this reads tags and never pixels; but what it reads of a received page came from a far machine, so
every offset is checked.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transport.seam import ReceivedPage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

WIDTH = 1728  # pixels of 215 mm at R8 (T.4 2.1)
MAX_PAGES = 1000

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP, _SAMPLES, _STRIP_BYTES, _X, _Y, _UNIT, _TILE = 273, 277, 279, 282, 283, 296, 322
_T6, _WHITE_IS_ZERO, _LOWEST_BIT_FIRST, _CENTIMETRES = 4, 0, 2, 3
_T4 = 3
_SIZES = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
_RATIONAL = 5
_ENTRY = 12
_MAX_ENTRIES = 100
_CENTIMETRES_PER_INCH = 2.54

#: What libspandsp takes for R8 and for standard, fine, superfine (dots per inch), and how far off it may be.
_X_RESOLUTION = 204.0
_Y_RESOLUTIONS = (98.0, 196.0, 391.0)
_TOLERANCE = 0.05


class NotFax(Exception):
    """The file is not what a fax machine can send; the sentence says why."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """One page's tags; ``missing`` ones have the value that TIFF gives them."""

    tags: dict[int, float]

    def number(self, tag: int, missing: int = 0) -> int:
        return int(self.tags.get(tag, missing))

    def resolution(self, tag: int) -> float:
        """Return dots per inch."""
        per_unit = self.tags.get(tag, 0.0)
        return per_unit * _CENTIMETRES_PER_INCH if self.number(_UNIT, 2) == _CENTIMETRES else per_unit


def check_document(data: bytes | mmap, pages: int) -> None:
    """Raise :class:`NotFax` unless ``data`` is a fax document of ``pages`` pages that libspandsp sends as it is.

    libspandsp itself reports success for some that it never sent, and takes an unknown resolution for standard.
    """
    found = list(_directories(data))
    if len(found) != pages:
        raise NotFax(f"the document has {len(found)} pages, not {pages}")
    for page, directory in enumerate(found, start=1):
        problem = _problem(directory)
        if problem is not None:
            raise NotFax(f"page {page} {problem}")


def received_page(data: bytes | mmap, page: int) -> ReceivedPage:
    """Return page ``page`` (1 is the first) of a file that libspandsp wrote; :class:`NotFax` if it is not whole."""
    directory = next(itertools.islice(_directories(data), page - 1, None), None)
    if directory is None:
        raise NotFax(f"page {page} is not in the received file")
    kind = tuple(directory.number(tag) for tag in (_COMPRESSION, _PHOTOMETRIC, _FILL_ORDER))
    if kind != (_T6, _WHITE_IS_ZERO, _LOWEST_BIT_FIRST):
        raise NotFax(f"page {page} was stored in another form: {kind}")
    start, size = directory.number(_STRIP), directory.number(_STRIP_BYTES)
    if start == 0 or size == 0 or start + size > len(data):  # several strips have no single place
        raise NotFax(f"page {page} is not whole in the received file")
    return ReceivedPage(
        page=page,
        width=directory.number(_WIDTH),
        height=directory.number(_LENGTH),
        x_resolution=directory.resolution(_X),
        y_resolution=directory.resolution(_Y),
        strip=bytes(data[start : start + size]),
    )


def _problem(page: _Directory) -> str | None:
    if page.number(_WIDTH) != WIDTH:
        return f"is {page.number(_WIDTH)} pixels wide; a fax line has {WIDTH}"
    if page.number(_BITS, 1) != 1 or page.number(_SAMPLES, 1) != 1:
        return "is not black and white"
    if page.number(_COMPRESSION) not in (_T4, _T6) or _TILE in page.tags:
        return "is not in a fax coding (T.4 or T.6, no tiles)"
    across, down = page.resolution(_X), page.resolution(_Y)
    if not _near(across, _X_RESOLUTION) or not any(_near(down, known) for known in _Y_RESOLUTIONS):
        return f"has a resolution of {across:.0f} x {down:.0f} dots per inch; a fax has 204 x 98, 196 or 391"
    return None


def _near(value: float, known: float) -> bool:
    return abs(value - known) <= known * _TOLERANCE


def _directories(data: bytes | mmap) -> Iterator[_Directory]:
    """Yield the pages' tags in order; raises :class:`NotFax` on a file that breaks the format."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise NotFax("the document is not a TIFF")
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        for _ in range(MAX_PAGES):
            if at == 0:
                return
            (count,) = struct.unpack_from(order + "H", data, at)
            if count > _MAX_ENTRIES:
                raise NotFax("the document has a page with too many tags")
            yield _Directory(dict(_tags(data, order, at + 2, count)))
            (at,) = struct.unpack_from(order + "I", data, at + 2 + _ENTRY * count)
    except struct.error as fault:
        raise NotFax("the document is cut short") from fault
    raise NotFax(f"the document has more than {MAX_PAGES} pages")


def _tags(data: bytes | mmap, order: str, at: int, count: int) -> Iterator[tuple[int, float]]:
    """Yield the tags that hold a single number (a list's first): all that a fax page needs."""
    for entry in range(at, at + _ENTRY * count, _ENTRY):
        tag, kind, values = struct.unpack_from(order + "HHI", data, entry)
        if kind == _RATIONAL:
            (place,) = struct.unpack_from(order + "I", data, entry + 8)
            above, below = struct.unpack_from(order + "II", data, place)
            yield tag, above / below if below else 0.0
        elif kind in _SIZES and values == 1:
            yield tag, struct.unpack_from(order + _SIZES[kind], data, entry + 8)[0]
