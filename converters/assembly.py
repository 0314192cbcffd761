"""Received pages into a fax document: decoded, cut to a length that paper has, coded again.

The strips come from a confined worker that a caller may have taken over: nothing of them is believed. A row that
cannot be decoded is white and the page is told ``damaged``; what was received is never dropped for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from converters.document import PageReport
from converters.errors import Reason, Refused
from converters.faxtiff import y_class
from converters.tiff import Page, Writer, of_strip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from converters.document import FaxStrip

#: Millimetres of the longest page that is kept: a page of blank rows can be sent without end.
LONGEST = 1200.0
#: Pixels of a line, at most: A3 at 16 dots a millimetre (ITU-T T.4).
WIDEST = 4864


def assemble(pages: Iterable[FaxStrip], output: int, progress: Callable[[], None]) -> list[PageReport]:
    """Write the fax document of the pages to the descriptor ``output`` and report them.

    Raises :class:`Refused`: ``NO_PAGES``, or ``DAMAGED`` if not one row of a page can be decoded.
    """
    writer = Writer(output)
    drafts: list[PageReport] = []
    for number, received in enumerate(pages, 1):
        page, treatment = _page(received, number)
        writer.add(page)
        size = (page.width, page.height, round(page.y_dpi))
        drafts.append(PageReport(number, "", number, *size, bytes=0, treatment=treatment))
        progress()
    if not drafts:
        raise Refused(Reason.NO_PAGES)
    return [replace(draft, bytes=size) for draft, size in zip(drafts, writer.close(), strict=True)]


def _page(received: FaxStrip, number: int) -> tuple[Page, str]:
    y_dpi = y_class(received.y_resolution, received.height) or 196
    x_dpi = received.x_resolution if 60 <= received.x_resolution <= 600 else 204.0  # noqa: PLR2004  T.4's 100 to 400 with room
    if not (0 < received.width <= WIDEST and received.height > 0 and received.strip):
        raise Refused(Reason.DAMAGED, detail=f" (page {number})")
    most = round(LONGEST / 25.4 * y_dpi)
    page = of_strip(received.width, min(received.height, most), x_dpi, y_dpi, received.strip)
    if page.faults and not any(page.rows):
        raise Refused(Reason.DAMAGED, detail=f" (page {number})")
    treatment = "damaged" if page.faults else "cut" if received.height > most else "received"
    return replace(page, x_dpi=x_dpi, y_dpi=y_dpi, faults=0), treatment
