"""Documents of other formats through a running relay: a mail in, a fax out, a refusal where nothing can be made."""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

import pytest

from .service import OFFICE_B, Relay

FORMATS = Path(__file__).parents[1] / "data" / "formats"
TO_B = f"{OFFICE_B}@fax.example.com"


def test_a_word_document_by_mail_becomes_a_fax(relay: Relay) -> None:
    """Lost otherwise: the commonest attachment of all has to be made a PDF by hand."""
    relay.mail(TO_B, document=FORMATS / "letter.docx")
    (sent,) = relay.wait_for("sent", "failed", "uncertain")
    (received,) = relay.wait_for("delivered", "undeliverable")
    assert (sent["state"], sent["pages"]) == ("sent", 2)
    assert received["pages"] == 2


def test_a_document_under_a_false_name_is_refused_in_the_dialogue(relay: Relay, tmp_path: Path) -> None:
    """Lost otherwise: a web page that calls itself a bill is opened, or its sender hears of it an hour later."""
    (tmp_path / "bill.pdf").write_bytes((FORMATS / "page.html").read_bytes())
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        relay.mail(TO_B, document=tmp_path / "bill.pdf")
    told = bytes(refusal.value.smtp_error).replace(b"\r\n550-", b" ")  # type: ignore[arg-type]  # smtplib gives bytes
    assert re.search(rb"5\.6\.1 .*bill\.pdf.* is not what its name says", told), told
