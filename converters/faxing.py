"""Sources into one fax document.

Each file goes through its kind's reader; each page is made black and white, coded, written, and checked.

Readers (:mod:`converters.readers`) give gray pages (1728 pixels a line) or, for a TIFF that is a fax already, bilevel
pages, which pass pixel by pixel.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from converters import cover as covering
from converters import pdf, webpage
from converters.ahead import ahead
from converters.binarise import binarise
from converters.containers import identify
from converters.document import WIDTH, X_DPI, PageReport
from converters.edges import trimmed
from converters.errors import Reason, Refused
from converters.faxtiff import fax_pages
from converters.readers import READERS, read
from converters.tiff import Page, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from converters.document import Cover, Rendering
    from converters.edges import Rows
    from converters.readers import Drawn, File

#: What the report calls the cover page, and a refusal where the mail had no text.
_COVER = "the cover page"
_PLAIN = "text/plain; charset=utf-8"


def make(files: Sequence[File], rendering: Rendering, output: int, progress: Callable[[int], None]) -> list[PageReport]:
    """Write the fax document of the files to the descriptor ``output`` and report its pages.

    ``progress`` is called with the index of the file before each of its pages. Raises :class:`Refused` naming the file.
    """
    writer = Writer(output)
    drafts: list[PageReport] = []
    for index, file in enumerate(files):
        progress(index)
        try:
            _append(file, rendering, writer, drafts, partial(progress, index))
        except Refused as refused:
            raise refused.named(file.name) from refused
        except MemoryError as fault:
            raise Refused(Reason.TOO_LARGE, file.name) from fault
    sizes = writer.close()
    return [replace(draft, bytes=size) for draft, size in zip(drafts, sizes, strict=True)]


def make_covered(
    files: Sequence[File],
    cover: Cover,
    rendering: Rendering,
    output: int,
    behind: int,
    progress: Callable[[int], None],
    *,
    logo: bytes = b"",
) -> list[PageReport]:
    """Write the fax document of a cover page and the files to ``output`` and report its pages, as :func:`make` does.

    The files are drawn first, into the descriptor ``behind``, because the cover tells how many pages there are.
    ``logo``: the file in the cover's head.
    """
    text = files[0] if cover.has_text else None
    rest = files[1:] if cover.has_text else files
    first = len(files) - len(rest)
    others = make(rest, rendering, behind, lambda index: progress(index + first)) if rest else []
    progress(0)
    writer = Writer(output)
    drafts: list[PageReport] = []
    data, media_type = _words(text) if text is not None else (b"", _PLAIN)
    try:
        drawn = covering.as_pdf(data, media_type, cover, len(others), rendering, logo)
        pages = pdf.pages(drawn, rendering, rendering.max_pages - len(others))
        _add(pages, _COVER, rendering, writer, drafts, partial(progress, 0))
    except Refused as refused:
        raise refused.named(text.name if text is not None else _COVER) from refused
    for report, page in zip(
        others, (fax_pages(behind, len(others), len(others)) if others else None) or (), strict=True
    ):
        writer.add(page)
        drafts.append(replace(report, number=len(drafts) + 1))
        progress(0)
    return [replace(draft, bytes=size) for draft, size in zip(drafts, writer.close(), strict=True)]


def _words(text: File) -> tuple[bytes, str]:
    """Return the text of a cover with its media type; of a web page its words."""
    if text.media_type.partition(";")[0].strip().lower() == "text/html":
        return webpage.as_text(read(text), text.media_type), _PLAIN
    return read(text), text.media_type


def _append(
    file: File, rendering: Rendering, writer: Writer, drafts: list[PageReport], progress: Callable[[], None]
) -> None:
    """Write the pages of one file."""
    with open(file.descriptor, "rb", closefd=False) as stream:
        kind = identify(stream, file.name, file.media_type)
    if kind not in READERS:
        raise Refused(Reason.UNSUPPORTED, detail=kind.people_call_it)
    drawn = READERS[kind](file, rendering, rendering.max_pages - len(drafts))
    _add(drawn, file.name, rendering, writer, drafts, progress)


def _add(
    pages: Iterator[Drawn],
    name: str,
    rendering: Rendering,
    writer: Writer,
    drafts: list[PageReport],
    progress: Callable[[], None],
) -> None:
    """Write the pages that a reader drew: while one is coded, the next is made black and white, and one is drawn."""
    before = len(drafts)
    for source_page, made, treatment in ahead(_bilevel(ahead(pages), rendering)):
        if len(drafts) >= rendering.max_pages:
            raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
        page = _page(made, treatment, rendering.resolution.dpi)
        writer.add(page)
        size = (page.width, page.height, round(page.y_dpi))
        drafts.append(PageReport(len(drafts) + 1, name, source_page, *size, bytes=0, treatment=treatment))
        progress()
    if len(drafts) == before:
        raise Refused(Reason.NO_PAGES)


def _bilevel(pages: Iterator[Drawn], rendering: Rendering) -> Iterator[tuple[int, Page | Rows, str]]:
    """Yield each page in black and white, a drawn one in packed rows, with its treatment."""
    for source_page, drawn in pages:
        if isinstance(drawn, Page):
            yield source_page, drawn, "fax"
        else:
            yield source_page, *binarise(drawn, rendering.resolution.dpi, rendering.mode)


def _page(made: Page | Rows, treatment: str, y_dpi: int) -> Page:
    """Return a page as it is coded."""
    if isinstance(made, Page):
        return made
    rows = made if treatment == "photo" else trimmed(made, y_dpi)
    return Page(WIDTH, len(rows), X_DPI, y_dpi, rows.tobytes())
