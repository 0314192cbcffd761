"""Pictures as gray drawings, by Pillow: JPEG, PNG, GIF, BMP, WebP, AVIF, HEIC (libheif), TIFFs that are no faxes.

A picture is turned as its EXIF orientation says, laid on white where it is transparent, made gray, and placed by its
natural size: that of its resolution if a scanner tagged one, else 150 pixels an inch, so that it is never enlarged
past that. Limits are checked on the header, before pixels are decoded. Meant for a confined child.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from converters import page as paging
from converters.document import X_DPI
from converters.errors import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.document import Rendering

pillow_heif.register_heif_opener(thumbnails=False)

#: Pixels of one picture. A 600 dpi scan of an A4 page has 35 million.
MOST_PIXELS = 120_000_000
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
#: Pixels an inch of a picture whose resolution nobody knows; also the least that a tag is believed at: below it are the
#: 72 and 96 that programs write without meaning them.
_UNKNOWN_DPI = 150.0
_BELIEVED_DPI = (150.0, 2400.0)
#: How far apart a picture's two resolutions may be (a fax at 98 lines has 204 by 98).
_MOST_ASPECT = 5.0
_ORIENTATION = 0x0112  # EXIF 2.3 section 4.6.4


def pages(data: bytes, expected: str, rendering: Rendering, room: int) -> Iterator[tuple[int, paging.Gray]]:
    """Yield ``(frame, gray fax page)`` for each frame of a TIFF, or for the one picture of another file.

    ``expected``: Pillow's name of the format; ``room``: how many pages the fax still has. Raises :class:`Refused`:
    ``DAMAGED``, ``TOO_LARGE``, ``TOO_MANY_PAGES``.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = (
        False  # WeasyPrint switches it on for all: half a picture would pass for a whole one
    )
    try:
        with Image.open(io.BytesIO(data), formats=[expected]) as picture:
            frames = getattr(picture, "n_frames", 1) if expected == "TIFF" else 1
            if frames > room:
                raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
            for frame in range(frames):
                if frame:
                    picture.seek(frame)
                for sheet in _frame(picture, rendering):
                    yield frame + 1, sheet
    except Image.DecompressionBombError as fault:
        raise Refused(Reason.TOO_LARGE, detail=" (too many pixels)") from fault
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        KeyError,
        TypeError,
    ) as fault:
        # What Pillow's decoders raise on damaged files; it has no class of its own for them.
        raise Refused(Reason.DAMAGED) from fault


def _frame(picture: Image.Image, rendering: Rendering) -> Iterator[paging.Gray]:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise Refused(Reason.TOO_LARGE, detail=f" ({width} x {height} pixels)")
    x_dpi, y_dpi = _resolutions(picture)
    upright = picture.getexif().get(_ORIENTATION, 1) < 5  # noqa: PLR2004  EXIF orientations 5 to 8 lie on their side
    if not upright:
        width, height, x_dpi, y_dpi = height, width, y_dpi, x_dpi
    y_lines = rendering.resolution.dpi
    placement = paging.place_picture(width / x_dpi * paging.MM, height / y_dpi * paging.MM, y_lines, rendering.paper)
    if picture.format == "JPEG":
        wide = max(placement.width, round(placement.height * X_DPI / y_lines))
        picture.draft("L", (wide, wide))  # decodes at a fraction of the size where that is still enough
    gray = ImageOps.exif_transpose(_gray(picture))
    if placement.turned:
        gray = gray.transpose(Image.Transpose.ROTATE_90)
    drawn = gray.resize((placement.width, placement.height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    yield from paging.lay(np.asarray(drawn), placement)


def _resolutions(picture: Image.Image) -> tuple[float, float]:
    """Return the picture's dots an inch, believed or assumed, keeping the proportion of its tags."""
    try:
        x_dpi, y_dpi = (float(value) for value in picture.info.get("dpi", (0, 0)))
    except (TypeError, ValueError, ZeroDivisionError):
        return _UNKNOWN_DPI, _UNKNOWN_DPI
    if not (x_dpi > 0 and y_dpi > 0 and 1 / _MOST_ASPECT < x_dpi / y_dpi < _MOST_ASPECT):
        return _UNKNOWN_DPI, _UNKNOWN_DPI
    if _BELIEVED_DPI[0] <= max(x_dpi, y_dpi) <= _BELIEVED_DPI[1]:
        return x_dpi, y_dpi
    return _UNKNOWN_DPI, _UNKNOWN_DPI * y_dpi / x_dpi


def _gray(picture: Image.Image) -> Image.Image:
    """Return the picture in 8-bit gray on white, with its EXIF orientation still to be applied."""
    exif = picture.getexif()
    if picture.mode.startswith("I;16"):
        gray = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in {"I", "F"}:
        values = np.nan_to_num(np.asarray(picture, np.float32), nan=255.0)
        top = max(255.0, float(values.max())) if picture.mode == "F" or values.max() <= 255 else 65535.0  # noqa: PLR2004
        gray = Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))
    elif "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        seen = picture.convert("LA" if picture.mode in {"L", "LA", "1"} else "RGBA")
        gray = Image.new("L", picture.size, 255)
        gray.paste(seen.convert("L"), mask=seen.getchannel("A"))
    else:
        gray = picture.convert("L")
    gray.info.pop("exif", None)
    if _ORIENTATION in exif:
        gray.getexif()[_ORIENTATION] = exif[_ORIENTATION]
    return gray
