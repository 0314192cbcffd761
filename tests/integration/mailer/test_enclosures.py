"""The real converters behind the mails: a receipt's PDF, a received fax's picture, in their sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converters import Converter
from relay.confine import Confinement, Sandbox
from relay.mailer import record
from relay.mailer.enclosures import Enclosures
from relay.mailer.language import Languages
from relay.mailer.receipt import receipt
from relay.store.tables import attempt, document
from transport.seam import Cause

from .desk import Desk, confirmed, ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAX = Path(__file__).parents[2] / "data" / "documents" / "fax.tif"


@pytest.fixture
async def enclosures(desk: Desk) -> AsyncIterator[Enclosures]:
    """Enclosures of the desk's blobs, with a sandbox of their own."""
    if shutil.which("bwrap") is None:
        if os.environ.get("CI"):
            pytest.fail("bubblewrap is not installed")
        pytest.skip("bubblewrap is not installed; `faxrelay doctor` tells how to install it")
    confinement = Confinement(Sandbox.BUBBLEWRAP, preload=["converters.worker"])
    yield Enclosures(Converter(confinement), desk.blobs)
    await confinement.close()


def words(pdf: Path) -> str:
    """Return what a PDF says, on one line."""
    done = subprocess.run(["pdftotext", "-raw", pdf, "-"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


async def test_a_receipt_is_a_pdf_that_says_what_the_mail_says(
    desk: Desk, enclosures: Enclosures, tmp_path: Path
) -> None:
    """Lost otherwise: the receipt of the product, which senders keep as their proof."""
    fax_id = desk.sent(ended(Cause.BUSY, sip_code=486, sip_reason="Busy Here"), confirmed(), pages=1)
    blob = desk.blobs.put(FAX.read_bytes())
    desk.store.write_now(
        lambda c: c.execute(attempt.update().values(transmitted=blob.name, transmitted_size=blob.size))
    )
    found = desk.store.read_now(record.read, fax_id)
    told = receipt(found, Languages().get("en"), UTC)
    pdf = await enclosures.receipt_pdf(told, found)
    assert pdf is not None
    (tmp_path / "receipt.pdf").write_bytes(pdf)
    shown = await asyncio.to_thread(words, tmp_path / "receipt.pdf")
    assert told.headline in shown
    assert told.explanation in shown
    assert "486 Busy Here" in shown
    assert hashlib.sha256(FAX.read_bytes()).hexdigest() in shown.replace(" ", "")
    assert len(pdf) < 200_000


async def test_a_fax_whose_pages_are_damaged_still_gets_its_mail(desk: Desk, enclosures: Enclosures) -> None:
    """Lost otherwise: a hostile page keeps a receipt, or the mail of a received fax, from its reader."""
    sent, received = desk.sent(confirmed()), desk.received(confirmed())
    found = desk.store.read_now(record.read, sent)
    assert await enclosures.receipt_pdf(receipt(found, Languages().get("en"), UTC), found) is None
    assert await enclosures.thumbnail(desk.store.read_now(record.read, received)) is None


async def test_the_first_page_of_a_received_fax_is_shown(desk: Desk, enclosures: Enclosures) -> None:
    """Lost otherwise: a reader must open the PDF to see what came."""
    fax_id = desk.received(confirmed())
    blob = desk.blobs.put(FAX.read_bytes())
    desk.store.write_now(lambda c: c.execute(document.update().values(blob=blob.name)))
    picture = await enclosures.thumbnail(desk.store.read_now(record.read, fax_id))
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


async def test_a_sent_fax_can_be_downloaded_as_it_was_transmitted(desk: Desk, enclosures: Enclosures) -> None:
    """Lost otherwise: nobody can see what the far machine was sent."""
    fax_id = desk.sent(confirmed(), pages=1)
    blob = desk.blobs.put(FAX.read_bytes())
    desk.store.write_now(lambda c: c.execute(attempt.update().values(transmitted=blob.name)))
    assert (await enclosures.fax_pdf(desk.store.read_now(record.read, fax_id))).startswith(b"%PDF-")
