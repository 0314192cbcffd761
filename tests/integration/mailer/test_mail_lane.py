"""The mails that people get, word by word, from real rows; their headers; what outside text cannot do in them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from converters import Broken
from converters.receipt import ReceiptSheet
from relay.fax import Outbound
from relay.ledger import submit
from relay.outbox import REFUSAL, Delivered, Post, post
from relay.store import faxes
from relay.store.queue import Claim
from relay.store.tables import attempt, delivery
from relay.submission import File, Recipient, Submission
from transport.seam import Cause

from .desk import NOW, OFFICE_A, OFFICE_B, Desk, confirmed, ended
from .reader import text, the_mail, words

if TYPE_CHECKING:
    from relay.mailer.letter import Letter
    from relay.outbox import Outcome

BUSY = ended(Cause.BUSY, sip_code=486, sip_reason="Busy Here")

SENT = """\
Your fax to +972 3-765-4321 was sent. The receiving machine confirmed all 2 pages.

Subject:     Offer 4711
To:          +972 3-765-4321 (the machine there calls itself OFFICE B)
From:        user@example.com, +972 3-123-4567
Pages:       2 of 2 confirmed by the receiving machine
Accepted:    2026-09-21 14:13:20 UTC
First call:  2026-09-21 14:13:20 UTC
Ended:       2026-09-21 14:13:20 UTC
On line:     48 s

Call
 1. 2026-09-21 14:13:20 UTC: every page was confirmed; 2 of 2 pages
    simulated, T.38, 14400 bit/s V.17, MMR, error correction with 0 repeats, ringing 2 s, \
connected 48 s, SIP 200 OK, T.30 0 OK
    As the line said.

The receipt is attached as a PDF.

Fax FAX, submission SUBMISSION
Transmitted image: 24 KB, SHA-256 DIGEST
"Sent" means that the receiving machine confirmed every page. It does not say that a person has read them.
"""

BUSY_FOUR_TIMES = """\
Your fax to +972 3-765-4321 was not sent.
The number was busy. We tried 4 times between 14:13 and 14:28 UTC. Please try again later.

To send it again, open this link before 2026-09-28 14:33:20 UTC; it works once:
http://127.0.0.1:8080/link/resend/FAX

Subject:     Offer 4711
To:          +972 3-765-4321
From:        user@example.com, +972 3-123-4567
Pages:       0 of 2 confirmed by the receiving machine
Accepted:    2026-09-21 14:13:20 UTC
First call:  2026-09-21 14:13:20 UTC
Ended:       2026-09-21 14:28:20 UTC

Calls
 1. 2026-09-21 14:13:20 UTC: the number was busy; 0 of 2 pages
    simulated, SIP 486 Busy Here
    As the line said; call 2 of 4 follows.
 2. 2026-09-21 14:18:20 UTC: the number was busy; 0 of 2 pages
    simulated, SIP 486 Busy Here
    As the line said; call 3 of 4 follows.
 3. 2026-09-21 14:23:20 UTC: the number was busy; 0 of 2 pages
    simulated, SIP 486 Busy Here
    As the line said; call 4 of 4 follows.
 4. 2026-09-21 14:28:20 UTC: the number was busy; 0 of 2 pages
    simulated, SIP 486 Busy Here
    As the line said.

The receipt is attached as a PDF.

Fax FAX, submission SUBMISSION
"""

UNCERTAIN = """\
Your fax to +972 3-765-4321 was transmitted, but its arrival was not confirmed.
The last page went out, and the call ended before the receiving machine confirmed it. The receiving machine confirmed \
1 of 2 pages. Please ask the recipient before you send it again: it may arrive twice.

To send it again, open this link before 2026-09-28 14:18:20 UTC; it works once:
http://127.0.0.1:8080/link/resend/FAX

Subject:     Offer 4711
To:          +972 3-765-4321
From:        user@example.com, +972 3-123-4567
Pages:       1 of 2 confirmed by the receiving machine
Accepted:    2026-09-21 14:13:20 UTC
First call:  2026-09-21 14:13:20 UTC
Ended:       2026-09-21 14:13:20 UTC
On line:     31 s

Call
 1. 2026-09-21 14:13:20 UTC: the call was cut; 1 of 2 pages
    simulated, audio, 9600 bit/s, connected 31 s
    As the line said.

The receipt is attached as a PDF.

Fax FAX, submission SUBMISSION
Transmitted image: 24 KB, SHA-256 DIGEST
"""

CANCELLED = """\
Your fax to +972 3-765-4321 was cancelled.
No call was made.

Subject:     Offer 4711
To:          +972 3-765-4321
From:        user@example.com, +972 3-123-4567
Pages:       0 of 2 confirmed by the receiving machine
Accepted:    2026-09-21 14:13:20 UTC
Ended:       2026-09-21 14:13:20 UTC

The receipt is attached as a PDF.

Fax FAX, submission SUBMISSION
"""


def test_a_sent_fax_is_told_so(desk: Desk) -> None:
    """Lost otherwise: the sender does not know that the fax arrived, or reads it in codes."""
    desk.sent(confirmed())
    mail = the_mail(desk)
    assert mail["Subject"] == "Fax sent to +972 3-765-4321: Offer 4711"
    assert words(mail) == SENT


def test_a_busy_number_is_told_with_what_was_tried(desk: Desk) -> None:
    """Lost otherwise: the sender does not know that the fax did not arrive, nor what to do."""
    desk.sent(BUSY, BUSY, BUSY, BUSY)
    mail = the_mail(desk)
    assert mail["Subject"] == "Fax not sent to +972 3-765-4321: Offer 4711"
    assert words(mail) == BUSY_FOUR_TIMES
    assert "http://127.0.0.1:8080/link/resend/" in text(mail, "html")


def test_an_uncertain_fax_is_never_called_sent_nor_failed(desk: Desk) -> None:
    """Lost otherwise: a document is delivered twice, or believed to be delivered."""
    desk.sent(ended(Cause.LOST_CALL, 1, offered=True, bit_rate=9600, talk_seconds=31))
    mail = the_mail(desk)
    assert mail["Subject"] == "Fax to +972 3-765-4321 not confirmed: Offer 4711"
    assert words(mail) == UNCERTAIN


def test_a_cancelled_fax_is_told_so(desk: Desk) -> None:
    """Lost otherwise: the sender waits for a fax that nobody sends."""
    desk.sent()
    assert words(the_mail(desk)) == CANCELLED


def test_causes_that_changed_tell_the_last_one(desk: Desk) -> None:
    """Lost otherwise: the receipt says 'busy' of a number that rang in vain."""
    desk.sent(BUSY, ended(Cause.NO_ANSWER))
    told = text(the_mail(desk))
    assert "We tried 2 times between 14:13 and 14:18 UTC. The last call: Nobody answered the call." in told


def test_calls_within_one_minute_are_told_as_one_time(desk: Desk) -> None:
    """Lost otherwise: 'between 14:13 and 14:13' reads like a mistake."""
    fax_id = desk.sent(BUSY, BUSY)
    desk.store.write_now(lambda c: c.execute(attempt.update().where(attempt.c.fax_id == fax_id).values(started_at=NOW)))
    assert "The number was busy. We tried 2 times, at 14:13 UTC. Please" in text(the_mail(desk))


def test_a_refused_recipient_reads_the_policys_sentence(desk: Desk) -> None:
    """Lost otherwise: a number that was never dialled looks like one that was busy."""
    asked = Submission(
        source="smtp", sender="user@example.com", proof="network", number=OFFICE_A, subject="",
        files=(File("a.pdf", "application/pdf", 1, "ab" * 32),),
        recipients=(Recipient("+97290012345", "x", refusal="faxes to premium numbers are not allowed"),),
    )  # fmt: skip
    desk.store.write_now(submit, desk.ids, asked, NOW)
    mail = the_mail(desk)
    told = text(mail)
    assert "was not sent.\nFaxes to premium numbers are not allowed.\n" in told
    assert "resend" not in told, "there is no document to send again"


def test_a_fetched_mail_that_is_refused_is_answered(desk: Desk) -> None:
    """Lost otherwise: who mails to a polled mailbox never hears that nothing was faxed, or a subject writes headers."""
    payload = {
        "reasons": ["Faxes to this number are not allowed here.", "<b>bold</b>"],
        "subject": "Offer\r\nBcc: x@example.org",
        "message_id": "<1@example.com>", "thread": "<0@example.com> <1@example.com>",
    }  # fmt: skip
    one = Post("alice@example.com", REFUSAL, "refusal:1", payload)
    desk.store.write_now(post, desk.ids, "mail", None, None, [one], NOW)
    mail = the_mail(desk)
    assert (mail["To"], mail["Subject"]) == ("alice@example.com", "Not faxed: Offer Bcc: x@example.org")
    assert (mail["Auto-Submitted"], mail["In-Reply-To"]) == ("auto-replied", "<1@example.com>")
    assert mail["Bcc"] is None
    assert mail["X-Faxrelay-Loop"]
    assert "\nFaxes to this number are not allowed here.\n<b>bold</b>\n" in text(mail)
    html = mail.get_body(("html",))
    assert html is not None
    assert "&lt;b&gt;bold" in html.get_content()
    assert [row.state for row in desk.rows(delivery)] == ["done"]


def test_a_simulated_call_says_so_everywhere(desk: Desk) -> None:
    """Lost otherwise: somebody believes that a test was a delivery."""
    desk.sent(confirmed(simulated=True))
    desk.received(confirmed(simulated=True))
    desk.mail_all()
    receipt, received = desk.mails()
    assert receipt["Subject"].startswith("[SIMULATED] ")
    for mail in (receipt, received):
        assert "SIMULATED: no telephone line was used" in text(mail)
        assert "SIMULATED" in text(mail, "html")
    assert desk.drawing.sheets[0]["simulated"] is True


def test_the_receipt_and_the_mail_show_the_same_values(desk: Desk) -> None:
    """Lost otherwise: the PDF and the mail disagree about one fax."""
    desk.sent(BUSY, confirmed())
    mail = the_mail(desk)
    (sheet,) = desk.drawing.sheets
    for told in (
        sheet["headline"],
        sheet["explanation"],
        sheet["sha256"],
        sheet["attempts"][1]["started"],
        sheet["fax_id"],
    ):
        assert told in text(mail)
        assert told in text(mail, "html")
    assert set(sheet) == set(ReceiptSheet.__annotations__)
    (pdf,) = mail.iter_attachments()
    assert (pdf.get_content_type(), pdf.get_content()) == ("application/pdf", b"%PDF receipt en a4")
    assert desk.drawing.pages == [[1]]


@pytest.mark.parametrize(("shown", "pages"), [("none", []), ("first", [1]), ("all", [1, 2])])
def test_the_policy_says_which_pages_a_receipt_shows(desk: Desk, shown: str, pages: list[int]) -> None:
    """Lost otherwise: private content in a receipt that the policy wanted without."""
    desk.sent(confirmed(), settings={"receipt_pages": shown, "paper": "letter"})
    the_mail(desk)
    assert desk.drawing.pages == [pages]


def test_a_receipt_without_its_pdf_goes_out_and_says_so(desk: Desk) -> None:
    """Lost otherwise: a fault in drawing a PDF keeps the news from the sender."""
    desk.drawing.fault = Broken("no fonts")
    desk.sent(confirmed())
    mail = the_mail(desk)
    assert list(mail.iter_attachments()) == []
    assert "The PDF of this receipt could not be made" in text(mail)
    assert "attached" not in text(mail)


def test_a_receipt_is_automatic_mail_in_its_senders_thread(desk: Desk) -> None:
    """Lost otherwise: loops between robots, bounces of receipts, receipts that nobody finds."""
    desk.sent(confirmed())
    letters: list[Letter] = []

    class Witness:
        async def send(self, letter: Letter) -> Outcome:
            letters.append(letter)
            return Delivered("250 ok")

    desk.mail_all(Witness())
    (letter,) = letters
    (row,) = desk.rows(delivery)
    message = letter.message
    assert (letter.sender, letter.recipient, message["To"]) == ("", "user@example.com", "user@example.com")
    assert message["From"] == "Fax relay <fax@fax.example.com>"
    assert (message["In-Reply-To"], message["References"]) == ("<1@example.com>", "<0@example.com> <1@example.com>")
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["X-Faxrelay-Loop"] == str(row.id)
    assert message["Message-ID"] == f"<{row.id}@fax.example.com>"


def test_outside_text_cannot_add_headers_lines_or_markup(desk: Desk) -> None:
    """Lost otherwise: a subject or a fax machine's name writes mail in our name."""
    evil = 'Hi\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>{{ 7*7 }}{to}\u202egnp.exe\x00\ud800"'
    desk.sent(
        confirmed(remote_ident='<img src=x onerror="1">\r\nBcc: v@example.com'), subject=evil.replace("\ud800", "")
    )
    desk.received(confirmed(remote_ident="<b>x</b>\r\nX-Evil: 1"), peer="+1202555<i>")
    desk.mail_all()
    for mail in desk.mails():
        assert mail["Bcc"] is None
        assert mail["X-Evil"] is None
        page = text(mail, "html")
        assert not re.search(r"<script|<img src=x|<b>x|<i>", page)
        assert "{{ 7*7 }}" in page or "&lt;b&gt;x" in page
        assert "\u202e" not in page + text(mail)
        assert not re.search(r"^(Bcc|X-Evil):", text(mail), re.MULTILINE)


@pytest.mark.parametrize(
    "bad", ["<a@b>\r\nBcc: v@example.com", "no brackets", "<a@b> <c@d>", "<" + "x" * 300 + ">", ""]
)
def test_a_thread_that_is_none_is_left_out(desk: Desk, bad: str) -> None:
    """Lost otherwise: a Message-ID from outside injects headers, or a receipt that never leaves."""
    desk.sent(confirmed(), message_id=bad, thread=bad)
    mail = the_mail(desk)
    assert mail["In-Reply-To"] is None
    assert mail["References"] is None
    assert mail["Bcc"] is None


def test_long_identifiers_survive_the_folding_of_headers(desk: Desk) -> None:
    """Lost otherwise: a receipt falls out of the thread because its References were rewritten."""
    long = [f"<{letter * 200}@example.com>" for letter in "abc"]
    desk.sent(confirmed(), message_id=long[2], thread=" ".join(long))
    mail = the_mail(desk)
    (path,) = (desk.folder / "mail" / "new").iterdir()
    assert b"=?" not in path.read_bytes()
    assert str(mail["References"]).split() == long


def test_a_repeat_into_the_maildir_writes_nothing_even_after_it_was_read(desk: Desk) -> None:
    """Lost otherwise: a restart doubles mail in the mailbox."""
    desk.sent(confirmed())
    desk.mail_all()
    new = desk.folder / "mail" / "new"
    (path,) = new.iterdir()
    lane = desk.lane()
    (row,) = desk.rows(delivery)

    path.rename(desk.folder / "mail" / "cur" / f"{path.name}:2,S")
    asyncio.run(lane.deliver(Claim(row.id, row.fence, row)))
    assert list(new.iterdir()) == []


def test_a_maildir_that_cannot_be_written_loses_nothing(desk: Desk) -> None:
    """Lost otherwise: a full disk or a wrong path throws mail away."""
    (desk.folder / "mail").write_text("a file in the way")
    desk.sent(confirmed())
    desk.mail_all()
    (row,) = desk.rows(delivery)
    assert row.state == "due"
    assert "cannot be written" in row.answer


def test_a_document_that_cannot_be_faxed_is_told_in_the_converters_words(desk: Desk) -> None:
    """Lost otherwise: the sender reads that something failed, and not which file and why."""
    waiting = desk.store.write_now(
        submit, desk.ids,
        Submission(
            source="smtp", sender="user@example.com", proof="network", number=OFFICE_A, subject="",
            files=(File("a.pdf", "application/pdf", 1, "ab" * 32),), recipients=(Recipient(OFFICE_B, "x"),),
        ),
        NOW,
    ).faxes[0]  # fmt: skip
    desk.store.write_now(
        faxes.move,
        desk.ids,
        waiting,
        Outbound.FAILED,
        at=NOW,
        reason='"a.pdf" is protected by a password. Please remove it',
    )
    desk.mail_all()
    assert '"a.pdf" is protected by a password. Please remove it.' in text(desk.mails()[-1])
