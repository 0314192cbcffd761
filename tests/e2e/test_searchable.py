"""Received faxes that can be searched, through the real service: lines, sandboxes, Tesseract, mail out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from converters import ocr

from ..conftest import need
from ..pdfa import faults
from .service import DOCUMENTS, OFFICE_A, OFFICE_B, Relay

POLICY = f"""\
domains: [{{name: fax.example.com, default_region: IL}}]
numbers:
  - number: "{OFFICE_A}"
    deliver_to: [alice@example.com]
    senders: [{{match: "@example.com", proof: none}}]
  - number: "{OFFICE_B}"
    deliver_to: [bob@example.com]
    ocr: true
"""
#: Readers take what time the other tests leave.
pytestmark = pytest.mark.timeout(400)
PATIENT = 180.0
TO_B = f"{OFFICE_B}@fax.example.com"


@pytest.fixture
def searching(tmp_path: Path) -> Iterator[Relay]:
    """A running relay that reads what comes for one of its numbers."""
    need("pdftotext", "qpdf")
    if lacking := ocr.missing("eng+heb"):
        if os.environ.get("CI"):
            pytest.fail(f"apt-get install {lacking}")
        pytest.skip(f"apt-get install {lacking}")
    relay = Relay(tmp_path, policy=POLICY)
    relay.start()
    yield relay
    relay.stop()


def pdf_of(mail: EmailMessage, folder: Path) -> Path:
    """Return the fax that a mail encloses."""
    (found,) = [part for part in mail.iter_attachments() if (part.get_filename() or "").endswith(".pdf")]
    path = folder / "received.pdf"
    path.write_bytes(found.get_content())
    return path


def words(pdf: Path) -> str:
    """Return what its pages say."""
    done = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


def test_a_mailed_fax_can_be_searched(searching: Relay, tmp_path: Path) -> None:
    """Lost otherwise: `ocr: true` in the policy, and mails as before."""
    searching.mail(TO_B, document=DOCUMENTS / "two-pages.pdf")
    (received,) = searching.wait_for("delivered", "undeliverable", seconds=PATIENT)
    history = searching.ask("fax", "show", received["id"])["history"]
    assert [one["after"] for one in history if one["after"]] == ["receiving", "reading", "received", "delivered"]
    (mail,) = searching.until_mailed("bob@example.com")
    pdf = pdf_of(mail, tmp_path)
    assert "Calibration of your level meters" in words(pdf)
    assert faults(pdf.read_bytes()) == {}


def test_a_service_that_is_killed_while_it_reads_sends_one_searchable_mail(searching: Relay, tmp_path: Path) -> None:
    """Lost otherwise: kill -9 at the wrong moment loses a received fax, or mails it twice."""
    searching.mail(TO_B, document=DOCUMENTS / "two-pages.pdf")
    searching.wait_for("reading")
    searching.kill()
    searching.start()
    searching.wait_for("delivered", seconds=PATIENT)
    (mail,) = searching.until_mailed("bob@example.com")
    assert "Calibration of your level meters" in words(pdf_of(mail, tmp_path))
    searching.stop()
    assert len(searching.mails("bob@example.com")) == 1
