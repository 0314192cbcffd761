"""A sample of what docs/legibility.md measures: pages are read as well as Ghostscript's, colour and gray far better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converters import Converter, Mode, Resolution

from . import legibility, sheets

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("name", "resolution", "least"),
    [
        ("black on white, serif, 8 pt", Resolution.FINE, 0.985),
        ("black on white, serif, 9 pt", Resolution.STANDARD, 0.97),
        ("light gray text (#aaa), 10 pt", Resolution.STANDARD, 0.97),
        ("white on gray, 10 pt", Resolution.FINE, 0.985),
        ("Hebrew, black on white, 9 pt", Resolution.FINE, 0.97),
        ("Cyrillic, black on white, 9 pt", Resolution.FINE, 0.97),
    ],
)
async def test_words_can_be_read(
    converter: Converter, tmp_path: Path, name: str, resolution: Resolution, least: float
) -> None:
    """Lost otherwise: a change of the pixels makes small or coloured writing illegible and no one sees it."""
    sheet = next(sheet for sheet in [*sheets.words(), *sheets.scripts()] if sheet.name == name)
    right, size, theirs, their_size = await legibility.measure_words(converter, tmp_path, sheet, resolution)
    assert right >= least
    assert right >= theirs - 0.012
    assert size <= 1.1 * their_size


async def test_a_colour_scan_can_be_read(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: the usual fax of these days, an invoice from a colour scanner, arrives as a cloud of dots."""
    sheet = next(sheet for sheet in sheets.mixed() if "mixed page, scanned" in sheet.name)
    right, size, theirs, their_size = await legibility.measure_words(converter, tmp_path, sheet, Resolution.FINE)
    assert right >= 0.95
    assert right > theirs
    assert size <= 0.4 * their_size


async def test_hairlines_are_kept(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: the lines of a form vanish, and with them which figure belongs where."""
    points, _, pdf = sheets.lines()[1]
    assert points == 0.1
    page = await legibility.ours(converter, sheets.saved(pdf, tmp_path), Resolution.STANDARD)
    assert legibility.kept(page, down=False) > 0.95
    assert legibility.kept(page, down=True) > 0.95


async def test_a_photograph_keeps_its_tones(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: faces and damages on a photograph cannot be recognised."""
    pdf, photo = sheets.photograph()
    path = sheets.saved(pdf, tmp_path)
    auto = await legibility.ours(converter, path, Resolution.FINE)
    quality = await legibility.ours(converter, path, Resolution.FINE, Mode.QUALITY)
    assert legibility.follows(auto, photo) > 0.97
    assert legibility.follows(quality, photo) > 0.97
    assert auto.size < 0.8 * quality.size
