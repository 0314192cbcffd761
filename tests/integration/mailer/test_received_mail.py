"""The mail with a received fax: what it says and brings, and how it is followed."""

from __future__ import annotations

import pytest

from relay.mailer.lane import Followed
from relay.reports import ReportAddresses
from relay.store.tables import delivery
from transport.seam import Cause

from .desk import OFFICE_B, PNG, Desk, confirmed, ended
from .reader import text, the_mail, words

CUT = """\
A fax from +972 3-123-4567: 2 pages, attached as fax_FAX_20260921.pdf.
The call was cut after page 2; what was confirmed is attached. There may have been more pages.

From:        +972 3-123-4567
Ident:       OFFICE A (CSID: what the sending machine calls itself)
To:          +972 3-765-4321
Pages:       2
Time:        2026-09-21 14:13:20 UTC
Duration:    1 min 1 s

Fax FAX
"""

MISSED = """\
A fax call from a withheld number ended before a page was received: the machines could not agree on a speed.

From:        a withheld number
To:          +972 3-765-4321
Pages:       0
Time:        2026-09-21 14:13:20 UTC
Duration:    12 s

Fax FAX
"""


def test_a_received_fax_is_mailed_with_its_pdf_and_its_first_page(desk: Desk) -> None:
    """Lost otherwise: fax to mail."""
    fax_id = desk.received(confirmed())
    mail = the_mail(desk)
    assert mail["Subject"] == f"New Fax Received - {OFFICE_B}"
    assert mail["To"] == "bob@example.com"
    assert (mail["Message-Context"], mail["Auto-Submitted"]) == ("fax-message", "auto-generated")
    assert mail["Return-Path"] == "<fax@fax.example.com>"
    (pdf,) = mail.iter_attachments()
    assert pdf.get_filename() == f"fax_{fax_id}_20260921.pdf"
    assert pdf.get_content() == b"%PDF received"
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert pictures[0].get_payload(decode=True) == PNG
    assert f"cid:{pictures[0]['Content-ID'].strip('<>')}" in text(mail, "html")
    assert f"A fax from +972 3-123-4567: 2 pages, attached as {pdf.get_filename()}." in text(mail)


def test_a_call_that_was_cut_delivers_what_was_confirmed_and_says_so(desk: Desk) -> None:
    """Lost otherwise: pages are thrown away, or a part is taken for the whole."""
    desk.received(ended(Cause.LOST_CALL, 2, talk_seconds=61, remote_ident="OFFICE A"))
    mail = the_mail(desk)
    assert words(mail) == CUT
    assert len(list(mail.iter_attachments())) == 1


def test_a_call_that_brought_no_page_is_told(desk: Desk) -> None:
    """Lost otherwise: nobody calls back a sender whose fax did not come through."""
    desk.received(ended(Cause.TRAINING, talk_seconds=12), pages=0, peer="")
    mail = the_mail(desk)
    assert mail["Subject"] == f"Fax not received - {OFFICE_B}"
    assert words(mail) == MISSED


def test_a_policy_that_withholds_pages_sends_no_picture(desk: Desk) -> None:
    """Lost otherwise: the first page stands in a preview that others see."""
    desk.received(confirmed(), settings={"deliver_to": ["bob@example.com"], "receipt_pages": "none"})
    mail = the_mail(desk)
    assert not [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert "cid:" not in text(mail, "html")


FOLLOWED = Followed(
    lambda one, at: (f"https://fax.example.com/link/open/{one}", at + 604_800),
    ReportAddresses(b"k" * 32, "fax.example.com").of,
)


@pytest.mark.parametrize("language", ["en", "he"])
def test_a_received_fax_is_followed_as_its_number_asks(desk: Desk, language: str) -> None:
    """Lost otherwise: nobody learns that a mail was opened; or a reader is asked whom nobody wanted to ask."""
    ways: list[list[str]] = [[], ["link"], ["receipt"], ["link", "receipt"]]
    for asked in ways:
        settings = {"deliver_to": ["bob@example.com"], "language": language, "opened_by": asked}
        desk.received(confirmed(), settings=settings, line_call=f"in {asked}")
        desk.clock.now += 1
    desk.mail_all(followed=FOLLOWED)
    rows = [row for row in desk.rows(delivery) if row.kind == "received_fax"]
    for asked, mail, row in zip(ways, desk.mails(), rows, strict=True):
        address = FOLLOWED.reports(row.id)
        assert mail["Return-Path"] == f"<{address}>"
        assert mail["Disposition-Notification-To"] == (f"<{address}>" if "receipt" in asked else None)
        link = f"https://fax.example.com/link/open/{row.id}"
        for kind in ("plain", "html"):
            body = mail.get_body((kind,))
            assert body is not None
            assert (link in body.get_content()) is ("link" in asked)


def test_without_addresses_or_a_base_url_no_mail_is_followed(desk: Desk) -> None:
    """Lost otherwise: a reader is asked for a receipt that reaches nobody, or shown a link that leads nowhere."""
    settings = {"deliver_to": ["bob@example.com"], "language": "en", "opened_by": ["link", "receipt"]}
    desk.received(confirmed(), settings=settings)
    desk.mail_all()
    (mail,) = desk.mails()
    assert mail["Return-Path"] == "<fax@fax.example.com>"
    assert mail["Disposition-Notification-To"] is None
    assert "/link/open/" not in mail.as_string()


def test_a_missed_call_is_not_followed(desk: Desk) -> None:
    """Lost otherwise: a reader is asked to confirm a fax that never came."""
    settings = {"deliver_to": ["bob@example.com"], "language": "en", "opened_by": ["link", "receipt"]}
    desk.received(ended(Cause.TRAINING), pages=0, settings=settings)
    desk.mail_all(followed=FOLLOWED)
    (mail,) = desk.mails()
    assert mail["Return-Path"] == "<fax@fax.example.com>"
    assert mail["Disposition-Notification-To"] is None
