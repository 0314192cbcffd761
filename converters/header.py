"""The header line of transmitted pages: time, sender, destination, page n of m, drawn into the page's top rows.

The page is not lengthened. Where its top rows are not blank and its bottom rows are, the page moves down by the line's
height, so that the line hides nothing; only a page that is full at both ends gets the line over its top. Pixels below
are not touched.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from converters.document import PageReport
from converters.tiff import Page, Writer, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from converters.document import HeaderLine

#: The line's height, and that of its type, in millimetres.
BAND = 4.0
_TYPE = 3.0
_SIDE = 48  # pixels of white at both ends: 6 mm, what machines do not print
_GAP = 32
#: In the order of preference: names that Debian's font packages give; Pillow's own face is the last resort.
_FACES = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf")


def stamp(fax: int, line: HeaderLine, output: int, most_pages: int, progress: Callable[[], None]) -> list[PageReport]:
    """Write the fax document on descriptor ``fax`` with its header lines to ``output`` and report its pages."""
    with opened(fax) as reader:
        total = sum(1 for _ in reader.directories(most_pages - 1))
    writer = Writer(output, total)
    drafts: list[PageReport] = []
    with opened(fax) as reader:
        for number, tags in enumerate(reader.directories(total - 1), 1):
            page = draw(reader.page(tags.height), line, number, total)
            writer.add(page)
            size = (page.width, page.height, round(page.y_dpi))
            drafts.append(PageReport(number, "", number, *size, bytes=0, treatment="fax"))
            progress()
    return [replace(draft, bytes=size) for draft, size in zip(drafts, writer.close(), strict=True)]


def draw(page: Page, line: HeaderLine, number: int, total: int) -> Page:
    """Return the page with the line in its top rows; the same height."""
    stride = (page.width + 7) // 8
    band_rows = min(page.height, round(BAND / 25.4 * page.y_dpi))
    band = _band(page.width, band_rows, line, f"{number}/{total}")
    size = band_rows * stride
    top, bottom = page.rows[:size], page.rows[-size:]
    below = page.rows[:-size] if any(top) and not any(bottom) else page.rows[size:]
    return replace(page, rows=band + below)


def _band(width: int, rows: int, line: HeaderLine, pages: str) -> bytes:
    """Return the packed rows of the line, 1 is black."""
    square_rows = max(8, round(BAND / 25.4 * 204))  # drawn with square pixels, then brought to the page's lines
    drawing = Image.new("L", (width, square_rows), 255)
    pen = ImageDraw.Draw(drawing)
    font = _font(round(_TYPE / 25.4 * 204))
    middle = square_rows // 2
    room = width - 2 * _SIDE - pen.textlength(pages, font) - _GAP
    parts = [_printable(part) for part in (line.when, line.sender, f"→ {line.destination}")]
    shares = (0.3, 0.42, 0.28)
    place = float(_SIDE)
    for part, share in zip(parts, shares, strict=True):
        pen.text((place, middle), _fitted(pen, part, font, room * share - _GAP), fill=0, font=font, anchor="lm")
        place += room * share
    pen.text((width - _SIDE, middle), pages, fill=0, font=font, anchor="rm")
    ink = np.asarray(drawing.resize((width, rows), Image.Resampling.BOX)) < 150  # noqa: PLR2004  a little bolder than half
    return np.packbits(ink, axis=1).tobytes()


def _fitted(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float
) -> str:
    """Return as much of the text as there is room for."""
    if pen.textlength(text, font) <= room:
        return text
    while text and pen.textlength(text + "…", font) > room:
        text = text[:-1]
    return text + "…"


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for face in _FACES:
        try:
            return ImageFont.truetype(face, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:120]
