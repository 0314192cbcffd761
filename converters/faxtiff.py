"""TIFFs that are faxes already (RFC 3949 profiles S and F): their pixels pass as they are, coded again in one strip.

Fax-shaped is: 1 bit, a fax width (ITU-T T.4: 1728, 2048, 2432), strips, a fax coding or none, fax resolutions (R8 or
200 dpi and 98, 196, 391 or 100, 200, 400 lines an inch), a length that a call carries. All pages must be, or the file
is a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converters.errors import Reason, Refused
from converters.tiff import FAX_COMPRESSIONS, Page, Reader, Tags, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTHS = frozenset({1728, 2048, 2432})
#: Lines an inch and the T.4 resolution that they are (RFC 3949 section 2.2.1 allows both units' roundings).
_Y_CLASSES = ((98, 98), (100, 98), (196, 196), (200, 196), (391, 391), (400, 391))
_TOLERANCE = 0.02
#: T.4's R8 is 203.2 dots an inch, written as 200, 203 or 204.
_X_DPI = (190.0, 210.0)
#: Rows of a page without a resolution below which it is taken for standard: a fine A4 page has 2292.
_STANDARD_BELOW = 1450
#: Millimetres of the longest page.
_LONGEST = 1000.0


def fax_pages(descriptor: int, room: int, most: int) -> Iterator[Page] | None:
    """Return the pages of a fax-shaped TIFF, or ``None`` if it is another TIFF.

    ``room``: the pages that the fax still has of its ``most``. Raises :class:`Refused`: ``TOO_MANY_PAGES`` and, while
    iterating, ``DAMAGED`` for a page that does not decode in full: what a fax machine received is evidence, and a page
    with missing rows would pass for the whole.
    """
    with opened(descriptor) as reader:
        count = 0
        for tags in reader.directories(room):
            if not _fax_shaped(tags):
                return None
            count += 1
    if count > room:
        raise Refused(Reason.TOO_MANY_PAGES, detail=str(most))
    return _pages(descriptor, count)


def _pages(descriptor: int, count: int) -> Iterator[Page]:
    with opened(descriptor) as reader:
        for number, tags in enumerate(reader.directories(count - 1), 1):
            yield _page(reader, tags, number)


def _page(reader: Reader, tags: Tags, number: int) -> Page:
    page = reader.page(tags.height)
    if page.faults:
        raise Refused(Reason.DAMAGED, detail=f" (page {number})")
    return Page(page.width, page.height, 204, y_class(tags.y_dpi, tags.height) or 196, page.rows)


def _fax_shaped(tags: Tags) -> bool:
    y_dpi = y_class(tags.y_dpi, tags.height)
    return (
        tags.bits == 1
        and tags.samples == 1
        and not tags.tiled
        and tags.width in WIDTHS
        and tags.compression in FAX_COMPRESSIONS
        and tags.photometric in (0, 1)
        and (not tags.x_dpi or _X_DPI[0] <= tags.x_dpi <= _X_DPI[1])
        and y_dpi is not None
        and tags.height <= _LONGEST / 25.4 * y_dpi
    )


def y_class(y_dpi: float, height: int) -> int | None:
    """Return 98, 196 or 391 for lines an inch (0: unknown, judged by the rows), ``None`` if it is no fax resolution."""
    if not y_dpi:
        return 98 if height < _STANDARD_BELOW else 196
    return next((known for value, known in _Y_CLASSES if abs(y_dpi / value - 1) < _TOLERANCE), None)
