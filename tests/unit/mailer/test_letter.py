"""The headers of our mails: text from outside stays text."""

from __future__ import annotations

import pytest

from relay.mailer.compose import Envelope, Identity, Thread, refusal_letter
from relay.mailer.language import Languages

OUTSIDE = (
    "=?utf-8?q?a=0D=0ABcc:_victim@example.org?=",
    "=?utf-8?b?DQoNCkEgdGV4dCBvZiBteSBvd24=?=",
    "Re: =?utf-8?q?a=0D=0AReply-To:_me@evil.example?= " + "x" * 100,
)


@pytest.mark.parametrize("text", OUTSIDE)
def test_an_encoded_word_in_outside_text_writes_no_header(text: str) -> None:
    """Lost otherwise: a subject that was encoded twice adds headers, or a whole text, to a mail that we sign."""
    ours = Identity("fax@fax.example.com", text)
    to = Envelope("alice@example.com", 7, 0.0)
    letter = refusal_letter((), text, Languages().get("en"), ours, to, thread=Thread())
    header = letter.content("\r\n").partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in header.split(b"\r\n") if line[:1] not in b" \t"]
    assert names == [
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"X-Faxrelay-Loop", b"X-Auto-Response-Suppress",
        b"Auto-Submitted", b"MIME-Version", b"Content-Type",
    ]  # fmt: skip


def test_an_address_that_looks_like_an_encoded_word_is_written_to() -> None:
    """Lost otherwise: the mail to such an address cannot be made, and waits for ever."""
    address = "=?utf-8?q?a=0D=0ABcc=3Ax?=@example.org"
    ours = Identity("fax@fax.example.com", "Fax")
    letter = refusal_letter((), "a", Languages().get("en"), ours, Envelope(address, 7, 0.0), thread=Thread())
    assert letter.recipient == address
    assert b"Bcc" not in letter.content("\r\n")
