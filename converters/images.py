"""Pictures as gray drawings, by Pillow: JPEG, PNG, GIF, BMP, WebP, AVIF, HEIC (libheif), TIFFs that are no faxes.

A picture is turned as its EXIF orientation says, laid on white where it is transparent, made gray, and placed by its
natural size: that of its resolution if a scanner tagged one, else 150 pixels an inch, so that it is never enlarged
past that. Limits are checked on the header, before pixels are decoded. Meant for a confined child.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
from PIL import Image, ImageFile, JpegImagePlugin, UnidentifiedImageError

from converters import large
from converters import page as paging
from converters.document import X_DPI
from converters.errors import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

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
_LYING = 5  # and above: on its side
#: How a picture of each orientation is put upright.
_TURNS = dict(
    enumerate(
        (
            Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        2,
    )
)  # fmt: skip
#: How much finer than the page a picture stays when it is averaged to a fraction before it is resampled.
_GAP = 3.0
#: From so many pixels a picture is made gray and smaller in parts.
_LARGE = 16_000_000
#: Bytes that decoding may hold beside a child's own 90 MB, which keeps all under 300 MB.
_MOST_HELD = 180_000_000
#: Pixels from and up to which the decoder's own are used: a telephone's largest HEIC has 48.8 million, and libheif
#: holds 4.5 bytes for each.
_LEAST_OF = {"HEIF": _LARGE, "WEBP": 4_000_000}
_MOST_OF = {"HEIF": 50_000_000, "WEBP": 30_000_000}
#: Bytes a pixel that decoders hold beside Pillow's own picture.
_BESIDE = {"HEIF": 4.5, "AVIF": 4.5, "WEBP": 11.0, "GIF": 1.0}


def pages(stream: BinaryIO, expected: str, rendering: Rendering, room: int) -> Iterator[tuple[int, paging.Gray]]:
    """Yield ``(frame, gray fax page)`` for each frame of a TIFF, or for the one picture of another file.

    ``stream``: an open file; ``expected``: Pillow's name of the format; ``room``: how many pages the fax still has.
    Raises :class:`Refused`: ``DAMAGED``, ``TOO_LARGE``, ``TOO_MANY_PAGES``.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = (
        False  # WeasyPrint switches it on for all: half a picture would pass for a whole one
    )
    try:
        with Image.open(stream, formats=[expected]) as picture:
            frames = getattr(picture, "n_frames", 1) if expected == "TIFF" else 1
            if frames > room:
                raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
            for frame in range(frames):
                if frame:
                    picture.seek(frame)
                for sheet in _frame(picture, frame, stream, rendering):
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


def _frame(picture: Image.Image, frame: int, stream: BinaryIO, rendering: Rendering) -> Iterator[paging.Gray]:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise _too_large(picture.size)
    x_dpi, y_dpi = _resolutions(picture)
    # Asked for what stands after the pixels, Pillow would decode the whole of a PNG.
    known = picture.format != "PNG" or "exif" in picture.info
    orientation = picture.getexif().get(_ORIENTATION, 1) if known else 1
    if orientation >= _LYING:
        x_dpi, y_dpi = y_dpi, x_dpi
        if picture.format != "TIFF":  # Pillow tells a TIFF's size as it is to be seen
            width, height = height, width
    y_lines = rendering.resolution.dpi
    placement = paging.place_picture(width / x_dpi * paging.MM, height / y_dpi * paging.MM, y_lines, rendering.paper)
    wanted = (placement.width, placement.height)
    coefficients = _coefficients(picture)
    if isinstance(picture, JpegImagePlugin.JpegImageFile):  # also a burst or a picture with a depth map, an MPO
        wide = max(placement.width, round(placement.height * X_DPI / y_lines))
        picture.draft("L", (wide, wide))  # decodes at a fraction of the size where that is still enough
    if coefficients + _held(picture) > _MOST_HELD and not _in_parts(picture):
        raise _too_large((width, height))
    gray = _small(picture, frame, stream, wanted[::-1] if placement.turned else wanted, orientation)
    if placement.turned:
        gray = gray.transpose(Image.Transpose.ROTATE_90)
    drawn = gray.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=_GAP)
    yield from paging.lay(np.asarray(drawn), placement)


def _in_parts(picture: Image.Image) -> bool:
    """Whether the picture is one that :mod:`converters.large` decodes."""
    pixels = picture.width * picture.height
    if picture.format in _MOST_OF:
        one = picture.mode == "RGB" and getattr(picture, "n_frames", 1) == 1
        return _LEAST_OF[picture.format] <= pixels <= _MOST_OF[picture.format] and one
    return pixels >= _LARGE and picture.format in {"PNG", "TIFF"}


def _small(
    picture: Image.Image, frame: int, stream: BinaryIO, wanted: tuple[int, int], orientation: int
) -> Image.Image:
    """Return a picture in gray and upright; a large one averaged as far as ``wanted`` (columns, rows) allows."""
    lying = orientation >= _LYING
    size = picture.size[::-1] if lying and picture.format == "TIFF" else picture.size
    smaller = _fraction(size, wanted[::-1] if lying else wanted)
    if _in_parts(picture):
        if picture.format == "PNG":
            return _turned(Image.fromarray(large.averaged(large.png(stream.fileno()), smaller)), orientation)
        if picture.format == "WEBP":
            return Image.fromarray(large.webp(stream, smaller))
        if picture.format == "HEIF":
            return Image.fromarray(large.heic(stream, smaller))
        if (read := large.tiff(stream.fileno(), frame, smaller)) is not None:
            return _turned(Image.fromarray(read), orientation)
        if _held(picture) > _MOST_HELD:
            raise _too_large(picture.size)
    picture.load()
    if picture.format == "TIFF":  # Pillow has turned it by now
        orientation, smaller = 1, _fraction(picture.size, wanted)
    if smaller == (1, 1):
        return _turned(_gray(picture), orientation)
    top = float(picture.getextrema()[1]) if picture.mode in {"I", "F"} else 0.0  # type: ignore[arg-type]

    def gray(first: int, until: int) -> paging.Gray:
        return np.asarray(_gray(picture.crop((0, first, picture.width, until)), top))

    return _turned(Image.fromarray(large.by_bands(picture.size, smaller, gray)), orientation)


def _turned(gray: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return gray if turn is None else gray.transpose(turn)


def _fraction(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """Return how many columns and rows of a large picture may be one, so that it stays twice as fine as ``wanted``."""
    if size[0] * size[1] < _LARGE:
        return 1, 1
    return max(1, int(size[0] / wanted[0] / 2)), max(1, int(size[1] / wanted[1] / 2))


def _held(picture: Image.Image) -> float:
    """Return about how many bytes decoding takes, Pillow's own picture with it (measured)."""
    own = 1.0 if picture.mode in {"1", "L", "P"} else 2.0 if picture.mode.startswith("I;16") else 4.0
    return picture.width * picture.height * (own + _BESIDE.get(picture.format or "", 0.0))


def _coefficients(picture: Image.Image) -> float:
    """Return the bytes of a progressive JPEG's coefficients: all are kept until its last scan (T.81 annex G)."""
    parts = getattr(picture, "layer", None)
    if not (picture.info.get("progressive") and parts):
        return 0.0
    most = max(part[1] for part in parts) * max(part[2] for part in parts)
    return float(2 * picture.width * picture.height * sum(part[1] * part[2] for part in parts) / most)


def _too_large(size: tuple[int, int]) -> Refused:
    return Refused(Reason.TOO_LARGE, detail=f" ({size[0]} x {size[1]} pixels)")


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


def _gray(picture: Image.Image, top: float = 0.0) -> Image.Image:
    """Return the picture in 8-bit gray on white. ``top``: the lightest value of a whole of which it is a part."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in {"I", "F"}:
        values = np.nan_to_num(np.asarray(picture, np.float32), nan=255.0)
        top = max(top, float(values.max()))
        white = max(255.0, top) if picture.mode == "F" or top <= 255 else 65535.0  # noqa: PLR2004
        return Image.fromarray(np.clip(values * (255.0 / white), 0, 255).astype(np.uint8))
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        seen = picture.convert("LA" if picture.mode in {"L", "LA", "1"} else "RGBA")
        gray = Image.new("L", picture.size, 255)
        gray.paste(seen.convert("L"), mask=seen.getchannel("A"))
        return gray
    return picture.convert("L")
