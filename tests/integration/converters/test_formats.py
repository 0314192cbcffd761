"""A sample of every format through the whole of the converters, compared with pictures that a person looked at.

The references are small gray pictures of the fax pages. A page may differ from its reference as far as an eye would
not mind: the ways of making black and white get better, and fonts have releases.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageFilter

from converters import Converter, Reason, Refused, Rendering, Resolution, Source

from ...data.formats.references import ALIKE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: (sample, pages of its fax)
DRAWN = [
    ("camera.jpg", 1), ("print.jpg", 1), ("photo.webp", 1), ("photo.avif", 1), ("phone.heic", 1), ("film.gif", 1),
    ("old.bmp", 1), ("deep.png", 1), ("clear.png", 1), ("scan.tif", 2), ("g3.tif", 1), ("g32d.tif", 1), ("mh.tif", 1),
    ("ghostscript.pdf", 2), ("page.html", 1), ("plan.svg", 1), ("notes.md", 1), ("list.csv", 1),
    ("turned-1.jpg", 1), ("turned-2.jpg", 1), ("turned-3.jpg", 1), ("turned-4.jpg", 1), ("turned-5.jpg", 1),
    ("turned-6.jpg", 1), ("turned-7.jpg", 1), ("turned-8.jpg", 1), ("burst.jpg", 1), ("screenshot.png", 1),
    ("feeder.tif", 4), ("tiled.tif", 1), ("planes.tif", 1), ("palette.tif", 1), ("metric.tif", 1), ("silent.tif", 1),
    ("sixteen.tif", 1), ("ink.tif", 1), ("reversed.tif", 1), ("old-jpeg.tif", 1), ("lying-3.tif", 1),
    ("lying-6.tif", 1), ("chromium.pdf", 1), ("webkit.pdf", 1), ("cairo.pdf", 1), ("tex.pdf", 1), ("groff.pdf", 2),
    ("linear.pdf", 1), ("cropped.pdf", 3), ("wide.pdf", 3), ("form.pdf", 1), ("notes.pdf", 1), ("layers.pdf", 1),
    ("type3.pdf", 1), ("unembedded.pdf", 1), ("jbig2.pdf", 1), ("jpx.pdf", 1),
]  # fmt: skip
OFFICE = [
    ("letter.docx", 2), ("letter.doc", 2), ("letter.rtf", 2), ("letter.odt", 2), ("sheet.xlsx", 1), ("sheet.xls", 1),
    ("sheet.ods", 1), ("slides.pptx", 2), ("slides.ppt", 2), ("slides.odp", 2),
]  # fmt: skip
WIDTH = 288
#: How far a page may be from its reference: gray levels on the average of blurred pixels, and of the worst block.
MEAN, WORST = 6.0, 70.0
BLOCK = 16


async def _drawn(converter: Converter, sample: Path, pages: int, folder: Path) -> list[Image.Image]:
    """The small pictures of a sample's fax pages."""
    made = await converter.to_fax([Source(sample.name, "", sample)], Rendering(), folder / "out.tif")
    assert len(made.pages) == pages
    pictures = await converter.thumbnails(folder / "out.tif", range(1, pages + 1), WIDTH)
    return [Image.open(io.BytesIO(picture)).convert("L") for picture in pictures]


def _blurred(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(2.5)), np.float32)


def _looks_like(picture: Image.Image, reference: Path) -> None:
    """Fail if an eye would see a difference."""
    with Image.open(reference) as wanted:
        assert abs(picture.height - wanted.height) <= 2
        height = min(picture.height, wanted.height) // BLOCK * BLOCK
        difference = np.abs(_blurred(picture)[:height] - _blurred(wanted.convert("L"))[:height])
    blocks = difference.reshape(height // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK).mean((1, 3))
    assert difference.mean() < MEAN, reference.name
    assert blocks.max() < WORST, reference.name


@pytest.mark.parametrize(("name", "pages"), DRAWN)
async def test_a_file_looks_as_it_should(
    converter: Converter, formats: Path, tmp_path: Path, name: str, pages: int
) -> None:
    """Lost otherwise: a picture arrives upside down, black, or cut, and is called sent."""
    for number, picture in enumerate(await _drawn(converter, formats / name, pages, tmp_path), 1):
        _looks_like(picture, formats / "references" / f"{ALIKE.get(name, name)}-{number}.png")


async def test_every_sample_is_looked_at(formats: Path) -> None:
    """Lost otherwise: a sample is there, and nobody notices that it is not drawn as it should be."""
    samples = {path.name for path in formats.iterdir() if path.is_file() and path.suffix != ".py"}
    assert samples == {name for name, _ in DRAWN + OFFICE} | {"g4.tif"}


@pytest.mark.parametrize(("name", "pages"), OFFICE)
async def test_an_office_document_looks_as_it_should(
    office_converter: Converter, formats: Path, tmp_path: Path, name: str, pages: int
) -> None:
    """Lost otherwise: a letter arrives blank, in boxes instead of letters, or with its pages shuffled."""
    for number, picture in enumerate(await _drawn(office_converter, formats / name, pages, tmp_path), 1):
        _looks_like(picture, formats / "references" / f"{name}-{number}.png")


async def test_every_coding_of_a_fax_passes_pixel_by_pixel(converter: Converter, formats: Path, tmp_path: Path) -> None:
    """Lost otherwise: a fax that another server coded by G3 or MH gets blurrier when it is passed on."""
    rows = set()
    for name in ("g3.tif", "g32d.tif", "g4.tif", "mh.tif"):
        made = await converter.to_fax([Source(name, "", formats / name)], Rendering(), tmp_path / "out.tif")
        assert made.pages[0].treatment == "fax"
        with Image.open(tmp_path / "out.tif") as sent, Image.open(formats / name) as given:
            assert sent.tobytes() == given.convert("1").tobytes()
            rows.add(sent.tobytes())
    assert len(rows) == 1


async def test_files_of_many_kinds_become_one_document_in_order(
    office_converter: Converter, formats: Path, documents: Path, tmp_path: Path
) -> None:
    """Lost otherwise: of a mail with a letter, a table and a scan, pages are missing or out of order."""
    names = ["letter.docx", "phone.heic", "sheet.xlsx", "page.html", "g3.tif"]
    sources = [Source(name, "application/octet-stream", formats / name) for name in names]
    sources.insert(2, Source("fax.tif", "", documents / "fax.tif"))
    rendering = Rendering(resolution=Resolution.STANDARD)
    made = await office_converter.to_fax(sources, rendering, tmp_path / "out.tif")
    assert [(page.source, page.source_page) for page in made.pages] == [
        ("letter.docx", 1), ("letter.docx", 2), ("phone.heic", 1), ("fax.tif", 1), ("fax.tif", 2), ("sheet.xlsx", 1),
        ("page.html", 1), ("g3.tif", 1),
    ]  # fmt: skip
    assert {page.y_dpi for page in made.pages} == {98}


async def test_without_libreoffice_office_documents_are_refused(
    converter: Converter, formats: Path, tmp_path: Path
) -> None:
    """Lost otherwise: on a machine without LibreOffice the sender is told nothing that helps."""
    with pytest.raises(Refused) as refusal:
        await converter.to_fax([Source("letter.docx", "", formats / "letter.docx")], Rendering(), tmp_path / "out.tif")
    assert refusal.value.reason is Reason.UNSUPPORTED
    assert refusal.value.sentence == '"letter.docx" is a Word document, which cannot be faxed. Please send it as a PDF.'
