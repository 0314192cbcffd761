"""A web page as a PDF, by WeasyPrint, on the rendering's paper. Nothing is fetched but what the page carries itself.

``data:`` addresses are drawn; a mail's own pictures (``cid:``, RFC 2392) were made such before the page came here. No
scripts are run: WeasyPrint has none. Meant for a confined child with a clock: a layout can take for ever.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from weasyprint import CSS, HTML  # type: ignore[import-untyped]

from converters.charset import decode
from converters.errors import Reason, Refused
from converters.text import charset_of
from converters.weasy import DataFetcher

if TYPE_CHECKING:
    from converters.document import Rendering

#: Characters of a page without its ``data:`` addresses, for each page of the fax that is allowed.
_PAGE_OF_CHARACTERS = 60_000
#: Cells of tables: so many take 15 s and 250 MB, twice as many the double of both.
_MOST_CELLS = 8_000
_STYLE = """
@page { size: %(width)gmm %(height)gmm; margin: 14mm 12mm }
html { color: #000; font: 11pt "Liberation Sans", Carlito, "DejaVu Sans", "Noto Sans CJK SC", Symbola, sans-serif }
body { max-width: 100%% !important; overflow-wrap: anywhere; margin: 0 }
img, svg, table, video, canvas { max-width: 100%% !important }
img { height: auto }
pre { white-space: pre-wrap }
"""
_DATA = re.compile(r"""data:[^"'\s)>]{100,}""")
_META = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_CELL = re.compile(r"<t[dh]\b", re.IGNORECASE)
_SEEN = re.compile(r"<(img|svg|table|hr|input|object|embed)\b", re.IGNORECASE)


def as_pdf(data: bytes, media_type: str, rendering: Rendering) -> bytes:
    """Return the PDF of a web page. ``media_type``: as declared; its charset is a claim.

    Raises :class:`Refused`: ``EMPTY`` for a page without anything to see, ``NEEDS_NETWORK`` for one that shows only
    what lies elsewhere, ``TOO_MANY_PAGES`` for what cannot fit,
    ``TOO_LARGE`` for one that is nested beyond measure, ``DAMAGED`` for what no layout can be made of.
    """
    page = _read(data, media_type)
    if len(_DATA.sub("", page)) > rendering.max_pages * _PAGE_OF_CHARACTERS:
        raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
    _check_seen(page)
    if (cells := len(_CELL.findall(page))) > _MOST_CELLS:
        raise Refused(Reason.TOO_LARGE, detail=f" (a table of {cells} cells)")
    width, height = rendering.paper.size
    style = CSS(string=_STYLE % {"width": width, "height": height}, url_fetcher=DataFetcher())
    try:
        document = HTML(string=page, url_fetcher=DataFetcher(), base_url=None)
        return bytes(document.write_pdf(stylesheets=[style], presentational_hints=True))
    except RecursionError as fault:
        raise Refused(Reason.TOO_LARGE, detail=" (its parts are nested too deeply)") from fault
    except MemoryError:
        raise
    except Exception as fault:  # WeasyPrint has no class of its own for what it cannot lay out
        raise Refused(Reason.DAMAGED) from fault


def as_text(data: bytes, media_type: str) -> bytes:
    """Return the words of a web page in UTF-8, for a cover page."""
    return words(_read(data, media_type)).encode()


def words(page: str) -> str:
    r"""Return what a page says, a line for each block; styles and scripts are left out.

    >>> words("<style>p {}</style><p>One &amp; two</p>three")
    'One & two\nthree'
    """
    reader = _of_page(page)
    lines = (" ".join(line.split()) for line in "".join(reader.found).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _check_seen(page: str) -> None:
    """Refuse a page that shows nothing."""
    reader = _of_page(page)
    if "".join(reader.found).strip() or reader.own:
        return
    if reader.elsewhere:
        raise Refused(Reason.NEEDS_NETWORK)
    if not _SEEN.search(page):
        raise Refused(Reason.EMPTY)


def _of_page(page: str) -> _Words:
    reader = _Words()
    reader.feed(page)
    reader.close()
    return reader


class _Words(HTMLParser):
    """Collects text; ends a line where a block begins or ends.

    ``own``: whether there is something to see that the page carries itself, ``elsewhere``: something that it does not.
    """

    _HIDDEN = frozenset({"script", "style", "head", "title", "template", "noscript"})
    _SHOWN = frozenset({"svg", "hr", "input", "select", "textarea", "meter", "progress"})
    _BLOCKS = frozenset({
        "p", "div", "br", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "blockquote",
        "section", "article", "header", "footer", "pre",
    })  # fmt: skip

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.own = self.elsewhere = False
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        addresses = [value for name, value in attrs if name in {"src", "data", "srcset", "background"} and value]
        if tag in self._SHOWN or (tag == "img" and any(value.startswith("data:") for value in addresses)):
            self.own = True
        elif any(not value.startswith("data:") for value in addresses):
            self.elsewhere = True
        self._hidden += tag in self._HIDDEN
        if tag in self._BLOCKS:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        self._hidden = max(0, self._hidden - (tag in self._HIDDEN))
        if tag in self._BLOCKS:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep the words that are seen; the source's own line ends mean nothing."""
        if not self._hidden:
            self.found.append(re.sub(r"\s+", " ", data))


def _read(data: bytes, media_type: str) -> str:
    declared = charset_of(media_type)
    if not declared and (meta := _META.search(data[:4096])):
        declared = meta[1].decode("ascii", "replace")
    return decode(data, declared)[0].lstrip("\ufeff")
