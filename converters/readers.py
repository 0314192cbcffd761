"""The reader of each kind: a file in, gray pages (1728 pixels a line) or, of a TIFF that is a fax, bilevel pages out.

A kind is added by adding its reader to :data:`READERS`. Office documents have none: they come here as the PDF that
their own worker made of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from converters import drawing, images, pdf, text, webpage
from converters.document import Rendering
from converters.errors import Reason, Refused
from converters.faxtiff import fax_pages
from converters.kinds import Kind
from converters.page import Gray
from converters.tiff import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def check_size(file: File) -> None:
    """Raise :class:`Refused` for a source that is larger than any reader takes."""
    size = os.fstat(file.descriptor).st_size
    if size > MOST_BYTES:
        raise Refused(Reason.TOO_LARGE, detail=f" ({size // 1_000_000} MB)")


def read(file: File) -> bytes:
    """Return a source's bytes; raises as :func:`check_size` does."""
    check_size(file)
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
        yield from _picture("TIFF", file, rendering, room)


def _picture(form: str, file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    """Draw a picture; ``form`` is Pillow's name of its format."""
    check_size(file)
    with open(file.descriptor, "rb", closefd=False) as stream:
        stream.seek(0)
        yield from images.pages(stream, form, rendering, room)


def _text(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    yield from pdf.pages(text.as_pdf(read(file), file.media_type, rendering), rendering, room)


def _web_page(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:
    yield from pdf.pages(webpage.as_pdf(read(file), file.media_type, rendering), rendering, room)


def _drawing(file: File, rendering: Rendering, room: int) -> Iterator[Drawn]:  # noqa: ARG001  the readers' signature
    yield from drawing.pages(read(file), rendering)


READERS: Mapping[Kind, Reader] = {
    Kind.PDF: _pdf,
    Kind.TIFF: _tiff,
    Kind.JPEG: partial(_picture, "JPEG"),
    Kind.PNG: partial(_picture, "PNG"),
    Kind.GIF: partial(_picture, "GIF"),
    Kind.BMP: partial(_picture, "BMP"),
    Kind.WEBP: partial(_picture, "WEBP"),
    Kind.HEIC: partial(_picture, "HEIF"),
    Kind.AVIF: partial(_picture, "AVIF"),
    Kind.SVG: _drawing,
    Kind.HTML: _web_page,
    Kind.TEXT: _text,
}
