"""SVG drawings as gray fax pages, by resvg: no scripts, no network, no files. Meant for a confined child.

A drawing is placed by its natural size (CSS pixels are 1/96 inch, SVG 1.1 section 7.10), shrunk to the page where it is
larger, and drawn in the pixels of the page. References that lead outside the drawing are taken out of it before any
library sees them.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.parsers import expat

import numpy as np
import resvg_py
from PIL import Image

from converters import page as paging
from converters.charset import decode
from converters.document import X_DPI
from converters.errors import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.document import Rendering

#: Characters of a drawing: larger ones are pictures in disguise that take minutes.
MOST_CHARACTERS = 30_000_000
_CSS_PIXEL = paging.MM / 96
#: Millimetres of the units of SVG 1.1 section 4.2; ``em`` and ``ex`` of the usual 16 pixels.
_UNITS = {
    "": _CSS_PIXEL, "px": _CSS_PIXEL, "pt": paging.MM / 72, "pc": paging.MM / 6, "mm": 1.0, "cm": 10.0,
    "in": paging.MM, "em": 16 * _CSS_PIXEL, "ex": 8 * _CSS_PIXEL,
}  # fmt: skip
_LENGTH = re.compile(r"\s*([+]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(px|pt|pc|mm|cm|in|em|ex)?\s*")
#: What a drawing without any size is given, as browsers do, in CSS pixels.
_NO_SIZE = (300.0, 150.0)
#: Attributes that lead out of the drawing; those that begin with # or data: stay inside.
_OUTSIDE = re.compile(r"""(\b(?:[\w.-]{1,40}:)?(?:href|src)\s*=\s*)(?:"(?!#|data:)[^"]*"|'(?!#|data:)[^']*')""")

#: What a drawing shows by itself.
_DRAWN = re.compile(
    r"<(?:[\w.-]{1,40}:)?(?:(?:path|rect|circle|ellipse|line|polyline|polygon|text|foreignObject)\b"
    r"|image\b[^>]*[\"']data:)"
)


def pages(data: bytes, rendering: Rendering) -> Iterator[tuple[int, paging.Gray]]:
    """Yield ``(1, gray fax page)``, or several for a drawing longer than the paper.

    Raises :class:`Refused`: ``DAMAGED``, ``TOO_LARGE``, ``NEEDS_NETWORK``.
    """
    if len(data) > MOST_CHARACTERS:
        raise Refused(Reason.TOO_LARGE, detail=f" ({len(data) // 1_000_000} MB)")
    given = decode(data)[0].lstrip("\ufeff")
    text = _OUTSIDE.sub(r'\1""', given)
    if text != given and not _DRAWN.search(text):
        raise Refused(Reason.NEEDS_NETWORK)
    width, height = _size(text)
    y_lines = rendering.resolution.dpi
    placement = paging.place_picture(width, height, y_lines, rendering.paper)
    upright = (placement.height, placement.width) if placement.turned else (placement.width, placement.height)
    finest = max(X_DPI, y_lines) / (y_lines if placement.turned else X_DPI)
    drawn = _drawn(text, max(1, round(upright[0] * finest)))
    if placement.turned:
        drawn = drawn.transpose(Image.Transpose.ROTATE_90)
    drawn = drawn.resize((placement.width, placement.height), Image.Resampling.LANCZOS)
    for sheet in paging.lay(np.asarray(drawn), placement):
        yield 1, sheet


def _drawn(text: str, width: int) -> Image.Image:
    try:
        made = resvg_py.svg_to_bytes(
            svg_string=_without_encoding(text), width=width, dpi=96.0, background="#ffffff",
            font_family="Liberation Sans", sans_serif_family="Liberation Sans", serif_family="Liberation Serif",
            monospace_family="Liberation Mono",
        )  # fmt: skip
        with Image.open(io.BytesIO(made), formats=["PNG"]) as picture:
            return picture.convert("L")
    except (ValueError, OSError, Image.DecompressionBombError) as fault:
        raise Refused(Reason.DAMAGED) from fault
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":  # pyo3's, which no module exports
            raise
        raise Refused(Reason.DAMAGED) from fault


def _without_encoding(text: str) -> str:
    """Return the drawing without the XML declaration: its encoding is no longer true."""
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text, count=1)


class _Seen(Exception):
    """The root element was read."""


def _size(text: str) -> tuple[float, float]:
    """Return the natural width and height in millimetres."""
    root: dict[str, str] = {}

    def start(_: str, attributes: dict[str, str]) -> None:
        root.update(attributes)
        raise _Seen

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(_without_encoding(text)[:1_000_000], False)  # noqa: FBT003  expat's own signature
    except _Seen:
        pass
    except (expat.ExpatError, ValueError) as fault:
        raise Refused(Reason.DAMAGED) from fault
    box = [float(value) for value in re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", root.get("viewBox", ""))]
    box_width, box_height = box[2:4] if len(box) == 4 and min(box[2:4]) > 0 else _NO_SIZE  # noqa: PLR2004  x, y, w, h
    width, height = _millimetres(root.get("width", "")), _millimetres(root.get("height", ""))
    if width and not height:
        height = width * box_height / box_width
    elif height and not width:
        width = height * box_width / box_height
    return (width or box_width * _CSS_PIXEL), (height or box_height * _CSS_PIXEL)


def _millimetres(length: str) -> float:
    """Return a length, 0 for none and for a share of what is around the drawing."""
    found = _LENGTH.fullmatch(length)
    return float(found[1]) * _UNITS[found[2] or ""] if found else 0.0
