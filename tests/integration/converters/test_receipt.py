"""The receipt's PDF, read back as a customer's program reads it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pikepdf
import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pytest
from PIL import Image

from converters import Converter, Paper, ReceiptAttempt, ReceiptSheet, Rendering, Resolution, Source
from converters.tiff import Page, Writer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")


def attempt(number: int, outcome: str, sip: str, following: str = "") -> ReceiptAttempt:
    """One call."""
    return {
        "number": str(number),
        "started": f"2026-11-21 10:0{number}:11 CET",
        "ring": "6 s",
        "talk": "1 min 48 s",
        "trunk": "main",
        "media": "T.38",
        "speed": "14400 bit/s",
        "coding": "MMR",
        "ecm": "yes",
        "ecm_retries": "3",
        "sip": sip,
        "t30": "0 OK",
        "outcome": outcome,
        "pages_confirmed": "2 of 2",
        "next": following,
    }


def sheet() -> ReceiptSheet:
    """A fax that went through at the second call; its texts try to be markup."""
    return {
        "status": "sent",
        "headline": "Your fax to 044 555 01 09 was delivered",
        "explanation": "The receiving machine confirmed both pages.",
        "from_number": "+41445550100",
        "from_name": "Lindenhof & Sons",
        "from_ident": "Lindenhof",
        "to_number": "+41445550109",
        "to_display": "044 555 01 09",
        "remote_ident": "<script>alert(1)</script>",
        "subject": 'Order {{ 7 * 7 }} <img src="file:///etc/passwd"> שלום',
        "submission_id": "1234567890123456789",
        "fax_id": "1234567890123456790",
        "times": [{"label": "Accepted", "time": "2026-11-21 10:00:02 CET"}],
        "pages_confirmed": "2",
        "pages": "2",
        "attempts": [
            attempt(1, "The number was busy", "486 Busy Here", "Next call planned for 10:02."),
            attempt(2, "Delivered", "200 OK"),
        ],
        "total_line_time": "1 min 48 s",
        "sha256": "ab" * 32,
        "size": "58 KB",
        "simulated": False,
        "billing": "A-4711",
    }


def text_of(path: Path) -> str:
    """The words of all pages, on one line."""
    return " ".join(" ".join(page.get_textpage().get_text_range() for page in pdfium.PdfDocument(path)).split())


async def test_a_receipt_tells_everything_and_obeys_nothing(
    converter: Converter, documents: Path, tmp_path: Path
) -> None:
    """Lost otherwise: the receipt hides what happened, or a remote machine's name writes into it."""
    await converter.to_fax([Source("a", "", documents / "two-pages.pdf")], Rendering(), tmp_path / "fax.tif")
    await converter.receipt_pdf(sheet(), "en", tmp_path / "r.pdf", paper=Paper.A4, fax=tmp_path / "fax.tif", pages=[1])
    words = text_of(tmp_path / "r.pdf")
    for wanted in (
        "Your fax to 044 555 01 09 was delivered",
        "+41445550109",
        "Lindenhof & Sons",
        "<script>alert(1)</script>",
        'Order {{ 7 * 7 }} <img src="file:///etc/passwd">',
        "2 of 2",
        "The number was busy",
        "486 Busy Here",
        "Next call planned for 10:02.",
        "error correction with 3 repeats",
        "1234567890123456790",
        "Billing A-4711",
        "ab" * 32,
    ):
        assert wanted in words, wanted
    assert "SIMULATED" not in words
    with pikepdf.open(tmp_path / "r.pdf") as file:
        assert file.open_metadata().pdfa_status == "2B"
        assert str(file.Root.Lang) == "en"
        assert "was delivered" in str(file.docinfo.Title)
        assert len(file.pages) == 1
        assert len(file.pages[0].get_images()) == 1
    assert (tmp_path / "r.pdf").stat().st_size < 200_000


async def test_the_picture_is_the_transmitted_bitmap(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the proof shows what the document looks like, and not what was sent."""
    fax, out = tmp_path / "fax.tif", tmp_path / "r.pdf"
    await converter.to_fax([Source("a", "", documents / "two-pages.pdf")], Rendering(Resolution.STANDARD), fax)
    await converter.receipt_pdf(sheet(), "en", out, paper=Paper.A4, fax=fax, pages=[2])
    with pikepdf.open(out) as file:
        (image,) = file.pages[0].get_images().values()
        assert isinstance(image, pikepdf.Stream)
        shown = np.asarray(pikepdf.PdfImage(image).as_pil_image().convert("L"), np.float64)
    with Image.open(fax) as sent:
        sent.seek(1)
        x_dpi, y_dpi = (float(value) for value in sent.info["dpi"])
        assert abs(shown.shape[0] / shown.shape[1] - sent.height / y_dpi / (sent.width / x_dpi)) < 0.01
        meant = np.asarray(sent.convert("L").resize(shown.shape[::-1], Image.Resampling.BOX), np.float64)
    assert np.abs(shown - meant).max() <= 9, "half a step of sixteen grays"


async def test_a_page_full_of_dots_keeps_the_receipt_small(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: a photograph makes the receipt larger than the fax, and mailboxes fill."""
    fax, out = tmp_path / "fax.tif", tmp_path / "r.pdf"
    with fax.open("w+b") as file:
        writer = Writer(file.fileno())
        writer.add(Page(1728, 2292, 204.0, 196.0, random.Random(1).randbytes(216 * 2292)))
        writer.close()
    await converter.receipt_pdf(sheet(), "en", out, paper=Paper.A4, fax=fax, pages=[1])
    assert out.stat().st_size < 200_000


async def test_a_simulated_fax_says_so(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: somebody takes a test for a proof of delivery."""
    shown = sheet()
    shown["simulated"] = True
    await converter.receipt_pdf(shown, "en", tmp_path / "r.pdf", paper=Paper.LETTER)
    assert "SIMULATED" in text_of(tmp_path / "r.pdf")
    with pikepdf.open(tmp_path / "r.pdf") as file:
        assert [round(float(side)) for side in file.pages[0].mediabox[2:]] == [612, 792]


@pytest.mark.parametrize("language", ["xx", "../../../etc", "", "en-GB"])
async def test_a_language_without_template_falls_back(converter: Converter, tmp_path: Path, language: str) -> None:
    """Lost otherwise: a customer's language costs the receipt, or its name opens other files."""
    await converter.receipt_pdf(sheet(), language, tmp_path / "r.pdf", paper=Paper.A4)
    assert "Time on the line" in text_of(tmp_path / "r.pdf")


@pytest.mark.parametrize("status", ["sent", "failed", "uncertain", "cancelled", "held"])
async def test_every_end_and_the_barest_sheet_can_be_drawn(converter: Converter, tmp_path: Path, status: str) -> None:
    """Lost otherwise: a fax that failed before any call gets no receipt at all."""
    bare = sheet()
    bare["status"] = status  # type: ignore[typeddict-item]  # each of the closed list
    bare["attempts"], bare["times"] = [], []
    for name in (
        "explanation",
        "from_name",
        "from_ident",
        "remote_ident",
        "subject",
        "sha256",
        "size",
        "total_line_time",
    ):
        bare[name] = ""
    await converter.receipt_pdf(bare, "en", tmp_path / "r.pdf", paper=Paper.A4)
    assert "Your fax to" in text_of(tmp_path / "r.pdf")


async def test_many_pages_are_shown_if_asked(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: a policy that wants all pages on the receipt gets the first one only."""
    await converter.to_fax([Source("a", "", documents / "two-pages.pdf")], Rendering(), tmp_path / "fax.tif")
    await converter.receipt_pdf(
        sheet(), "en", tmp_path / "r.pdf", paper=Paper.A4, fax=tmp_path / "fax.tif", pages=[1, 2]
    )
    with pikepdf.open(tmp_path / "r.pdf") as file:
        assert len(file.pages) == 2
        assert len({key for page in file.pages for key in page.get_images()}) == 2


async def test_a_hebrew_receipt_is_in_hebrew(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: an office's receipts are in a language that it does not read, or its numbers turn around."""
    told: ReceiptSheet = {**sheet(), "headline": "הפקס שלך אל \u200e+972 3-765-4321\u200e נשלח."}
    await converter.receipt_pdf(told, "he", tmp_path / "he.pdf", paper=Paper.A4)
    words = text_of(tmp_path / "he.pdf")
    for wanted in ("קבלה על פקס", "הפקס שלך אל", "2026-11-21 10:00:02 CET", "486 Busy Here"):
        assert wanted in words
    assert "Calls" not in words
    # Programs guess the order of what they read out of a PDF; where it stands on the page is what people see.
    page = pdfium.PdfDocument(tmp_path / "he.pdf")[0].get_textpage()
    places = []
    for part in ("שלך", "4321", "972", "נשלח"):
        index, count = page.search(part).get_next()
        places.append(min(page.get_charbox(one)[0] for one in range(index, index + count)))
    assert places[0] > places[1] > places[2] > places[3]
