"""A PDF with the pictures of many pixels in it made smaller: PDFium decodes a JPEG to 3 bytes a pixel, a JPX to 15.

A poster scanned at 300 dpi has 140 million pixels, and a fax page 4 million. Only those are exchanged whose picture is
nothing but itself (no mask, no colours of its own); all else stays as it is. Meant for a confined child.
"""

from __future__ import annotations

import re

#: Bytes of a decoded picture from which it is made smaller.
MANY = 120_000_000
#: Bytes a pixel: of JPX, 3 parts in 4 bytes each and the picture; of the most parts that another picture has.
JPX_BYTES, CMYK_BYTES = 15, 4
#: The beginning of a picture's dictionary stands in the file as it is (ISO 32000-1 section 7.5.7: no streams in object
#: streams).
_WIDTHS, _HEIGHTS = re.compile(rb"/Width\s+(\d{4,6})\b"), re.compile(rb"/Height\s+(\d{4,6})\b")


def lightened(data: bytes) -> bytes:
    """Return the PDF, or one that looks the same on a fax page where it holds pictures of many pixels.

    Raises :class:`converters.errors.Refused` (``TOO_LARGE``) for a picture that can neither be made smaller nor decoded
    in little memory.
    """
    wide = max((int(found[1]) for found in _WIDTHS.finditer(data)), default=0)
    high = max((int(found[1]) for found in _HEIGHTS.finditer(data)), default=0) if wide else 0
    # The widest and the highest may be two pictures, which costs a look and nothing else.
    if wide * high * (JPX_BYTES if b"JPXDecode" in data else CMYK_BYTES) <= MANY:
        return data
    from converters.exchange import exchanged  # noqa: PLC0415  20 MB and 0.1 s that only such a document costs

    return exchanged(data)
