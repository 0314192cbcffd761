"""Logos in black and white."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from converters.logo import MOST_SIDE, drawn


def coded(picture: Image.Image, kind: str = "PNG") -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def shape(mode: str, ground: object, ink: object) -> Image.Image:
    """Return a disc of ``ink`` in the middle third of ``ground``."""
    picture = Image.new(mode, (300, 150), ground)  # type: ignore[arg-type]
    ImageDraw.Draw(picture).ellipse((100, 25, 199, 124), fill=ink)  # type: ignore[arg-type]
    return picture


def black(data: bytes) -> float:
    """Return the share of black in a drawn logo."""
    found = drawn(data)
    assert found is not None
    picture = Image.open(io.BytesIO(found[0]))
    assert picture.mode == "1"
    return float(1 - np.asarray(picture).mean())


@pytest.mark.parametrize(
    ("mode", "ground", "ink"),
    [
        ("RGB", (255, 255, 255), (0, 102, 204)),
        ("RGB", (255, 255, 255), (255, 225, 90)),
        ("RGBA", (0, 0, 0, 0), (10, 10, 10, 255)),
        ("RGBA", (255, 255, 255, 0), (255, 255, 255, 255)),
        ("L", 255, 200),
        ("LA", (0, 0), (90, 255)),
        ("1", 1, 0),
        ("I;16", 65535, 20000),
    ],
)
def test_a_logo_is_black_whatever_its_colours(mode: str, ground: object, ink: object) -> None:
    """Lost otherwise: a yellow, a white or a transparent logo is an empty or a black field on every fax."""
    data = coded(shape(mode, ground, ink))
    found = drawn(data)
    assert found is not None
    assert 0.95 < found[1] < 1.05, "the ground around it is cut off"
    assert 0.74 < black(data) < 0.83, "a disc fills pi / 4 of its frame"


def test_a_palette_and_the_inks_of_a_press_are_read() -> None:
    """Lost otherwise: the logo from the designer's archive is refused or turned to its negative."""
    picture = shape("RGB", (255, 255, 255), (200, 30, 30))
    assert 0.74 < black(coded(picture.convert("P"))) < 0.83
    assert 0.74 < black(coded(picture.convert("CMYK"), "JPEG")) < 0.83


@pytest.mark.parametrize("ground", [(255, 255, 255), (250, 250, 250)])
def test_an_empty_picture_is_no_logo(ground: tuple[int, int, int]) -> None:
    """Lost otherwise: a blank file becomes a black field."""
    assert drawn(coded(Image.new("RGB", (100, 50), ground))) is None


def test_what_is_no_picture_or_too_large_is_no_logo() -> None:
    """Lost otherwise: a file that was put in a logo's place ends the making of every fax."""
    assert drawn(b"%PDF-1.7") is None
    assert drawn(coded(Image.new("L", (10, 10)), "GIF")) is None
    assert drawn(coded(Image.new("1", (MOST_SIDE + 1, 1)))) is None


def test_damage_is_told_by_none() -> None:
    """Lost otherwise: one flipped byte of a logo stops the faxes of a house."""
    chance = random.Random(4711)
    for kind in ("PNG", "JPEG"):
        whole = coded(shape("RGB", (255, 255, 255), (0, 102, 204)), kind)
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 5)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            drawn(bytes(data[: chance.randint(8, len(data))]))
