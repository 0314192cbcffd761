"""Reports for machines (RFC 3464, RFC 8098): who gets one, what it says, and that it says nothing else."""

from __future__ import annotations

from datetime import UTC
from email.message import EmailMessage
from typing import Any

import pytest

from relay.mailer.compose import Identity
from relay.mailer.disposition import DispositionLane
from relay.mailer.language import Languages
from relay.mailer.letter import MAIL
from relay.mailer.maildir import Maildir
from relay.notification import ORIGINAL, WISHES, Notify, Wishes
from relay.store.tables import delivery, fax
from relay.submission import Recipient
from transport.seam import Cause

from .desk import OFFICE_B, Desk, confirmed, ended

EVERYTHING = frozenset(Notify)
HEADER = "From: user@example.com\nSubject: הצעה\nMessage-ID: <1@example.com>\n"


def asked(wishes: Wishes, **settings: Any) -> dict[str, Any]:
    """Return what a submission needs so that ``wishes`` travel with its fax."""
    told = {WISHES: wishes.as_settings(), **settings}
    recipient = Recipient(OFFICE_B, f"{OFFICE_B}@fax.example.com", told)
    return {"recipients": (recipient,), "settings": {ORIGINAL: HEADER}}


def wishes(notify: frozenset[Notify] | None, **more: Any) -> Wishes:
    """Return wishes as intake keeps them."""
    values = {"envid": "Ab+c", "address": "bounces@example.com", "heard_from": "mail.example.com"}
    return Wishes(notify=notify, original="rfc822;Bob@Example.com", **(values | more))


def told_machines(mail: EmailMessage) -> list[dict[str, str]]:
    """Return the groups of fields of a report."""
    assert mail.get_content_type() == "multipart/report"
    groups: Any = list(mail.iter_parts())[1].get_payload()
    return [{name: str(value) for name, value in group.items()} for group in groups]


def only(desk: Desk) -> EmailMessage:
    """Return the one mail that went out."""
    (mail,) = desk.mails()
    return mail


def test_a_confirmed_fax_is_reported_delivered(desk: Desk) -> None:
    """Lost otherwise: the sender's program waits for a report that never comes, or for one that it cannot read."""
    fax_id = desk.sent(
        ended(Cause.BUSY, sip_code=486, sip_reason="Busy Here"), confirmed(), **asked(wishes(EVERYTHING))
    )
    desk.mail_all()
    mail = only(desk)
    assert mail["To"] == "bounces@example.com"
    assert mail["Return-Path"] == "<>"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["In-Reply-To"] == "<1@example.com>"
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    people, machines, original = mail.iter_parts()
    assert people.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in people.iter_parts()] == ["multipart/alternative", "application/pdf"]
    assert "was sent" in people.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert machines.get_content_type() == "message/delivery-status"
    assert told_machines(mail) == [
        {
            "Original-Envelope-Id": "Ab+c",
            "Reporting-MTA": "dns; fax.example.com",
            "Received-From-MTA": "dns; mail.example.com",
            "Arrival-Date": "Mon, 21 Sep 2026 14:13:20 +0000",
        },
        {
            "Original-Recipient": "rfc822;Bob@Example.com",
            "Final-Recipient": f"rfc822;{OFFICE_B}@fax.example.com",
            "Action": "delivered",
            "Status": "2.0.0",
            "Diagnostic-Code": "x-fax; every page was confirmed (SIP 200 OK, T.30 0 OK)",
            "Last-Attempt-Date": "Mon, 21 Sep 2026 14:18:50 +0000",
            "Final-Log-ID": str(fax_id),
        },
    ]
    assert original.get_content_type() == "text/rfc822-headers"
    assert original.get_content() == HEADER


@pytest.mark.parametrize(
    ("cause", "offered", "pages", "status"),
    [
        (Cause.BUSY, False, 0, "4.4.1"),
        (Cause.BAD_NUMBER, False, 0, "5.1.1"),
        (Cause.REJECTED, False, 0, "5.7.1"),
        (Cause.LOST_CALL, True, 1, "5.4.2"),
        (Cause.CANCELLED, False, 0, "5.0.0"),
    ],
)
def test_whatever_was_not_confirmed_is_reported_failed(
    desk: Desk, cause: Cause, offered: bool, pages: int, status: str
) -> None:
    """Lost otherwise: a fax that nobody confirmed is called delivered, or a program sends an uncertain one again."""
    desk.sent(ended(cause, pages, offered=offered), **asked(wishes(EVERYTHING)))
    desk.mail_all()
    mail = only(desk)
    recipient = told_machines(mail)[1]
    assert (recipient["Action"], recipient["Status"]) == ("failed", status)
    assert "delivered" not in mail.as_string().lower().replace("delivered-to", "")


@pytest.mark.parametrize("notify", [frozenset(), frozenset({Notify.SUCCESS}), frozenset({Notify.FAILURE})])
def test_only_what_was_named_is_reported(desk: Desk, notify: frozenset[Notify]) -> None:
    """Lost otherwise: NOTIFY=NEVER is written to all the same, mailing lists first of all."""
    desk.sent(confirmed(), message_id="<1@a>", **asked(wishes(notify), accepted_mail=True, delayed_mail=60.0))
    desk.sent(ended(Cause.BUSY), message_id="<2@a>", **asked(wishes(notify), accepted_mail=True, delayed_mail=60.0))
    desk.mail_all()
    assert [told_machines(mail)[1]["Action"] for mail in desk.mails()] == [
        {Notify.SUCCESS: "delivered", Notify.FAILURE: "failed"}[one] for one in notify
    ]


def test_a_simulated_call_is_called_so_in_the_report(desk: Desk) -> None:
    """Lost otherwise: a program believes that a telephone rang."""
    desk.sent(confirmed(simulated=True), **asked(wishes(EVERYTHING)))
    desk.mail_all()
    assert told_machines(only(desk))[1]["X-Fax-Simulated"] == "yes"


def test_text_from_outside_writes_no_field(desk: Desk) -> None:
    """Lost otherwise: the far side, or an address, writes "Action: delivered" into a report."""
    nasty = "Busy\r\nAction: delivered =?utf-8?q?=0D=0AAction:_delivered?="
    told = wishes(EVERYTHING, envid="=?utf-8?q?=0D=0AAction:_delivered?=")
    desk.sent(ended(Cause.BUSY, sip_code=486, sip_reason=nasty), **asked(told))
    desk.mail_all()
    message, recipient = told_machines(only(desk))
    (path,) = (desk.folder / "mail" / "new").iterdir()
    assert b"\nOriginal-Envelope-Id: =?utf-8?q?=0D=0AAction:_delivered?=\n" in path.read_bytes()
    assert [line for line in path.read_bytes().splitlines() if line.startswith(b"Action:")] == [b"Action: failed"]
    assert "Action" not in message
    assert recipient["Action"] == "failed"


def test_what_looks_like_an_encoded_word_stays_as_it_is_in_an_identifier() -> None:
    """Lost otherwise: a Message-ID of the sender's making is decoded into lines of our header."""
    message = EmailMessage(MAIL)
    message["In-Reply-To"] = "<=?utf-8?q?a=0D=0ABcc:_x@y?=@example.com>"
    assert message.as_bytes() == b"In-Reply-To: <=?utf-8?q?a=0D=0ABcc:_x@y?=@example.com>\r\n\r\n"
    with pytest.raises(ValueError, match="not one line"):
        message["References"] = "<a@example.com>\r\nBcc: x@example.com"


def test_a_delay_is_reported_once_after_its_time(desk: Desk) -> None:
    """Lost otherwise: the sender of an urgent fax learns only in the end that the number was busy all the time."""
    desk.sent(ended(Cause.BUSY), ends=False, **asked(wishes(EVERYTHING)))
    desk.mail_all()
    assert desk.mails() == []
    for _hour in range(2):
        desk.clock.now += 3600
        desk.mail_all()
    mail = only(desk)
    recipient = told_machines(mail)[1]
    assert (recipient["Action"], recipient["Status"]) == ("delayed", "4.4.1")
    assert recipient["Will-Retry-Until"]
    assert mail["Subject"] == "Fax to +972 3-765-4321 delayed"
    assert "We called once" in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_a_delay_is_told_without_a_report_where_the_policy_says_so(desk: Desk) -> None:
    """Lost otherwise: the policy's own time is no use to senders whose programs know no DSN."""
    recipients = (Recipient(OFFICE_B, OFFICE_B, {"delayed_mail": 60.0}),)
    desk.sent(ended(Cause.BUSY, simulated=True), ends=False, recipients=recipients)
    desk.mail_all()
    desk.clock.now += 60
    desk.mail_all()
    mail = only(desk)
    assert mail["Subject"] == "[SIMULATED] Fax to +972 3-765-4321 delayed"
    assert mail.get_content_type() == "multipart/alternative"


def test_a_fax_that_has_ended_is_not_called_delayed(desk: Desk) -> None:
    """Lost otherwise: after its receipt a sender reads that the fax is still tried."""
    desk.sent(ended(Cause.BUSY), confirmed(), **asked(wishes(EVERYTHING)))
    desk.clock.now += 3600
    desk.mail_all()
    assert [told_machines(mail)[1]["Action"] for mail in desk.mails()] == ["delivered"]


def test_a_fax_that_has_ended_waits_for_no_delay(desk: Desk) -> None:
    """Lost otherwise: a fax cannot be erased for an hour after its receipt, because a mail waits that never goes."""
    desk.sent(confirmed(), **asked(wishes(EVERYTHING), delayed_mail=3600.0))
    desk.mail_all()
    assert sorted((row.kind, row.state) for row in desk.rows(delivery)) == [("delayed", "done"), ("receipt", "done")]


def test_what_was_accepted_is_told_where_the_policy_says_so(desk: Desk) -> None:
    """Lost otherwise: an office that wants to know at once that its fax is on its way hears only of the end."""
    fax_id = desk.sent(recipients=(Recipient(OFFICE_B, OFFICE_B, {"accepted_mail": True}),))
    desk.mail_all()
    mails = desk.mails()
    assert [mail["Subject"] for mail in mails] == [
        "Fax to +972 3-765-4321 accepted", "Fax to +972 3-765-4321 cancelled: Offer 4711",
    ]  # fmt: skip
    assert f"Fax {fax_id}" in mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]


def notified(desk: Desk) -> list[EmailMessage]:
    """Return the disposition notifications that the lane for them sends."""
    lane = DispositionLane(
        desk.store, Maildir(desk.folder / "mail"), Languages(), Identity("fax@fax.example.com", "Fax relay"),
        hostname="fax.example.com", zone=UTC,
    )  # fmt: skip
    desk.mail_with(lane)
    return desk.mails()


READS = Wishes(address="user@example.com", read_receipt="user@example.com")


def test_a_mail_that_asks_for_it_hears_that_it_was_processed(desk: Desk) -> None:
    """Lost otherwise: mail programs that ask for a disposition notification never show one."""
    desk.sent(confirmed(), **asked(READS))
    (mail,) = notified(desk)
    assert mail["To"] == "user@example.com"
    assert mail["Return-Path"] == "<>"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail.get_param("report-type") == "disposition-notification"
    assert told_machines(mail) == [
        {
            "Reporting-UA": "fax.example.com; faxrelay",
            "Final-Recipient": f"rfc822;{OFFICE_B}@fax.example.com",
            "Original-Message-ID": "<1@example.com>",
            "Disposition": "automatic-action/MDN-sent-automatically; processed",
        }
    ]


@pytest.mark.parametrize(
    ("result", "told", "more"),
    [
        (ended(Cause.BUSY), READS, {}),
        (ended(Cause.LOST_CALL, 1, offered=True), READS, {}),
        (confirmed(), Wishes(), {}),
        (confirmed(), Wishes(read_receipt="victim@example.org"), {}),
        (confirmed(), READS, {"answerable": False}),
        (confirmed(), READS, {"resend_of": 1}),
    ],
)
def test_no_other_fax_is_called_processed(desk: Desk, result: Any, told: Wishes, more: dict[str, Any]) -> None:
    """Lost otherwise: a fax that nobody confirmed is called processed, or a stranger is written to."""
    resent = more.pop("resend_of", None)
    fax_id = desk.sent(result, **more, **asked(told))
    if resent:
        desk.store.write_now(lambda c: c.execute(fax.update().values(resend_of=fax_id)))
    assert notified(desk) == []
