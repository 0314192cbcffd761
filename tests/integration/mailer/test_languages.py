"""Each language's mails and receipts: every template renders, says the same, and says it in its own words."""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import templates
from converters import receiptpdf
from converters.document import Paper
from policies import LANGUAGES, Hours, Window
from relay import hours
from relay.fax import Outbound
from relay.mailer import notice, owed
from relay.mailer import record as records
from relay.mailer.compose import Envelope, Identity, Thread, notice_letter, refusal_letter
from relay.mailer.language import Language, Languages
from relay.mailer.receipt import receipt
from relay.store import faxes
from relay.submission import Recipient
from transport.seam import Cause

from .desk import OFFICE_B, Desk, confirmed, ended

if TYPE_CHECKING:
    from email.message import EmailMessage

ROOT = Path(next(iter(templates.__path__)))
FOREIGN = sorted(LANGUAGES - {"en"})
HEBREW = re.compile("[\u0590-\u05ff]")
#: What stays as it is in any language: names, codes, addresses.
KEPT = {
    "user@example.com", "bob@example.com", "Offer", "UTC", "OFFICE", "PDF", "SHA", "simulated", "MMR", "bit", "SIP",
    "Busy", "Here", "Asia", "Jerusalem", "http", "link", "resend", "fax",
}  # fmt: skip


def words(mail: EmailMessage, kind: str) -> str:
    """Return what people read of a mail: its text, or its HTML without tags."""
    part = mail.get_body((kind,))
    assert part is not None
    told = part.get_content()
    assert isinstance(told, str)
    return re.sub(r"<style.*?</style>|<[^>]*>", " ", told, flags=re.DOTALL)


def english(text: str) -> set[str]:
    """Return the English words of a text, without what stays as it is everywhere."""
    text = re.sub(r"https?://\S+|\S+@\S+|fax_\w+\.pdf|\b[0-9a-f]{64}\b", " ", text)
    return set(re.findall(r"[A-Za-z]{3,}", text)) - KEPT


def told(desk: Desk, language: str) -> list[EmailMessage]:
    """Return a mail of every kind that the mail lane makes."""
    recipient = (
        Recipient(OFFICE_B, OFFICE_B, {"language": language, owed.ACCEPTED_MAIL: True, owed.DELAYED_MAIL: 60.0}),
    )
    more: dict[str, Any] = {"recipients": recipient, "settings": {"language": language}}
    desk.sent(
        ended(Cause.BUSY, sip_code=486, sip_reason="Busy Here"), confirmed(simulated=True), message_id="<1@a>", **more
    )
    desk.sent(*[ended(Cause.BUSY)] * 3, message_id="<2@a>", **more)
    desk.sent(ended(Cause.LOST_CALL, 1, offered=True), message_id="<3@a>", **more)
    desk.sent(message_id="<4@a>", **more)
    desk.sent(ended(Cause.BUSY), ends=False, message_id="<5@a>", **more)
    night = hours.as_settings(Hours("Asia/Jerusalem", (Window(frozenset(range(7)), 8 * 60, 12 * 60),)))
    waits = desk.sent(ends=False, message_id="<6@a>", **(more | {"settings": {"language": language, "hours": night}}))
    assert desk.store.read_now(faxes.get, waits).state == Outbound.CANCELLED.value
    here = {"deliver_to": ["bob@example.com"], "language": language}
    desk.received(confirmed(simulated=True), settings=here, line_call="1")
    desk.received(ended(Cause.LOST_CALL, 1), pages=1, settings=here, line_call="2")
    desk.received(ended(Cause.LOST_CALL), pages=0, settings=here, line_call="3")
    desk.mail_all()
    desk.clock.now += 60
    desk.mail_all()
    return desk.mails()


def made(desk: Desk, language: Language) -> list[EmailMessage]:
    """Return the mails that other lanes make, or that need a fax in a state of their own."""
    fax_id = desk.sent(confirmed(), message_id="<9@a>")
    record = desk.store.read_now(records.read, fax_id)
    envelope, identity = Envelope("user@example.com", 1, desk.clock()), Identity("fax@fax.example.com", "Fax relay")
    processed = notice.processed(record, language, UTC)
    return [
        notice_letter(processed, language, identity, envelope, thread=Thread()).message,
        refusal_letter([], "Offer", language, identity, envelope, thread=Thread()).message,
    ]


@pytest.mark.parametrize("name", FOREIGN)
def test_every_mail_is_in_its_own_words(desk: Desk, name: str) -> None:
    """Lost otherwise: an office reads half of its receipt in a language that it does not know."""
    language = Languages().get(name)
    mails = [*told(desk, name), *made(desk, language)]
    assert len(mails) == 13
    for mail in mails:
        for kind in ("plain", "html"):
            assert english(words(mail, kind)) == set(), mail["Subject"]
        part = mail.get_body(("html",))
        assert part is not None
        way = "rtl" if language.right_to_left else "ltr"
        assert f'<html lang="{name}" dir="{way}">' in part.get_content()


@pytest.mark.parametrize("name", sorted(LANGUAGES))
def test_every_end_has_its_receipt_as_a_pdf(desk: Desk, name: str) -> None:
    """Lost otherwise: a language's receipts go out without their PDF."""
    language = Languages().get(name)
    results: list[list[Any]] = [
        [ended(Cause.BUSY), confirmed()],
        [ended(Cause.BUSY)],
        [ended(Cause.LOST_CALL, 1, offered=True)],
        [],
    ]
    for number, calls in enumerate(results):
        record = desk.store.read_now(records.read, desk.sent(*calls, message_id=f"<{number}@a>"))
        sheet = receipt(record, language, UTC).as_sheet()
        assert receiptpdf.draw(sheet, name, Paper.A4, []).startswith(b"%PDF-")


def test_a_number_keeps_its_order_among_hebrew_words(desk: Desk) -> None:
    """Lost otherwise: +972 3-765-4321 is shown as 4321-765-3 972+ in a subject and in plain text."""
    desk.sent(confirmed(), settings={"language": "he"})
    desk.mail_all()
    (mail,) = desk.mails()
    assert "\u200e+972 3-765-4321\u200e" in mail["Subject"]
    text = words(mail, "plain")
    assert HEBREW.search(text)
    for line in text.splitlines():
        for number in re.findall(r".\+972 [0-9-]+.", line):
            assert number[0] == number[-1] == "\u200e", line
    page = mail.get_body(("html",))
    assert page is not None
    assert '<bdi dir="ltr">+972 3-765-4321</bdi>' in page.get_content()


def test_every_language_has_every_file() -> None:
    """Lost otherwise: a language without one template loses the mails that need it."""
    for kind in ("mail", "receipt"):
        names = {
            folder.name: {file.name for file in folder.iterdir()}
            for folder in (ROOT / kind).iterdir()
            if folder.is_dir()
        }
        assert names.keys() == LANGUAGES
        # English refusals are the sentences of the code themselves.
        extra = {"refusals.yaml"} if kind == "mail" else set()
        assert all(names[language] == names["en"] | extra for language in FOREIGN)
