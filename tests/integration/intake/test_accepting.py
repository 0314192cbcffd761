"""The accepted way: what a mail becomes, and what 250 promises."""

from __future__ import annotations

import asyncio
import email.policy
import os
import sqlite3
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from relay.intake.spool import IN_MEMORY
from relay.store.tables import document, event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.intake.conftest import Relay


PDF = b"%PDF-1.4\none\n%%EOF\n"
OTHER = b"%PDF-1.4\nother\n%%EOF\n"
TO = "+12025550123@fax.example.com"


async def test_a_mail_becomes_a_fax(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the main job."""
    reply = await relay.send(letter(("חוזה.pdf", PDF, "application/pdf"), Subject="חוזה"), TO)
    (submission,) = relay.submissions
    (fax,) = relay.faxes
    assert reply == f"250 2.0.0 Accepted as {submission.id}; 1 fax"
    assert relay.files == [("חוזה.pdf", PDF)]
    assert (submission.source, submission.sender, submission.proof) == ("smtp", "alice@example.com", "none")
    assert (submission.subject, submission.message_id, submission.thread) == (
        "חוזה",
        "<one@example.com>",
        "<one@example.com>",
    )
    assert submission.answerable
    assert (fax.number, fax.peer, fax.state) == ("+97231234567", "+12025550123", "accepted")
    assert fax.peer_written == TO
    assert fax.settings["resolution"] == "fine"
    assert fax.settings["retries"]["retries"] == 3
    assert [row.kind for row in relay.rows(event)] == ["fax.accepted"]
    assert relay.leftovers == []


async def test_a_mail_to_three_numbers_is_one_document(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: each recipient waits for a conversion of its own."""
    reply = await relay.send(
        letter(("a.pdf", PDF, "application/pdf"), ("b.pdf", OTHER, "application/pdf")),
        TO, "FAX=+1-202-555-0124@fax.example.com", "036543210@fax.example.com", "+1-202.555-0123@fax.example.com",
    )  # fmt: skip
    assert reply.endswith("; 3 faxes")  # the first number once, though it was named in two spellings
    assert [fax.peer for fax in relay.faxes] == ["+12025550123", "+12025550124", "+97236543210"]
    assert [name for name, _ in relay.files] == ["a.pdf", "b.pdf"]
    assert len(relay.rows(document)) == 1


async def test_a_repeat_makes_no_second_fax(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a server that did not hear the 250 sends the fax twice."""
    first = await relay.send(letter(), TO)
    again = await relay.send(letter(), TO)
    (submission,) = relay.submissions
    assert first == f"250 2.0.0 Accepted as {submission.id}; 1 fax"
    assert again == f"250 2.0.0 Accepted before as {submission.id}; no second fax is made"
    assert len(relay.faxes) == 1


async def test_two_copies_at_once_make_one_fax(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: two servers of one sender deliver the same mail side by side, and it is faxed twice."""
    replies = await asyncio.gather(*(relay.send(letter(), TO) for _ in range(6)))
    assert all(reply.startswith("250 2.0.0 Accepted") for reply in replies)
    assert len(relay.faxes) == 1


async def test_where_one_number_is_refused_after_the_message_the_others_go(
    relay: Relay, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: a colleague's wrong number stops everybody's fax, or goes under without a word."""
    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com>")
    assert (await client.say(f"RCPT TO:<{TO}>")).startswith("250 2.1.5")
    assert (await client.say("RCPT TO:<+12025550124@fax.example.com>")).startswith("250 2.1.5")
    # The policy changes between the dialogue and the message: now the first number may not be dialled.
    path = relay.folder / "policies" / "test.yaml"
    path.write_text(path.read_text().replace('"+1900"', '"+12025550123"'))
    await relay.policy.reload()
    await client.say("DATA")
    reply = await client.content(letter())
    assert reply.endswith("; 2 faxes, 1 of them refused: a mail tells why")
    assert [(fax.peer, fax.state, fax.reason) for fax in relay.faxes] == [
        ("+12025550123", "failed", "Faxes to this number are not allowed here."),
        ("+12025550124", "accepted", "accepted by smtp"),
    ]


@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        ("", {}),
        ("alice@example.com", {"Auto-Submitted": "auto-generated"}),
        ("alice@example.com", {"List-Id": "<a.b>"}),
    ],
)
async def test_automatic_mail_is_faxed_and_never_answered(
    relay: Relay, letter: Callable[..., bytes], sender: str, headers: dict[str, str]
) -> None:
    """Lost otherwise: a scanner's mail is refused, or two machines write to each other for ever."""
    reply = await relay.send(letter(**headers), TO, sender=sender)
    assert reply.startswith("250 2.0.0 Accepted as ")
    assert not relay.submissions[0].answerable


async def test_the_stronger_proof_is_recorded(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the history says that a sender was believed without proof."""
    await relay.send(letter(sender="bob@example.org"), TO)
    assert relay.submissions[0].proof == "network"


async def test_250_is_said_after_the_commit_and_the_sync(
    relay: Relay, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a power cut takes a mail away whose sender was told that it is kept."""
    order: list[str] = []
    fsync, write = os.fsync, relay.store.write

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        order.append("sync")

    async def written(*arguments: object, **named: object) -> object:
        order.append("write")
        try:
            return await write(*arguments, **named)  # type: ignore[arg-type]  # passed through
        finally:
            order.append("committed")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(relay.store, "write", written)
    await relay.send(letter(), TO)
    order.append("250")
    assert order[:2] == ["sync", "sync"]  # the file, then its folder
    assert order[-3:] == ["write", "committed", "250"]


@pytest.mark.parametrize("leave", ["close", "abort", "half-close"])
async def test_a_client_that_leaves_mid_commit_changes_nothing(
    relay: Relay, letter: Callable[..., bytes], leave: str
) -> None:
    """Lost otherwise: a mail is kept half, or its work file stays for ever, when a line drops at the wrong moment."""
    client = await relay.client()
    await client.begin(TO)
    client.put(letter())
    await client.writer.drain()
    await until(lambda: bool(relay.server._taking))
    match leave:
        case "close":
            client.writer.close()
        case "abort":
            client.writer.transport.abort()
        case _:
            client.writer.write_eof()
    await until(lambda: bool(relay.faxes))
    await until(lambda: not relay.leftovers)
    again = await relay.send(letter(), TO)
    assert again.startswith("250 2.0.0 Accepted before as ")
    assert len(relay.faxes) == 1


async def test_a_client_that_leaves_mid_message_leaves_nothing(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: half a mail is faxed, or the disk fills with halves."""
    client = await relay.client()
    await client.begin(TO)
    client.write(letter()[:200] + b"x" * (IN_MEMORY + 1))
    await until(lambda: bool(relay.leftovers))
    client.writer.transport.abort()
    await until(lambda: not relay.leftovers)
    assert relay.submissions == []


@pytest.mark.parametrize(
    "fault", [sqlite3.OperationalError("disk I/O error"), OSError(28, "No space left"), RuntimeError("x")]
)
async def test_a_fault_of_ours_is_451_and_keeps_nothing(
    relay: Relay, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Lost otherwise: a mail vanishes in our trouble, or its sender reads our stack trace."""

    def broken(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr("relay.intake.committer.Ledger", broken)
        reply = await relay.send(letter(), TO)
    assert reply == "451 4.3.0 Something went wrong here; nothing was kept. Try again later."
    assert relay.submissions == []
    assert relay.faxes == []
    assert (await relay.send(letter(), TO)).startswith("250 2.0.0 Accepted as ")


async def test_a_full_disk_is_451_and_keeps_nothing(
    relay: Relay, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a 250 for a file that was never written."""

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(relay.blobs, "adopt", full)
        reply = await relay.send(letter(), TO)
    assert reply.startswith("451 4.3.0 ")
    assert (relay.submissions, relay.leftovers) == ([], [])


async def test_closing_waits_for_the_mail_that_is_being_taken(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a restart of the service cuts a commit's reply off and the sender sends again."""
    client = await relay.client()
    await client.begin(TO)
    client.put(letter())
    await until(lambda: bool(relay.server._taking))
    await relay.server.close()
    assert len(relay.faxes) == 1


async def test_several_mails_on_one_connection(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a server with a queue for us is cut off after its first mail."""
    client = await relay.client()
    for number in range(3):
        reply = await client.send(letter(Message_ID=f"<{number}@example.com>"), TO)
        assert reply.startswith("250 2.0.0 Accepted as ")
    assert (await client.say("QUIT")).startswith("221 2.0.0 ")
    assert len(relay.faxes) == 3


async def test_commands_and_content_without_waiting(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: PIPELINING is promised, and what follows a message in the same packet is lost."""
    client = await relay.client()
    for number in (1, 2):
        client.write(f"MAIL FROM:<alice@example.com>\r\nRCPT TO:<{TO}>\r\nDATA")
        client.put(letter(Message_ID=f"<{number}@example.com>"))
    client.write("QUIT")
    replies = [await client.reply() for _ in range(9)]
    assert [reply[:3] for reply in replies] == ["250", "250", "354", "250"] * 2 + ["221"]
    assert len(relay.faxes) == 2


async def test_a_megabyte_arrives_whole(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a large scan loses a dot, or the bytes between two packets."""
    data = b"%PDF-1.4\n" + os.urandom(1_000_000)
    assert (await relay.send(letter(("big.pdf", data, "application/pdf")), TO)).startswith("250 2.0.0 ")
    assert relay.files == [("big.pdf", data)]


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so, at most ten seconds."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_quota_is_counted_in_the_transaction(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: ten mails at once pass a limit of two."""
    mails = [letter(sender="quota@example.net", Message_ID=f"<{n}@example.net>") for n in range(6)]
    replies = await asyncio.gather(*(relay.send(one, TO) for one in mails))
    refusals = [reply for reply in replies if not reply.startswith("250")]
    assert len(relay.faxes) == 2
    assert set(refusals) == {"452 4.2.2 Your number has sent its faxes for this hour. Try again later."}
    assert relay.store.read_now(lambda c: c.execute(sa.text("select count(*) from submission")).scalar()) == 2
    accepted = next(index for index, reply in enumerate(replies) if reply.startswith("250"))
    again = await relay.send(mails[accepted], TO)
    assert again.startswith("250 2.0.0 Accepted before as ")  # who did not hear our 250 uses nothing up


async def test_what_a_mail_asks_for_travels_with_its_fax(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the policy allows an option, the sender asks for it, and the fax goes out as any other."""
    path = relay.folder / "policies" / "test.yaml"
    allowed = "    mail_options: [resolution, retries]\n    senders:\n"
    path.write_text(path.read_text().replace("    senders:\n", allowed, 1))
    await relay.policy.reload()
    assert relay.policy.errors is None
    refused = await relay.send(letter(X_Fax_Priority="9"), TO)
    assert refused.startswith("550 5.7.1 X-Fax-Priority is not allowed")
    asked = letter(X_Fax_Resolution="standard", Subject="Offer ::retries=0")
    assert (await relay.send(asked, TO)).startswith("250 ")
    (made,) = relay.faxes
    assert (made.settings["resolution"], made.settings["retries"]["retries"]) == ("standard", 0)
    assert relay.submissions[0].subject == "Offer"


@pytest.mark.parametrize("attached", [True, False])
async def test_the_text_of_a_mail_is_a_page_where_the_policy_has_it_so(
    relay: Relay, letter: Callable[..., bytes], attached: bool
) -> None:
    """Lost otherwise: whoever writes a fax as a mail is refused, or the covering words are missing."""
    path = relay.folder / "policies" / "test.yaml"
    path.write_text(path.read_text().replace("    senders:\n", "    body: page\n    senders:\n", 1))
    await relay.policy.reload()
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Message-ID"] = "alice@example.com", TO, "<text@example.com>"
    message.set_content("Grüße aus Köln\n", charset="iso-8859-1")
    message.add_alternative("<p>Grüße aus Köln</p>", subtype="html")
    assert (await relay.send(letter() if attached else message.as_bytes(), TO)).startswith("250 ")
    names = [name for name, _ in relay.files]
    assert names == (["text.txt", "contract.pdf"] if attached else ["text.txt"])
    if not attached:
        assert relay.files[0][1].decode() == "Grüße aus Köln"
