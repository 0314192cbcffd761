"""The dialogue over a real socket: what is advertised, and the reply to everything that is refused."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.intake.conftest import Relay

TO = "+12025550123@fax.example.com"
PDF = ("a.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")


async def test_what_is_advertised(relay: Relay) -> None:
    """Lost otherwise: clients use what is not there, or leave out what is."""
    client = await relay.client(hello=None)
    assert await client.reply() == "220 localhost ESMTP faxrelay"
    assert (await client.say("EHLO client.example")).split("\n") == (
        [
            "250-localhost",
            "250-SIZE 31457280",
            "250-8BITMIME",
            "250-SMTPUTF8",
            "250-PIPELINING",
            "250-CHUNKING",
            "250-DSN",
            "250 ENHANCEDSTATUSCODES",
        ]
    )
    assert await client.say("HELO client.example") == "250 localhost"


async def test_every_reply_has_an_enhanced_code(relay: Relay) -> None:
    """Lost otherwise: ENHANCEDSTATUSCODES is a promise, and mail programs show senders the wrong reason."""
    client = await relay.client(hello=None)
    await client.reply()
    commands = (
        "RCPT TO:<a@b>", "MAIL FROM:<a@b.example>", "DATA", "EHLO", "EHLO c.example",
        "NOOP", "RSET", "HELP", "VRFY a", "EXPN a", "AUTH PLAIN", "STARTTLS", "\x1b[2J",
        "MAIL", "MAIL FROM:a@b.example", "MAIL FROM:<a b@c.example>", "MAIL FROM:<a@b.example> SIZE=x",
        "MAIL FROM:<a@b.example> FOO=1", "MAIL FROM:<a@b.example> SIZE=99999999999",
        "MAIL FROM:<a@b.example> BODY=BINARYMIME", "RCPT TO:<1@fax.example.com>", "DATA",
        "MAIL FROM:<a@b.example> BODY=8BITMIME SMTPUTF8 SIZE=1000", "MAIL FROM:<a@b.example>",
        "RCPT TO:<>", "RCPT", "RCPT TO:<a@b.example> NOTIFY=NEVER", "DATA", "X" * 3000, "NOOP " + "x" * 2000,
    )  # fmt: skip
    for command in commands:
        reply = await client.say(command)
        if command.startswith("EHLO c"):
            continue
        assert re.match(r"([245])\d\d \1\.\d+\.\d+ [ -~]+$", reply), (command, reply)


UNKNOWN_SENDER = "550 5.7.1 This address may not send faxes here. Ask the person who looks after the fax service."
LOOPED = "554 5.4.6 This mail was made by a fax relay: it is not faxed again, lest it go in circles."
NO_NUMBER = "553 5.1.3 This is not a fax number: write digits before the @, such as +12025550199."
DENIED = "550 5.7.1 Faxes to this number are not allowed here."
NOT_HERE = "550 5.7.1 This server takes mail for faxes only, and this is not one of its fax domains."


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("alice@fax.example.com", NO_NUMBER),
        ("0312345678+tag@fax.example.com", NO_NUMBER),
        ("bob@example.com", NO_NUMBER),
        ("12@fax.example.com", "553 5.1.3 This fax number is too short or too long for its country."),
        ("+99912345678@fax.example.com", "553 5.1.3 The country code of this fax number does not exist."),
        (
            "FAX=+12025550199/T33S=12@fax.example.com",
            "553 5.1.3 Sub-addresses (T33S) cannot be dialled from here: write the number alone.",
        ),
        ("+19005551234@fax.example.com", DENIED),
        ("+33123456789@fax.example.com", DENIED),
        ("+12025550123@example.com", NOT_HERE),
    ],
)
async def test_a_recipient_is_refused_at_once(relay: Relay, recipient: str, reply: str) -> None:
    """Lost otherwise: the sender of a wrong number learns of it after the upload, or never."""
    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com>")
    assert await client.say(f"RCPT TO:<{recipient}>") == reply
    assert (await client.say(f"RCPT TO:<{TO}>")) == "250 2.1.5 The number is accepted."


async def test_recipients_of_a_second_domain_are_sent_by_a_second_mail(
    relay: Relay, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: national digits are read by the rules of another domain's country."""
    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com>")
    await client.say(f"RCPT TO:<{TO}>")
    assert await client.say("RCPT TO:<2025550124@fax.example.net>") == (
        "452 4.5.3 One mail goes to one fax domain: send it to the other domain by itself."
    )
    await client.say("RSET")
    assert (await client.send(letter(), "2025550124@fax.example.net")).startswith("250 2.0.0 ")
    assert [fax.peer for fax in relay.faxes] == ["+12025550124"]


@pytest.mark.parametrize("settings", [{"recipients": 2}], indirect=True)
async def test_too_many_recipients_are_sent_by_a_second_mail(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the hundred and first recipient fails for good, where RFC 5321 lets the server send it later."""
    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com>")
    replies = [await client.say(f"RCPT TO:<+1202555012{n}@fax.example.com>") for n in range(3)]
    assert replies[1:] == [
        "250 2.1.5 The number is accepted.",
        "452 4.5.3 One mail goes to at most 2 numbers; send the others by another.",
    ]
    await client.say("DATA")
    assert (await client.content(letter())).endswith("; 2 faxes")


def malformed(what: str) -> str:
    """Return the reply to a message that breaks the rules of RFC 5322."""
    return f"550 5.6.0 The message is malformed: {what}. The program that made it has a fault."


async def test_what_is_refused_after_the_message(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a sender does not learn why there is no fax, or learns it from nobody."""
    zipped = ("a.zip", b"PK\x03\x04", "application/zip")
    word = ("brief.docx", b"PK\x03\x04", "application/msword")
    hebrew = ("חוזה.docx", b"PK\x03\x04", "application/octet-stream")
    plain = b"From: alice@example.com\r\nSubject: a\r\n\r\nno file\r\n"
    refused = {
        letter(PDF, sender="mallory@evil.example"): UNKNOWN_SENDER,
        letter(PDF, sender="mallory@far.example"): UNKNOWN_SENDER,
        letter(PDF, sender="a@example.com, b@example.com"): "550 5.6.0 The From line names more than one address.",
        plain: "550 5.6.0 The mail has no attachment: attach the document that is to be faxed.",
        b"Subject: a\r\n\r\nno sender\r\n": "550 5.6.0 The message has no From line: it does not say who sent it.",
        letter(PDF, sender="a@[127.0.0.1]"): (
            "550 5.6.0 The From line cannot be read: it has to hold one mail address."
        ),
        letter(word): '550 5.6.1 "brief.docx" is damaged and cannot be read. Please export or scan it again.',
        letter(PDF, zipped): '550 5.6.1 The attachment "a.zip" is a zip archive: attach the documents themselves.',
        letter(("big.pdf", b"%PDF-" + bytes(100_001), "application/pdf"), sender="quota@example.net"): (
            "552 5.3.4 An attachment is larger than the 100000 bytes that are allowed."
        ),
        letter(PDF, X_Faxrelay_Loop="fax.example.com"): LOOPED,
        b"Received: a\r\n" * 31 + letter(PDF): "554 5.4.6 The mail passed more than 30 servers: it goes in circles.",
        b"X: a\nb\r\n" + letter(PDF): malformed("some of its lines do not end with CR and LF"),
        b"X: a\0b\r\n" + letter(PDF): malformed("it contains NUL characters"),
        b"X: " + b"a" * 1000 + b"\r\n" + letter(PDF): malformed("a line is longer than 998 bytes"),
        b"From: bob@example.com\r\n" + letter(PDF): malformed("it has more than one From line"),
        b"": "550 5.6.0 The message has no From line: it does not say who sent it.",
        letter(hebrew): '550 5.6.1 "????.docx" is damaged and cannot be read. Please export or scan it again.',
    }  # fmt: skip
    client = await relay.client()
    for message, reply in refused.items():
        assert await client.send(message, TO) == reply
    assert (relay.submissions, relay.leftovers) == ([], [])
    assert (await client.send(letter(), TO)).startswith("250 2.0.0 ")


async def test_a_client_that_speaks_utf8_is_told_the_name(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: question marks where the file's name could stand."""
    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com> SMTPUTF8")
    await client.say(f"RCPT TO:<{TO}>")
    await client.say("DATA")
    assert '"חוזה.docx"' in await client.content(letter(("חוזה.docx", b"PK\x03\x04", "application/octet-stream")))


async def test_a_message_that_ends_its_reader_is_refused(
    relay: Relay, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: one hostile mail stops the mail of all others."""
    monkeypatch.setattr("relay.intake.message.READING_SECONDS", 0.3)
    # 200 KB of From took the parser 7.5 s; here it is the reader itself that is made too slow.
    monkeypatch.setattr("relay.intake.message.ENTRY", "relay.intruder:linger")
    assert (
        await relay.send(letter(PDF), TO) == "550 5.6.0 The message cannot be read: it is damaged or too complicated."
    )
    monkeypatch.undo()
    assert (await relay.send(letter(PDF), TO)).startswith("250 2.0.0 ")


async def test_a_reader_that_died_meanwhile_is_replaced(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the first mail of the morning is refused."""
    await relay.send(letter(PDF, Message_ID="<1@example.com>"), TO)
    (reader,) = relay.reader._pool._idle
    reader.child.kill()
    assert (await relay.send(letter(PDF, Message_ID="<2@example.com>"), TO)).startswith("250 2.0.0 ")


async def test_readers_are_recycled(
    relay: Relay, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a mail that took its reader over sees every later mail."""
    monkeypatch.setattr("relay.intake.pool.RECYCLED_AFTER", 2)
    for number in range(5):
        await relay.send(letter(PDF, Message_ID=f"<{number}@example.com>"), TO)
    assert [reader.served for reader in relay.reader._pool._idle] == [1]
    assert len(relay.faxes) == 5


async def test_without_a_sandbox_mail_waits(
    relay: Relay, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a missing program turns all mail away for good."""
    monkeypatch.setattr("relay.confine.bubblewrap", lambda _memory: ["/nonexistent/bwrap"])
    assert await relay.send(letter(PDF), TO) == "451 4.3.0 Mail cannot be read here at the moment. Try again later."


@pytest.mark.parametrize("settings", [{"message_bytes": 20_000}], indirect=True)
async def test_too_large_a_message(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a large mail fills the disk, or is refused without a reason."""
    client = await relay.client()
    assert (await client.say("MAIL FROM:<alice@example.com> SIZE=20001")).startswith("552 5.3.4 ")
    large = letter(("a.pdf", b"%PDF-" + bytes(15_000), "application/pdf"))
    assert await client.send(large, TO) == "552 5.3.4 The message is larger than 20000 bytes."
    assert (await client.send(letter(), TO)).startswith("250 2.0.0 ")  # the session goes on
    await client.begin(TO)
    client.writer.write((b"a" * 98 + b"\r\n") * 800 + b"a" * 10)  # who sends on and on is cut off
    assert await client.reply() == "552 5.3.4 The message is larger than 20000 bytes."
    assert await client.reply() == ""
    assert relay.leftovers == []


@pytest.mark.parametrize("settings", [{"attachment_bytes": 2 * 1024 * 1024}], indirect=True)
async def test_too_large_an_attachment_is_named(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the sender of five files does not know which of them to make smaller."""
    large = ("plan.pdf", b"%PDF-" + bytes(2 * 1024 * 1024), "application/pdf")
    assert await relay.send(letter(PDF, large), TO) == '552 5.3.4 The attachment "plan.pdf" is larger than 2 MB.'
    assert (relay.submissions, relay.leftovers) == ([], [])


@pytest.mark.parametrize("settings", [{"disk_reserve_bytes": 10**18}], indirect=True)
async def test_a_nearly_full_disk_asks_to_wait(relay: Relay) -> None:
    """Lost otherwise: the last byte of the disk goes to a mail, and the database stops."""
    client = await relay.client()
    assert (
        await client.say("MAIL FROM:<alice@example.com>")
        == "452 4.3.1 There is no room for mail at the moment. Try again later."
    )


@pytest.mark.parametrize(
    "settings", [{"connections": 3, "connections_per_address": 2}, {"connections": 2}], indirect=True
)
async def test_too_many_connections(relay: Relay) -> None:
    """Lost otherwise: one client keeps all others out."""
    clients = [await relay.client() for _ in range(2)]
    third = await relay.client(hello=None)
    assert await third.reply() == "421 4.7.0 Too many connections; try again later."
    assert await third.reply() == ""
    await clients[0].say("QUIT")
    assert await clients[0].reply() == ""
    await relay.client()  # there is room again


@pytest.mark.parametrize("settings", [{"idle_seconds": 0.2}], indirect=True)
async def test_a_client_that_says_nothing_is_let_go(relay: Relay) -> None:
    """Lost otherwise: clients that hang use up the connections of all."""
    client = await relay.client()
    assert await client.reply() == "421 4.4.2 You have said nothing for too long; goodbye."
    assert await client.reply() == ""


@pytest.mark.parametrize("settings", [{"data_seconds": 0.3}], indirect=True)
async def test_a_message_that_drips_is_let_go(relay: Relay) -> None:
    """Lost otherwise: a byte a minute keeps a connection for ever."""
    client = await relay.client()
    await client.begin(TO)
    for _ in range(3):
        client.writer.write(b"X-Drip: a\r\n")
        await asyncio.sleep(0.05)
    assert await client.reply() == "421 4.4.2 The message took too long to arrive; goodbye."
    assert relay.leftovers == []


async def test_no_second_mail_can_be_smuggled(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a mail inside a mail is taken as a second one, with whatever sender it names."""
    inside = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<+12025550124@fax.example.com>\r\nDATA\r\n" + letter(PDF)
    for end in (b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n"):
        client = await relay.client()
        reply = await client.send(letter(PDF) + b"a" + end + inside, TO)
        assert reply.startswith("550 5.6.0 "), end
        assert (await client.say("NOOP")).startswith("250 2.0.0 ")  # and nothing else was answered
    assert relay.faxes == []


async def test_a_fault_in_the_dialogue_says_nothing_of_itself(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: strangers read our paths and SQL in a reply, and take a passing fault for a permanent one."""

    def broken(*_: object) -> None:
        raise RuntimeError("/secret/path")

    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com>")
    monkeypatch.setattr(relay.desk, "at_recipient", broken)
    assert (
        await client.say(f"RCPT TO:<{TO}>") == "451 4.3.0 Something went wrong here; nothing was kept. Try again later."
    )


async def test_a_mail_of_a_stranger_costs_no_blob(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: anybody fills the disk with mail that is refused."""
    await relay.send(letter(PDF, sender="mallory@evil.example"), TO)
    assert [path for path in (relay.folder / "blobs").rglob("*") if path.is_file()] == []
