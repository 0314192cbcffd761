"""The mails about a fax before it ends: until when it waits."""

from __future__ import annotations

from policies import Hours, Window
from relay import hours
from relay.fax import Outbound
from relay.ledger import submit
from relay.store import faxes
from relay.submission import File, Recipient, Submission

from .desk import OFFICE_A, OFFICE_B, Desk

NIGHT = Hours("Asia/Jerusalem", (Window(frozenset(range(7)), 8 * 60, 12 * 60),))

WAITS = """\
Your fax to +972 3-765-4321 was accepted.

It waits for the hours in which your number sends faxes: until Tuesday 2026-09-22 08:00 (Asia/Jerusalem). You will get \
a receipt when it has ended.

To:          +972 3-765-4321
From:        +972 3-123-4567
Sender:      user@example.com
Subject:     Offer
Accepted:    2026-09-21 14:13:20 UTC
"""


def submitted(desk: Desk, **more: object) -> int:
    """Submit one fax as a mail's sender and return its id."""
    values: dict[str, object] = {
        "source": "smtp", "sender": "user@example.com", "proof": "dmarc", "number": OFFICE_A, "subject": "Offer",
        "files": (File("a.pdf", "application/pdf", 3, desk.blobs.put(b"pdf").name),),
        "recipients": (Recipient(OFFICE_B, OFFICE_B),), "message_id": "<1@example.com>",
    }  # fmt: skip
    return desk.store.write_now(submit, desk.ids, Submission(**(values | more)), desk.clock()).faxes[0]  # type: ignore[arg-type]


def test_a_fax_that_waits_for_its_hours_tells_its_sender_until_when(desk: Desk) -> None:
    """Lost otherwise: the sender of an evening hears nothing until the morning."""
    fax_id = submitted(desk, settings={"hours": hours.as_settings(NIGHT)})
    for after in (Outbound.PREPARING, Outbound.QUEUED):
        at = desk.clock()
        desk.store.write_now(faxes.move, desk.ids, fax_id, after, at=at, reason="", changes={"not_before": at})
    desk.mail_all()
    (mail,) = desk.mails()
    assert mail["To"] == "user@example.com"
    assert mail["Subject"] == "Fax to +972 3-765-4321 waits for the hours of sending"
    assert mail["In-Reply-To"] == "<1@example.com>"
    assert mail["Auto-Submitted"] == "auto-replied"
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().startswith(WAITS)
    page = mail.get_body(("html",))
    assert page is not None
    assert "Tuesday 2026-09-22 08:00" in page.get_content()


def test_automatic_mail_is_not_told_that_its_fax_waits(desk: Desk) -> None:
    """Lost otherwise: two robots write to each other all night (RFC 3834 section 2)."""
    fax_id = submitted(desk, settings={"hours": hours.as_settings(NIGHT)}, answerable=False)
    for after in (Outbound.PREPARING, Outbound.QUEUED):
        at = desk.clock()
        desk.store.write_now(faxes.move, desk.ids, fax_id, after, at=at, reason="", changes={"not_before": at})
    desk.mail_all()
    assert desk.mails() == []
