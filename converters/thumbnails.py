"""Small gray pictures of fax pages, made of the transmitted bitmap: each pixel is the mean of those it stands for."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from converters.tiff import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Rows of the longest page that is drawn, and pixels of the widest picture.
MOST_ROWS = 20_000
WIDEST = 1728
_SIXTEEN = [round(level / 17) * 17 for level in range(256)]


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
