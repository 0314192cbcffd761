"""TIFFs as scanners and multifunction machines write them, by libtiff's tools (Debian's libtiff-tools) and Pillow."""

from __future__ import annotations

import io
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _UNIT = 274, 282, 283, 296
_CENTIMETRES = 3


def sheet(title: str, width: int, height: int) -> Image.Image:
    """Return a sheet of words with a coloured box, dark on a slightly gray paper."""
    page = Image.new("RGB", (width, height), (238, 236, 230))
    pen = ImageDraw.Draw(page)
    size = width // 22
    pen.rectangle((width // 12, width // 12, width * 11 // 12, width // 12 + 2 * size), fill=(30, 70, 140))
    pen.text((width // 9, width // 12 + size // 2), title, fill="white", font=_font("LiberationSans-Bold.ttf", size))
    for line in range((height - 5 * size) // (2 * size)):
        where = (width // 12, width // 12 + 3 * size + 2 * size * line)
        pen.text(
            where,
            f"{line + 1}. The levels were read at seven",
            fill=(40, 40, 44),
            font=_font("LiberationSerif-Regular.ttf", size),
        )
    return page


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(name, size)


def make(folder: Path) -> None:
    """Write the samples into ``folder``."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        gray = sheet("Metric", 496, 702).convert("L")
        gray.save(work / "gray.tif", dpi=(150, 150))
        colour = sheet("Planes", 480, 680)
        colour.save(work / "colour.tif", dpi=(150, 150))
        _feeder(work, folder / "feeder.tif")
        _run("tiffcp", "-c", "lzw:2", "-t", "-w", "128", "-l", "128", work / "colour.tif", folder / "tiled.tif")
        _run("tiffcp", "-c", "zip:2", "-p", "separate", work / "colour.tif", folder / "planes.tif")
        _run("tiffmedian", "-C", "16", "-c", "lzw", work / "colour.tif", folder / "palette.tif")
        _run("tiffcp", "-c", "packbits", work / "gray.tif", folder / "metric.tif")
        _run("tiffset", "-s", _UNIT, _CENTIMETRES, folder / "metric.tif")
        for tag in (_X_RESOLUTION, _Y_RESOLUTION):
            _run("tiffset", "-s", tag, "59.06", folder / "metric.tif")
        _run("tiffcp", "-c", "lzw", work / "gray.tif", folder / "silent.tif")
        for tag in (_X_RESOLUTION, _Y_RESOLUTION):
            _run("tiffset", "-u", tag, folder / "silent.tif")
        deep = np.asarray(sheet("Sixteen bits", 620, 877).convert("L"), np.uint16) * 257
        Image.fromarray(deep).save(folder / "sixteen.tif", compression="tiff_adobe_deflate", dpi=(150, 150))
        sheet("Ink for print", 480, 680).convert("CMYK").save(
            folder / "ink.tif", compression="tiff_lzw", dpi=(150, 150)
        )
        for orientation, turn in ((6, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_180)):
            path = folder / f"lying-{orientation}.tif"
            sheet("Turned", 620, 877).convert("L").transpose(turn).save(path, compression="tiff_lzw", dpi=(150, 150))
            _run("tiffset", "-s", _ORIENTATION, orientation, path)
        bits = sheet("Reversed bits", 1240, 1754).convert("L").point(lambda value: 255 * (value > 128)).convert("1")
        bits.save(work / "bits.tif", compression="group4", dpi=(150, 150))
        _run("tiffcp", "-c", "g4", "-f", "lsb2msb", work / "bits.tif", folder / "reversed.tif")
        _old_jpeg(folder / "old-jpeg.tif")


def _feeder(work: Path, target: Path) -> None:
    """One stack through the feeder: black and white at 300 dpi, colour, gray on A5, a landscape sheet."""
    parts: list[tuple[Image.Image, dict[str, Any]]] = [
        (sheet("Sheet 1: letter", 1654, 2339).convert("L").point(lambda value: 255 * (value > 128)).convert("1"),
         {"compression": "group4", "dpi": (200, 200)}),
        (sheet("Sheet 2: colour", 608, 864), {"compression": "jpeg", "quality": 40, "dpi": (150, 150)}),
        (sheet("Sheet 3: small", 496, 702).convert("L"), {"compression": "tiff_lzw", "dpi": (150, 150)}),
        (sheet("Sheet 4: wide", 1754, 1240).convert("L").point(lambda value: 255 * (value > 128)).convert("1"),
         {"compression": "group4", "dpi": (150, 150)}),
    ]  # fmt: skip
    for number, (page, options) in enumerate(parts):
        page.save(work / f"part{number}.tif", **options)
    # libtiff's tools write JPEG in strips of whole rows of blocks only.
    _run("tiffcp", "-r", 864, *(work / f"part{number}.tif" for number in range(len(parts))), target)


def _old_jpeg(path: Path) -> None:
    """JPEG as TIFF 6.0 section 22 had it: no program writes it any more, archives are full of it."""
    coded = io.BytesIO()
    sheet("Old JPEG", 620, 877).save(coded, "JPEG", quality=50)
    data = coded.getvalue()
    entries = {
        256: (4, 620), 257: (4, 877), 259: (3, 6), 262: (3, 6), 273: (4, 0), 277: (3, 3), 278: (4, 877), 279: (4, len(data)),
        282: (5, 0), 283: (5, 0), 296: (3, 2), 512: (3, 1), 513: (4, 0), 514: (4, len(data)), 258: (3, 0),
        530: (3, 2 | 2 << 16),
    }  # fmt: skip
    end = 8 + 2 + 12 * len(entries) + 4
    rational, bits, start = end, end + 8, end + 14
    entries |= {282: (5, rational), 283: (5, rational), 273: (4, start), 513: (4, start)}
    out = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    for tag, (kind, value) in sorted(entries.items()):
        count = {258: 3, 530: 2}.get(tag, 1)
        out += struct.pack("<HHII", tag, kind, count, bits if tag == 258 else value)
    path.write_bytes(out + bytes(4) + struct.pack("<II3H", 150, 1, 8, 8, 8) + data)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
