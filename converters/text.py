"""Plain text as a PDF, by WeasyPrint: what an old line printer gave, in any script.

Form feeds start pages, tabs stop every 8 columns, no line is cut (long ones wrap), each line takes the direction of
its first strong character (Unicode Standard Annex 9, rules P2 and P3). Nothing of the text is markup, and nothing is
fetched. Meant for a confined child.
"""

from __future__ import annotations

import html
import itertools
import re
import unicodedata
from email.message import Message
from typing import TYPE_CHECKING

from weasyprint import CSS, HTML  # type: ignore[import-untyped]

from converters.charset import decode
from converters.errors import Reason, Refused
from converters.weasy import NothingFetcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.document import Rendering

#: Characters that surely fill a page: text of more than these for each allowed page is refused before it is laid out.
_PAGE_OF_CHARACTERS = 8_000
#: Lines that a page holds at most at this size of type; as above.
_PAGE_OF_LINES = 80
#: Characters of the longest line that is laid out in one piece: ten lines of 86 columns.
_LONG_LINE = 860
_STYLE = """
@page { size: %(width)gmm %(height)gmm; margin: 15mm 14mm }
body { margin: 0; color: #000;
  font: 10pt/1.3 "Liberation Mono", "DejaVu Sans Mono", "Noto Sans Mono CJK SC", "DejaVu Sans", Symbola, monospace }
pre { margin: 0; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 8 }
section + section { break-before: page }
"""
#: Control characters that are not drawn: all but tab and newline. Terminals' colour sequences go with them.
_UNSEEN = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")


def as_pdf(data: bytes, media_type: str, rendering: Rendering) -> bytes:
    """Return the PDF of a text file on the rendering's paper. ``media_type``: as declared; its charset is a claim.

    Raises :class:`Refused`: ``EMPTY`` for text without anything to see, ``TOO_MANY_PAGES`` for what cannot fit.
    """
    text = _read(data, media_type, rendering.max_pages)
    sheets = [sheet.strip("\n") for sheet in text.split("\f")]
    if not any(sheet.strip() for sheet in sheets):
        raise Refused(Reason.EMPTY)
    if len(sheets) > rendering.max_pages:
        raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
    width, height = rendering.paper.size
    body = "".join(f"<section>{''.join(_blocks(sheet))}&#8203;</section>" for sheet in sheets)
    document = HTML(
        string=f"<!doctype html><title>Text</title><body>{body}", url_fetcher=NothingFetcher(), base_url=None
    )
    made = document.write_pdf(stylesheets=[CSS(string=_STYLE % {"width": width, "height": height})])
    return bytes(made)


def as_blocks(data: bytes, media_type: str, most: int) -> str:
    """Return a text as HTML that stands in a page of somebody else's: ``<pre>`` blocks, or nothing for an empty text.

    ``most``: pages that it may have at all; raises :class:`Refused` with ``TOO_MANY_PAGES`` for what cannot fit.
    """
    text = _read(data, media_type, most).replace("\f", "\n").strip("\n")
    return "".join(_blocks(text)) if text.strip() else ""


def _read(data: bytes, media_type: str, most: int) -> str:
    """Return what is to be seen of a text, unless it cannot fit on ``most`` pages."""
    text, _ = decode(data, charset_of(media_type))
    text = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")).rstrip()
    if len(text) > most * _PAGE_OF_CHARACTERS or text.count("\n") > most * _PAGE_OF_LINES:
        raise Refused(Reason.TOO_MANY_PAGES, detail=str(most))
    return text


def _blocks(sheet: str) -> Iterator[str]:
    """Yield one ``<pre>`` for each run of lines of one direction; blank lines belong to the run before them."""
    direction = "ltr"
    directed = []
    for line in sheet.split("\n"):
        direction = direction_of(line) or direction
        directed += [(direction, piece) for piece in _pieces(line.expandtabs(8))]
    for run_direction, lines in itertools.groupby(directed, key=lambda item: item[0]):
        # A newline right after <pre> is dropped by HTML's rules: this one is given up for that.
        yield f'<pre dir="{run_direction}">\n' + html.escape("\n".join(line for _, line in lines)) + "</pre>"


def _pieces(line: str) -> Iterator[str]:
    """Yield a line in pieces that the layout can bear, at blanks where there are any.

    A line without blanks takes time with the square of its length (measured: 100,000 characters, 74 s), and a very
    long one is dropped without a word.
    """
    while len(line) > _LONG_LINE:
        cut = line.rfind(" ", _LONG_LINE // 2, _LONG_LINE) + 1 or _LONG_LINE
        yield line[:cut]
        line = line[cut:]
    yield line


def direction_of(line: str) -> str | None:
    """Return ``ltr`` or ``rtl`` by the first strong character, ``None`` if the line has none.

    >>> direction_of("1. שלום world")
    'rtl'
    """
    for letter in line:
        strength = unicodedata.bidirectional(letter)
        if strength == "L":
            return "ltr"
        if strength in {"R", "AL"}:
            return "rtl"
    return None


def charset_of(media_type: str) -> str:
    """Return the charset parameter of a media type (RFC 2045 section 5.1), or nothing."""
    header = Message()
    header["Content-Type"] = media_type.replace("\r", " ").replace("\n", " ") or "text/plain"
    return str(header.get_param("charset", "") or "")
