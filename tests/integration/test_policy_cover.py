"""``faxrelay policy cover``: the page that an administrator looks at before anybody sends it."""

from __future__ import annotations

import io
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw

from relay.cli import faxrelay

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
domains: [{name: fax.example.com, default_region: IL, language: he}]
cover: {look: office, company: Northwind, logo: logo.png}
numbers: [{number: +97231234567, deliver_to: [a@example.com], body: cover}]
"""

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None and not os.environ.get("CI"), reason="bubblewrap is not here"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy folder with a logo."""
    picture = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(picture).ellipse((10, 10, 190, 190), fill="navy")
    (tmp_path / "policy").mkdir()
    picture.save(tmp_path / "policy" / "logo.png")
    (tmp_path / "policy" / "p.yaml").write_text(POLICY)
    return tmp_path / "policy"


def run(folder: Path, *more: str) -> Result:
    """Ask for a cover."""
    output = str(folder.parent / "cover.png")
    environment = {"FAXRELAY_DATA": str(folder.parent)}
    return CliRunner().invoke(
        faxrelay, ["policy", "cover", "-o", output, "--folder", str(folder), *more], env=environment
    )


def test_the_page_is_drawn_as_it_would_go(folder: Path) -> None:
    """Lost otherwise: an administrator sees the cover for the first time when a customer complains."""
    result = run(folder, "03-1234567")
    assert result.exit_code == 0, result.output
    assert "cover.png: " in result.output
    assert "s at 14400 bit/s" in result.output
    hebrew = (folder.parent / "cover.png").read_bytes()
    with Image.open(io.BytesIO(hebrew)) as picture:
        assert picture.width == 1728
        assert 1.3 < picture.height / picture.width < 1.45, "true proportion at any resolution"
    more = ["--look", "letter", "--language", "en", "--subject", "Hello", "--resolution", "standard"]
    assert run(folder, "+97231234567", *more).exit_code == 0
    assert (folder.parent / "cover.png").read_bytes() != hebrew


def test_a_long_text_gives_further_pictures(folder: Path) -> None:
    """Lost otherwise: the second page of a cover is never looked at."""
    text = folder.parent / "text"
    text.write_text("a line\n" * 90)
    assert run(folder, "03-1234567", "--text", str(text)).exit_code == 0
    assert (folder.parent / "cover-2.png").is_file()


def test_what_cannot_be_drawn_is_told(folder: Path) -> None:
    """Lost otherwise: a wrong number or a wrong policy ends in a stack trace."""
    result = run(folder, "03-7654321")
    assert (result.exit_code, "03-7654321 is no number of the policy" in result.output) == (3, True)
    (folder / "logo.png").unlink()
    result = run(folder, "03-1234567")
    assert result.exit_code == 1
    assert "p.yaml:2:" in result.output
    assert "cover.logo: there is no file" in result.output
