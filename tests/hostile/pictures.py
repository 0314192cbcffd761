"""Hostile pictures and texts: bombs, lies about sizes, endless frames, and what no page can hold."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import TYPE_CHECKING

import pillow_heif
from PIL import Image

from .sample import Sample

if TYPE_CHECKING:
    from .sample import Samples

_NOISE = random.Random(12)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, data: bytes = b"") -> bytes:
    """A PNG that claims this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"".join(chunks) + _chunk(b"IDAT", zlib.compress(data or bytes(100))) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body


def coded(form: str, size: tuple[int, int] = (300, 300), **options: object) -> bytes:
    """A picture of noise."""
    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(out, form, **options)
    return out.getvalue()


def tiff(entries: dict[int, int], data: bytes = b"", following: int = 0) -> bytes:
    """A TIFF of one directory; a value of 0 is where the data are."""
    offset = 8 + 2 + 12 * len(entries) + 4
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value or offset) for tag, value in sorted(entries.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + struct.pack("<I", following) + data


def _many_directories(count: int) -> bytes:
    out = bytearray(b"II*\0\x08\0\0\0")
    for _ in range(count):
        directory = struct.pack("<H", 3) + struct.pack("<HHII", 256, 4, 1, 9) + struct.pack("<HHII", 257, 4, 1, 9)
        directory += struct.pack("<HHII", 273, 4, 1, 8)
        out += directory + struct.pack("<I", len(out) + len(directory) + 4)
    return bytes(out)


def _patched(data: bytes, at: bytes, skip: int, value: bytes) -> bytes:
    place = data.index(at) + skip
    return data[:place] + value + data[place + len(value) :]


def _gif(frames: int) -> bytes:
    frame = b"\x2c\0\0\0\0\x0a\0\x0a\0\0\x02\x16\x8c\x2d\x99\x87\x2a\x1c\xdc\x33\xa0\x02\x75\xec\x95\xfa\xa8\xde\x60\x8c\x04\x91\x4c\x01\0"
    return b"GIF89a\x0a\0\x0a\0\x91\0\0\xff\xff\xff\xff\0\0\0\0\xff\0\0\0" + frame * frames + b"\x3b"


_FAX = {256: 1728, 257: 1000, 258: 1, 259: 4, 262: 0, 273: 0, 277: 1, 278: 1000, 279: 4000}
_RGB = {256: 90_000, 257: 90_000, 258: 8, 259: 5, 262: 2, 273: 0, 277: 3, 278: 90_000, 279: 4000}

PICTURES: Samples = {
    "png-bomb": Sample("bomb.png", lambda _: png(60_000, 60_000), quick=True),
    "png-just-below": Sample("large.png", lambda _: png(10_900, 10_900, data=bytes(10_900 * (3 * 10_900 + 1)))),
    "png-long-and-thin": Sample("thread.png", lambda _: png(1, 5_000_000), quick=True),
    "png-no-size": Sample("nothing.png", lambda _: png(0, 0), quick=True),
    "png-text-bomb": Sample("text.png", lambda _: png(9, 9, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(300_000_000), 9)))),
    "png-profile-bomb": Sample("icc.png", lambda _: png(9, 9, _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(300_000_000), 9)))),
    "png-wrong-sums": Sample("sums.png", lambda _: png(9, 9)[:-20] + b"\0" * 20),
    "png-cut": Sample("cut.png", lambda _: coded("PNG")[:5000], quick=True),
    "png-endless-frames": Sample("frames.png", lambda _: png(9, 9, _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))),
    "jpeg-cut": Sample("cut.jpg", lambda _: coded("JPEG")[:3000], quick=True),
    "jpeg-giant": Sample("giant.jpg", lambda _: _patched(coded("JPEG"), b"\xff\xc0", 5, b"\xff\xff\xff\xff"), quick=True),
    "jpeg-endless-scans": Sample(
        "scans.jpg",
        lambda _: (found := coded("JPEG", (2000, 2000), progressive=True))[:-2]
        + found[found.rindex(b"\xff\xda") : -2] * 4000,
    ),
    "jpeg-turned-nowhere": Sample("turn.jpg", lambda _: coded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x63\0\0\0\0\0\0\0")),
    "jpeg-exif-loop": Sample("exif.jpg", lambda _: coded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0")),
    "jpeg-is-web-page": Sample("photo.jpg", lambda _: b"<html><body>x", quick=True),
    "gif-giant": Sample("giant.gif", lambda _: _patched(_gif(1), b"GIF89a", 6, b"\xff\xff\xff\xff"), quick=True),
    "gif-endless": Sample("endless.gif", lambda _: _gif(300_000)),
    "gif-cut": Sample("cut.gif", lambda _: _gif(1)[:30]),
    "bmp-giant": Sample("giant.bmp", lambda _: _patched(coded("BMP"), b"BM", 18, struct.pack("<ii", 200_000, 200_000)), quick=True),
    "bmp-negative": Sample("minus.bmp", lambda _: _patched(coded("BMP"), b"BM", 18, struct.pack("<ii", -300, -300))),
    "webp-cut": Sample("cut.webp", lambda _: coded("WEBP")[:2000], quick=True),
    "webp-giant": Sample(
        "giant.webp",
        lambda _: b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xffVP8 \x02\0\0\0xx",
    ),
    "heic-cut": Sample("cut.heic", lambda _: coded("HEIF")[:3000], quick=True),
    "heic-giant": Sample("giant.heic", lambda _: _patched(coded("HEIF"), b"ispe", 8, b"\x00\x03\xff\xff\x00\x03\xff\xff")),
    "heic-fuzzed": Sample("fuzzed.heic", lambda _: coded("HEIF")[:600] + _NOISE.randbytes(3000)),
    "avif-cut": Sample("cut.avif", lambda _: coded("AVIF")[:1500]),
    "avif-giant": Sample("giant.avif", lambda _: _patched(coded("AVIF"), b"ispe", 8, b"\x00\x03\xff\xff\x00\x03\xff\xff"), quick=True),
    "tiff-loop": Sample("loop.tif", lambda _: tiff(_FAX, _NOISE.randbytes(4000), following=8), quick=True),
    "tiff-endless": Sample("endless.tif", lambda _: _many_directories(300_000)),
    "tiff-bomb": Sample("bomb.tif", lambda _: tiff(_RGB, b"\x80" * 4000), quick=True),
    "tiff-tall-fax": Sample("tall.tif", lambda _: tiff(_FAX | {257: 0x7FFFFFF0, 278: 0x7FFFFFF0}, b"\x26\xa1" * 2000)),
    "tiff-noise-fax": Sample("noise.tif", lambda _: tiff(_FAX, _NOISE.randbytes(4000))),
    "tiff-no-strips": Sample("strips.tif", lambda _: tiff({256: 1728, 257: 1000, 258: 1, 259: 4, 262: 0})),
    "tiff-big": Sample("big.tif", lambda _: b"II+\0\x08\0\0\0" + bytes(100)),
    "text-one-line": Sample("line.txt", lambda _: b"x" * 2_000_000),
    "text-too-long": Sample("long.txt", lambda _: b"A line of words.\n" * 3_000_000, quick=True),
    "text-form-feeds": Sample("feeds.txt", lambda _: b"a\f" * 100_000, quick=True),
    "text-stacked-marks": Sample("marks.txt", lambda _: ("a" + "\u0301\u0323\u0489" * 20_000).encode(), quick=True),
    "text-directions": Sample("directions.txt", lambda _: ("\u202e\u2066\u202b" * 20_000 + "a").encode()),
    "text-seven-bits": Sample("seven.txt", lambda _: b"+ADw-script+AD4-", quick=True),
}  # fmt: skip
