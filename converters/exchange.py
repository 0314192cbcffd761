"""Exchanges the pictures of many pixels in a PDF (:mod:`converters.lighten`), by pikepdf and Pillow."""

from __future__ import annotations

import io
import math

import pikepdf
from PIL import Image, Jpeg2KImagePlugin

from converters.errors import Reason, Refused
from converters.lighten import CMYK_BYTES, JPX_BYTES, MANY

#: Bytes of a decoded picture from which it is refused where it cannot be made smaller.
_TOO_MANY = 200_000_000
#: Pixels that the sides of a smaller one keep at least: twice a fax line. A JPX can only be halved: it keeps one.
_SIDE, _JPX_SIDE = 3_500, 1_800
_BYTE = 8
#: Keys of a picture that is not its pixels alone.
_MORE = ("/SMask", "/Mask", "/Decode", "/ImageMask", "/DecodeParms", "/SMaskInData", "/Matte", "/Alternates")
_PLAIN = frozenset({0, 1, 3})
_ICC = 2  # parts of an ICCBased colour space; Indexed and Separation have 4


def exchanged(data: bytes) -> bytes:
    """Return the PDF with its large pictures made smaller, or as it is; see :func:`converters.lighten.lightened`."""
    try:
        with pikepdf.open(io.BytesIO(data)) as document:
            pictures = [one for one in document.objects if isinstance(one, pikepdf.Stream) and _decoded(one) > MANY]
            if not [one for one in pictures if _exchanged(one)]:
                return data
            out = io.BytesIO()
            document.save(out)
            return out.getvalue()
    except (pikepdf.PdfError, OSError, ValueError, TypeError, AttributeError, KeyError):
        return data  # whatever is wrong with it, PDFium says it


def _decoded(one: pikepdf.Stream) -> int:
    """Return about how many bytes PDFium decodes a picture to, 0 for another stream."""
    if one.get("/Subtype") != "/Image":
        return 0
    pixels = int(one.get("/Width", 0)) * int(one.get("/Height", 0))
    if _coding(one) == "/JPXDecode":
        return JPX_BYTES * pixels
    space = one.get("/ColorSpace")
    parts = len(space) if isinstance(space, pikepdf.Array) else 0
    gray = one.get("/ImageMask", False) or space == "/DeviceGray" or parts > _ICC
    bits = int(one.get("/BitsPerComponent", 1))
    return pixels * (1 if gray else CMYK_BYTES if space == "/DeviceCMYK" else 3) * bits // _BYTE


def _coding(one: pikepdf.Stream) -> str:
    coding = one.get("/Filter", "")
    if isinstance(coding, pikepdf.Array):
        coding = coding[0] if len(coding) == 1 else ""
    return str(coding)


def _colours(one: pikepdf.Stream) -> int | None:
    """Return the parts of a picture's own gray or RGB, 0 where its data say it, ``None`` for any other colour space.

    What is ink (Separation, CMYK) or an index would be taken for light.
    """
    space = one.get("/ColorSpace")
    if space is None:
        return 0
    if not isinstance(space, pikepdf.Array):
        return {"/DeviceGray": 1, "/DeviceRGB": 3}.get(str(space))
    if space[0] == "/ICCBased":
        return int(space[1].get("/N", 0)) or None
    return {"/CalGray": 1, "/CalRGB": 3}.get(str(space[0]))


def _exchanged(one: pikepdf.Stream) -> bool:
    """Put a gray JPEG of a fraction of the size in a picture's place; return whether that could be done."""
    form = {"/DCTDecode": "JPEG", "/JPXDecode": "JPEG2000"}.get(_coding(one))
    plain = not any(key in one for key in _MORE) and _colours(one) in _PLAIN
    smaller = _smaller(one.read_raw_bytes(), form, _colours(one)) if form and plain else None
    if smaller is None:
        if _decoded(one) > _TOO_MANY:
            raise Refused(Reason.TOO_LARGE, detail=f" (a picture of {one.Width} x {one.Height} pixels)")
        return False
    out = io.BytesIO()
    smaller.save(out, "JPEG", quality=92)
    one.write(out.getvalue(), filter=pikepdf.Name.DCTDecode)
    one.Width, one.Height = smaller.size
    one.ColorSpace, one.BitsPerComponent = pikepdf.Name.DeviceGray, _BYTE
    return True


def _smaller(data: bytes, form: str, parts: int | None) -> Image.Image | None:
    """Return a picture of ``parts`` (0: whatever it has) in gray at a fraction of its size that its decoder gives.

    ``None`` where it does not.
    """
    with Image.open(io.BytesIO(data), formats=[form]) as picture:
        if picture.mode not in {"L", "RGB"} or picture.info.get("progressive"):
            return None
        if parts and parts != len(picture.getbands()):
            return None
        if isinstance(picture, Jpeg2KImagePlugin.Jpeg2KImageFile):
            picture.reduce = max(0, int(math.log2(max(1.0, min(picture.size) / _JPX_SIDE))))
        else:
            picture.draft("L", (_SIDE, _SIDE))
        return picture.convert("L")
