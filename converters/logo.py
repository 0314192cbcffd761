"""A logo in black and white, fit for a fax page: solid areas and clean edges, no dots. Meant for a confined child.

A logo is drawn for colour screens; on a fax it has two colours. Transparent ground is paper, the darkest tone becomes
black, and the threshold is where it parts the logo's tones best (Otsu, "A Threshold Selection Method from Gray-Level
Histograms", 1979).
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image, ImageChops

#: Bytes of a logo's file that are read at all, and pixels of its longer side.
MOST_BYTES: Final = 1024 * 1024
MOST_SIDE: Final = 4000
#: Pixels of the drawn logo's longer side: 60 mm at 400 dots an inch, twice the finest usual page.
_SIDE: Final = 944
#: Levels that a logo's tones must differ by to be seen at all.
_LEAST_RANGE: Final = 8
#: What is lighter everywhere is white.
_LIGHT: Final = 240


def drawn(data: bytes) -> tuple[bytes, float] | None:
    """Return a logo as a black and white PNG and its width by its height; ``None`` for what cannot be shown.

    ``data``: a PNG or JPEG file. A cover without its logo is still a fax, so no fault of a logo stops one.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            if max(picture.size) > MOST_SIDE:
                return None
            gray = _on_paper(picture)
    except (OSError, SyntaxError, ValueError):  # what Pillow raises for damaged files of the two kinds
        return None
    ink = np.asarray(gray)
    if int(ink.max()) - int(ink.min()) < _LEAST_RANGE and ink.min() > _LEAST_RANGE:
        return None
    rows, columns = (np.flatnonzero((ink < _threshold(ink)).any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        return None
    trimmed = gray.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    scale = _SIDE / max(trimmed.size)
    size = (max(1, round(trimmed.width * scale)), max(1, round(trimmed.height * scale)))
    smooth = np.asarray(trimmed.resize(size, Image.Resampling.LANCZOS))
    coded = io.BytesIO()
    Image.fromarray((smooth >= _threshold(smooth)).astype(np.uint8) * 255).convert("1").save(coded, "PNG")
    return coded.getvalue(), size[0] / size[1]


def _on_paper(picture: Image.Image) -> Image.Image:
    """Return a picture in gray on white."""
    if picture.mode in {"P", "PA", "LA"} or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode == "RGBA":
        paper = Image.new("RGBA", picture.size, "white")
        gray = Image.alpha_composite(paper, picture).convert("L")
        # A white logo is drawn for dark grounds; its shape is in what is not transparent.
        return gray if np.asarray(gray).min() < _LIGHT else ImageChops.invert(picture.getchannel("A"))
    if picture.mode.startswith("I"):  # 16 bits: Pillow would clip what is above 255
        return Image.fromarray((np.asarray(picture, np.uint32) >> 8).astype(np.uint8))
    return picture.convert("L")


def _threshold(gray: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    """Return the level under which a pixel is black; paper is white whatever a logo holds."""
    counts = np.bincount(gray.ravel(), minlength=256).astype(np.float64)
    counts[255] = max(counts[255], 1.0)
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.nanargmax(np.where(np.isfinite(between), between, -1.0))) + 1
