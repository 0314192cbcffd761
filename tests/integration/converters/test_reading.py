"""Reading of fax pages: documents are faxed, read by the real Tesseract and searched by programs that are not ours."""

from __future__ import annotations

import asyncio
import html
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pikepdf
import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pytest
from weasyprint import HTML  # type: ignore[import-untyped]

from converters import Broken, Converter, FaxStrip, Reason, Refused, Rendering, Resolution, Source, ocr
from converters.tiff import Page, Writer

from ...conftest import need
from ...pdfa import faults
from .legibility import accuracy
from .sheets import WORDS

#: Readers take what time the other tests leave.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
TIME: dict[str, float] = {"seconds": 60, "wall": 250}

HEBREW = (
    "המשאבה בבאר 4 נבדקה ביום 17 במרץ בשעה 09:35 בעומס של 2,860 קילוגרם. העובדים תיקנו את המד ביד, והקריאה ירדה "
    "משבעים ואחד לשישים ושלושה מילימטר. נא לשלם 1,947 שקלים לפני 30 באפריל. בתיבה השישית יש תריסר שסתומי פליז, ולכל "
    "אחד תווית חתומה."
)
_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: The A4 sheet stands in the middle of a line of 1728 dots at 204 an inch.
LEFT = (1728 / 204 * 72 - 595.28) / 2


@pytest.fixture(autouse=True)
def _tesseract() -> None:
    """Tesseract with both languages; missing, a skip on a laptop and a failure in CI."""
    need("pdftotext", "qpdf")
    if lacking := ocr.missing("eng+heb"):
        message = f"Tesseract cannot read: apt-get install {lacking}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@dataclass(frozen=True)
class Place:
    """A word where pdftotext found it, in points from the upper left corner."""

    text: str
    left: float
    top: float


def places(pdf: Path) -> list[Place]:
    """The words of a PDF's first page."""
    done = subprocess.run(["pdftotext", "-l", "1", "-bbox", pdf, "-"], capture_output=True, text=True, check=True)
    found = re.findall(r'<word xMin="([\d.]+)" yMin="[\d.-]+" xMax="[\d.]+" yMax="([\d.]+)">(.*?)</word>', done.stdout)
    return [Place(_MARKS.sub("", html.unescape(text)), float(left), float(bottom)) for left, bottom, text in found]


def words(pdf: Path) -> str:
    """The text of a PDF in the order in which it is read, on one line."""
    done = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True)
    return " ".join(_MARKS.sub("", done.stdout).split())


def letter(path: Path, text: str, size: int, direction: str) -> None:
    """Write a page of one paragraph, twice."""
    font = "'Liberation Serif', 'DejaVu Sans'"
    HTML(
        string=f"<style>@page {{ size: A4; margin: 25mm }} body {{ font: {size}pt {font} }}</style>"
        f'<body dir="{direction}">' + f"<p>{text}</p>" * 2
    ).write_pdf(path)


@pytest.mark.parametrize("resolution", [Resolution.STANDARD, Resolution.FINE])
@pytest.mark.parametrize(
    ("text", "direction", "phrase"), [(WORDS, "ltr", "twelve dozen brass"), (HEBREW, "rtl", "תריסר שסתומי פליז")]
)
async def test_a_fax_is_found_by_its_words_where_they_stand(
    converter: Converter, tmp_path: Path, resolution: Resolution, text: str, direction: str, phrase: str
) -> None:
    """Lost otherwise: a search in received faxes finds nothing, or marks the wrong place, or Hebrew backwards."""
    source, fax, plain, pdf = (tmp_path / name for name in ("source.pdf", "fax.tif", "plain.pdf", "fax.pdf"))
    letter(source, text, 11, direction)
    await converter.to_fax([Source("a.pdf", "application/pdf", source)], Rendering(resolution), fax)
    await converter.to_pdf(fax, plain, "Fax")
    found = await converter.read_page(fax, 1, "eng+heb", **TIME)
    await converter.to_pdf(fax, pdf, "Fax", texts=[found])
    page = pdfium.PdfDocument(pdf)[0].get_textpage()
    assert accuracy(" ".join(page.get_text_range().split()), " ".join([text] * 2)) > 0.97
    assert page.search(phrase).get_next() is not None
    assert phrase in words(pdf), "what Poppler finds, as PDFium, which is Chrome's, did"
    meant = places(source)
    near = [
        any(
            one.text == other.text and abs(one.left - LEFT - other.left) < 4 and abs(one.top - other.top) < 4
            for other in meant
        )
        for one in places(pdf)
    ]
    assert len(near) > 0.9 * len(meant)
    assert sum(near) / len(near) > 0.9
    with pikepdf.open(plain) as before, pikepdf.open(pdf) as after:
        rows = [file.pages[0].obj.Resources.XObject.F.read_raw_bytes() for file in (before, after)]
    assert rows[0] == rows[1]
    assert faults(pdf.read_bytes()) == {}


@pytest.mark.parametrize(
    ("text", "direction", "phrase"), [(WORDS, "ltr", "twelve dozen"), (HEBREW, "rtl", "לשישים ושלושה")]
)
async def test_a_page_that_came_upside_down_is_read(
    converter: Converter, tmp_path: Path, text: str, direction: str, phrase: str
) -> None:
    """Lost otherwise: of each sender who feeds his pages in the wrong way round, nothing is ever found."""
    source, head, fax, pdf = (tmp_path / name for name in ("source.pdf", "head.pdf", "fax.tif", "fax.pdf"))
    letter(source, text, 11, direction)
    with pikepdf.open(source) as book:
        book.pages[0].rotate(180, relative=True)
        book.save(head)
    await converter.to_fax([Source("a.pdf", "application/pdf", head)], Rendering(), fax)
    await converter.to_pdf(fax, pdf, "Fax", texts=[await converter.read_page(fax, 1, "eng+heb", **TIME)])
    assert phrase in words(pdf)
    meant = {(round(one.left / 8), round(one.top / 8)) for one in places(source)}
    found = {(round((one.left - LEFT) / 8), round(one.top / 8)) for one in places(fax_turned(pdf))}
    assert len(meant & found) > 0.5 * len(meant), "the words stand over their pictures"
    assert faults(pdf.read_bytes()) == {}


def fax_turned(pdf: Path) -> Path:
    """The PDF as somebody looks at it who turns its pages."""
    out = pdf.with_name("turned.pdf")
    with pikepdf.open(pdf) as book:
        book.pages[0].rotate(180, relative=True)
        book.save(out)
    return out


async def test_words_are_not_drawn(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: a received fax looks different once it can be searched."""
    source, fax, plain, pdf = (tmp_path / name for name in ("source.pdf", "fax.tif", "plain.pdf", "fax.pdf"))
    letter(source, WORDS, 11, "ltr")
    await converter.to_fax([Source("a.pdf", "application/pdf", source)], Rendering(), fax)
    await converter.to_pdf(fax, plain, "Fax")
    await converter.to_pdf(fax, pdf, "Fax", texts=[await converter.read_page(fax, 1, "eng", **TIME)])
    pictures = [pdfium.PdfDocument(path)[0].render(scale=2).to_pil().tobytes() for path in (plain, pdf)]
    assert pictures[0] == pictures[1]


async def test_a_page_has_its_time(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: one page holds up a mail, and every fax behind it."""
    source, fax = tmp_path / "source.pdf", tmp_path / "fax.tif"
    letter(source, WORDS * 2, 8, "ltr")
    await converter.to_fax([Source("a.pdf", "application/pdf", source)], Rendering(), fax)
    with pytest.raises(Refused) as refused:
        await converter.read_page(fax, 1, "eng", seconds=0.2, wall=100)
    assert refused.value.reason is Reason.TOO_LONG
    with pytest.raises(Refused) as refused:
        await converter.read_page(fax, 1, "eng", seconds=60, wall=0.2)
    assert refused.value.reason is Reason.TOO_LONG


async def test_what_cannot_be_read_is_told_from_what_has_no_words(
    converter: Converter, documents: Path, tmp_path: Path
) -> None:
    """Lost otherwise: a missing language passes for blank pages, for weeks."""
    with pytest.raises(Broken, match="xyz"):
        await converter.read_page(documents / "fax.tif", 1, "xyz", **TIME)
    with pytest.raises(Broken):
        await converter.read_page(documents / "fax.tif", 1, "eng; rm -rf /", **TIME)
    with pytest.raises(Refused):
        await converter.read_page(documents / "fax.tif", 99, "eng", **TIME)
    with (tmp_path / "blank.tif").open("w+b") as file:
        writer = Writer(file.fileno())
        writer.add(Page(1728, 2000, 204.0, 196.0, bytes(216 * 2000)))
        writer.close()
    assert await converter.read_page(tmp_path / "blank.tif", 1, "eng", **TIME) == b""


@pytest.mark.parametrize(("width", "height"), [(1728, 1200), (40, 3), (2432, 500)])
async def test_noise_is_read_or_refused(converter: Converter, tmp_path: Path, width: int, height: int) -> None:
    """Lost otherwise: a page of a hostile or broken machine brings the reader down with all that waits for it."""
    noise = random.Random(width).randbytes(20_000)
    await converter.assemble([FaxStrip(width, height, 204, 98, noise)], tmp_path / "fax.tif")
    found = await converter.read_page(tmp_path / "fax.tif", 1, "eng", **TIME)
    await converter.to_pdf(tmp_path / "fax.tif", tmp_path / "fax.pdf", "Noise", texts=[found])
    assert faults((tmp_path / "fax.pdf").read_bytes()) == {}


async def test_reading_takes_only_time_that_nobody_wants(documents: Path) -> None:
    """Lost otherwise: a page that is read makes calls stutter on a busy machine."""
    asked = (
        "import os, sys; from converters.tesseract import read; "
        "read(os.open(sys.argv[1], os.O_RDONLY), 1, 'eng'); print(os.sched_getscheduler(0) == os.SCHED_IDLE)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", asked, str(documents / "fax.tif")]
    said = await asyncio.to_thread(subprocess.check_output, command, env=environment, text=True)
    assert said.split() == ["True"]
