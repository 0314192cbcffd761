"""Pictures of fax pages, made of the transmitted bitmap.

Small gray ones, each pixel the mean of those it stands for; and previews, which have the pixels themselves.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from converters.document import X_DPI
from converters.tiff import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Rows of the longest page that is drawn, and pixels of the widest picture.
MOST_ROWS = 20_000
WIDEST = 1728
_SIXTEEN = [round(level / 17) * 17 for level in range(256)]


def preview(fax: int, number: int) -> bytes:
    """Return a black and white PNG of page ``number`` (1 is the first) as the far machine prints it.

    Every pixel of the line is one of the picture (two at superfine); rows are repeated until the page has its true
    proportion, as the far machine does with the 98 lines of the standard resolution. Raises
    :class:`converters.errors.Refused` (``DAMAGED``).
    """
    with opened(fax) as reader:
        reader.select(number - 1)
        page = reader.page(MOST_ROWS)
    y_dpi, times = page.y_dpi or 196, 1
    if y_dpi > 1.5 * (page.x_dpi or X_DPI):  # superfine: rows stand closer than columns, and none may be left out
        times = 2
    x_dpi = times * (page.x_dpi or X_DPI)
    drawn = Image.frombytes("1", (page.width, page.height), page.rows, "raw", "1;I")
    rows = max(1, round(page.height * x_dpi / y_dpi))
    coded = io.BytesIO()
    drawn.resize((page.width * times, rows), Image.Resampling.NEAREST).save(coded, "PNG", dpi=(x_dpi, x_dpi))
    return coded.getvalue()


def thumbnails(fax: int, pages: Sequence[int], width: int) -> list[bytes]:
    """Return a PNG of 16 grays and ``width`` pixels for each of the pages (1 is the first), in true proportion.

    Raises :class:`converters.errors.Refused` (``DAMAGED``) if there is no such page.
    """
    width = max(16, min(WIDEST, width))
    pictures = []
    with opened(fax) as reader:
        for number in pages:
            reader.select(number - 1)
            page = reader.page(MOST_ROWS)
            # Mode "1;I" reads 1 as black.
            drawn = Image.frombytes("1", (page.width, page.height), page.rows, "raw", "1;I").convert("L")
            aspect = (page.height / (page.y_dpi or 196)) / (page.width / (page.x_dpi or 204))
            small = drawn.resize((width, max(1, round(width * aspect))), Image.Resampling.BOX)
            coded = io.BytesIO()
            small.point(_SIXTEEN).save(coded, "PNG", compress_level=9)
            pictures.append(coded.getvalue())
    return pictures
