"""Sources into one fax document.

Each file goes through its kind's reader; each page is made black and white, coded, written, and checked.

Readers give gray pages (1728 pixels a line) or, for a TIFF that is a fax already, bilevel pages, which pass pixel by
pixel. A kind is added by adding its reader to :data:`READERS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from converters import cover as covering
from converters import images, pdf, text
from converters.ahead import ahead
from converters.binarise import binarise
from converters.document import X_DPI, PageReport, Rendering
from converters.errors import Reason, Refused
from converters.faxtiff import fax_pages
from converters.kinds import HEAD, Kind, detect
from converters.page import Gray
from converters.tiff import Page, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converters.document import Cover

#: What the report calls the cover page, and a refusal where the mail had no text.
_COVER = "the cover page"
#: Bytes of a source that are read at all.
MOST_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class File:
    """A source in the child: its claims and its descriptor."""

    name: str
    media_type: str
    descriptor: int


Drawn = tuple[int, Gray | Page]
Reader = Callable[[File, Rendering, int], Iterator[Drawn]]


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
    files: Sequence[File], cover: Cover, rendering: Rendering, output: int, behind: int, progress: Callable[[int], None]
) -> list[PageReport]:
    """Write the fax document of a cover page and the files to ``output`` and report its pages, as :func:`make` does.

    The files are drawn first, into the descriptor ``behind``, because the cover tells how many pages there are.
    """
    text = files[0] if cover.has_text else None
    rest = files[1:] if cover.has_text else files
    first = len(files) - len(rest)
    others = make(rest, rendering, behind, lambda index: progress(index + first)) if rest else []
    progress(0)
    writer = Writer(output)
    drafts: list[PageReport] = []
    data, media_type = (read(text), text.media_type) if text is not None else (b"", "text/plain; charset=utf-8")
    try:
        drawn = covering.as_pdf(data, media_type, cover, len(others), rendering)
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


def _append(
    file: File, rendering: Rendering, writer: Writer, drafts: list[PageReport], progress: Callable[[], None]
) -> None:
    """Write the pages of one file."""
    kind = detect(os.pread(file.descriptor, HEAD, 0), file.name, file.media_type)
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
    """Write the pages that a reader drew."""
    before = len(drafts)
    for source_page, drawn in ahead(pages):
        if len(drafts) >= rendering.max_pages:
            raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
        if isinstance(drawn, Page):
            page, treatment = drawn, "fax"
        else:
            ink, treatment = binarise(drawn, rendering.resolution.dpi, rendering.mode)
            page = Page(ink.shape[1], ink.shape[0], X_DPI, rendering.resolution.dpi, np.packbits(ink, axis=1).tobytes())
        writer.add(page)
        size = (page.width, page.height, round(page.y_dpi))
        drafts.append(PageReport(len(drafts) + 1, name, source_page, *size, bytes=0, treatment=treatment))
        progress()
    if len(drafts) == before:
        raise Refused(Reason.NO_PAGES)


def read(file: File) -> bytes:
    """Return a source's bytes; raises :class:`Refused` for one that is larger than any reader takes."""
    size = os.fstat(file.descriptor).st_size
    if size > MOST_BYTES:
        raise Refused(Reason.TOO_LARGE, detail=f" ({size // 1_000_000} MB)")
    with open(file.descriptor, "rb", closefd=False) as stream:
        stream.seek(0)
        return stream.read()


def _pdf(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    yield from pdf.pages(read(file), rendering, room)


def _tiff(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    """Pass a fax on as it is; any other TIFF is a picture."""
    fax = fax_pages(file.descriptor, room, rendering.max_pages)
    if fax is not None:
        yield from enumerate(fax, 1)
    else:
        yield from images.pages(read(file), "TIFF", rendering, room)


def _jpeg(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    yield from images.pages(read(file), "JPEG", rendering, room)


def _png(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    yield from images.pages(read(file), "PNG", rendering, room)


def _text(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    yield from pdf.pages(text.as_pdf(read(file), file.media_type, rendering), rendering, room)


READERS: dict[Kind, Reader] = {Kind.PDF: _pdf, Kind.TIFF: _tiff, Kind.JPEG: _jpeg, Kind.PNG: _png, Kind.TEXT: _text}
