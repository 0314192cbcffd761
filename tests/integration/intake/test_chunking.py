"""Messages in chunks (BDAT, RFC 3030): the same mail as by DATA, whatever the pieces."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Client, Relay

TO = "+12025550123@fax.example.com"


async def begin(relay: Relay, *recipients: str) -> Client:
    """Return a client that has named its recipients."""
    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com>")
    for recipient in recipients:
        assert (await client.say(f"RCPT TO:<{recipient}>")).startswith("250 ")
    return client


def chunk(data: bytes, *, last: bool = False) -> bytes:
    """Return a BDAT command with its octets."""
    return b"BDAT %d%s\r\n%b" % (len(data), b" LAST" if last else b"", data)


async def test_chunking_is_offered(relay: Relay) -> None:
    """Lost otherwise: servers send megabytes line by line."""
    client = await relay.client(None)
    await client.reply()
    assert "CHUNKING" in await client.say("EHLO client.example")


@pytest.mark.parametrize("size", [1, 7, 100, 65_536, 10_000_000])
async def test_a_message_in_chunks_is_the_same_mail(relay: Relay, letter: Callable[..., bytes], size: int) -> None:
    """Lost otherwise: a mail's bytes depend on how its server cut them."""
    message = letter()
    client = await begin(relay, TO)
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    client.writer.write(b"".join([*map(chunk, pieces[:-1]), chunk(pieces[-1], last=True)]))
    for _ in pieces[:-1]:
        assert (await client.reply()).startswith("250 2.0.0 Go on.")
    first = await client.reply()
    assert first.startswith("250 2.0.0 Accepted as ")
    assert (await relay.send(message, TO)).startswith("250 2.0.0 Accepted before as "), "to the octet"


async def test_a_dot_in_a_chunk_is_a_dot(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a second mail is smuggled in behind a dot that BDAT does not know."""
    inside = b"\r\n.\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<+12025550124@fax.example.com>\r\nDATA\r\n"
    client = await begin(relay, TO)
    client.writer.write(chunk(letter() + inside + letter(), last=True))
    assert (await client.reply()).startswith(("250 2.0.0 ", "550 5.6.0 "))
    assert (await client.say("NOOP")).startswith("250 2.0.0 ")
    assert {row.peer for row in relay.faxes} <= {"+12025550123"}


async def test_chunks_before_a_recipient_are_thrown_away(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the octets of a chunk are read as commands."""
    client = await relay.client()
    client.writer.write(chunk(b"RCPT TO:<x>\r\nQUIT\r\n" * 100))
    assert (await client.reply()).startswith("503 5.5.1 ")
    client.writer.write(chunk(letter(), last=True))
    assert (await client.reply()).startswith("503 5.5.1 ")
    assert (await client.send(letter(), TO)).startswith("250 2.0.0 Accepted as ")


async def test_a_message_that_began_in_chunks_ends_in_chunks(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: half a mail is faxed, or a mail goes to whom its first chunk was not meant for."""
    client = await begin(relay, TO)
    message = letter()
    client.writer.write(chunk(message[:100]))
    assert (await client.reply()).startswith("250 ")
    assert (await client.say("DATA")).startswith("503 5.5.1 ")
    assert (await client.say("RCPT TO:<+12025550124@fax.example.com>")).startswith("503 5.5.1 ")
    client.writer.write(chunk(message[100:]))
    assert (await client.reply()).startswith("250 ")
    client.writer.write(chunk(b"", last=True))
    assert (await client.reply()).startswith("250 2.0.0 Accepted as ")
    assert [row.peer for row in relay.faxes] == ["+12025550123"]


async def test_rset_forgets_the_chunks(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the next mail begins with a piece of this one."""
    client = await begin(relay, TO)
    client.writer.write(chunk(b"From: somebody@example.com\r\n"))
    assert (await client.reply()).startswith("250 ")
    assert (await client.say("RSET")).startswith("250 ")
    assert (await client.send(letter(), TO)).startswith("250 2.0.0 Accepted as ")


@pytest.mark.parametrize("settings", [{"message_bytes": 100_000}], indirect=True)
async def test_what_is_too_large_is_refused_and_never_half_taken(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the last chunk of a mail that is too large is faxed by itself."""
    client = await begin(relay, TO)
    client.writer.write(chunk(b"x" * 99_998 + b"\r\n") + chunk(b"y\r\n") + chunk(letter(), last=True))
    replies = [await client.reply() for _ in range(3)]
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "552 5.3.4", "552 5.3.4"]
    assert (await client.send(letter(), TO)).startswith("250 2.0.0 ")
    assert len(relay.faxes) == 1
    client = await begin(relay, TO)
    client.writer.write(chunk(b"z" * 500_000))
    assert (await client.reply()).startswith("552 5.3.4 ")
    with contextlib.suppress(ConnectionResetError):
        assert await client.reader.read() == b"", "it goes on and on"


@pytest.mark.parametrize("argument", ["", "x", "-1", "10 FIRST", "1e3", "9999999999999"])
async def test_a_chunk_of_no_size_ends_the_session(relay: Relay, argument: str) -> None:
    """Lost otherwise: nobody knows where the chunk ends, and its octets are read as commands."""
    client = await begin(relay, TO)
    assert (await client.say(f"BDAT {argument}")).startswith("501 5.5.4 ")
    assert await client.reader.read() == b""


@pytest.mark.parametrize("settings", [{"data_seconds": 0.3}], indirect=True)
async def test_a_slow_chunk_is_cut_off(relay: Relay) -> None:
    """Lost otherwise: a client that sends an octet a minute holds a session for ever."""
    client = await begin(relay, TO)
    client.writer.write(b"BDAT 1000\r\nx")
    assert (await client.reply()).startswith("421 4.4.2 ")


async def test_a_disk_that_fails_in_the_middle_ends_the_session(
    relay: Relay, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: the rest of a message is read as commands."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("relay.intake.spool.Spool.write", full)
        for command in (chunk(letter(), last=True), b"DATA\r\n" + letter() + b"\r\n.\r\n"):
            client = await begin(relay, TO)
            client.writer.write(command)
            reply = await client.reply()
            assert (reply if reply.startswith("451") else await client.reply()).startswith("451 4.3.0 ")
            assert await client.reader.read() == b""
    assert (await relay.send(letter(), TO)).startswith("250 2.0.0 ")
