"""Malformed and extreme messages, on UDP and on streams: an answer where one can be given, and never any harm."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from .office import SipOffice, carrier, sip_office
from .peers import LOOPBACK
from .torture import INVALID, OPTIONS_URI, VALID, Nasty
from .wire import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

STRANGER = "127.0.0.9"
_LOG = 20_000  # bytes that all of it may write
_HEADER = re.compile(r"[A-Za-z-]+:[ \t]?[^\r\n\x00]*|[ \t][^\r\n\x00]*")


@pytest.fixture
async def hardened(tmp_path: Path) -> AsyncIterator[SipOffice]:
    """A line that bans nobody, so that everything is read."""
    async with sip_office(tmp_path, whitelist=("127.0.0.0/8",)) as opened:
        await opened.publish(carrier(opened.ports.block(), networks=(f"{LOOPBACK}/32",)))
        yield opened


async def _unharmed(office: SipOffice) -> None:
    """Fail unless the line is the one that was started, at rest, quiet, and takes the next call."""
    await office.at_rest(40)
    assert len(office.log) < _LOG, office.log[-2000:]
    assert len(office.processes) == 1
    assert office.line.leftovers() == []
    peer = await office.sipp("inbound/called", calls_us=True, keys={"talk": "200"})
    await peer.finished()
    await office.arrived()
    await office.at_rest()


async def _tell(office: SipOffice, address: str, nasty: Nasty, number: int) -> str:
    """Send one message; return the status code that came, ``-`` for silence, the whole of it where it is no SIP."""
    with wire(office.port, address) as socket:
        answer = await socket.final(nasty.datagram(socket.port, number), 1.0)
    if answer is None:
        return "-"
    head = answer.partition("\r\n\r\n")[0].split("\r\n")
    if not re.fullmatch(r"SIP/2\.0 [1-6]\d\d [^\r\n]*", head[0]) or not all(map(_HEADER.fullmatch, head[1:])):
        return f"no SIP: {answer}"
    return head[0].split()[1]


async def _tell_all(office: SipOffice, address: str) -> dict[str, str]:
    said: dict[str, str] = {}
    every = list(enumerate([*VALID, *INVALID]))
    for at in range(0, len(every), 20):
        part = every[at : at + 20]
        answers = await asyncio.gather(*(_tell(office, address, nasty, number) for number, nasty in part))
        said |= {nasty.name: answer for (_, nasty), answer in zip(part, answers, strict=True)}
        with wire(office.port) as socket:
            answer = await socket.final(socket.request("OPTIONS", OPTIONS_URI))
            assert answer is not None, f"the line is deaf after one of {[nasty.name for _, nasty in part]}"
    return said


async def test_there_are_enough_of_them() -> None:
    """Lost otherwise: messages are thrown out one by one until every line passes."""
    names = [nasty.name for nasty in (*VALID, *INVALID)]
    assert len(names) == len(set(names)) >= 60


async def test_a_trunk_that_writes_badly_is_answered_as_it_can_be(hardened: SipOffice) -> None:
    """Lost otherwise: one message of an old switch takes every fax down, or what is unusual but right is refused."""
    said = await _tell_all(hardened, LOOPBACK)
    wrong = [
        f"{nasty.name}: {said[nasty.name]}, not {' or '.join(nasty.may)}"
        for nasty in (*VALID, *INVALID)
        if not any(said[nasty.name].startswith(may) for may in nasty.may)
    ]
    assert not wrong, "\n".join(wrong)
    await _unharmed(hardened)


async def test_a_stranger_who_writes_badly_gets_nothing(hardened: SipOffice) -> None:
    """Lost otherwise: whoever can reach the port can crash it, or slips in by a message that is read in two ways."""
    said = await _tell_all(hardened, STRANGER)
    assert not {name: answer for name, answer in said.items() if not answer.startswith(("4", "505", "-"))}
    await _unharmed(hardened)


def _options(number: int, *, body: str = "", length: str | None = None) -> bytes:
    size = length if length is not None else str(len(body))
    return (
        f"OPTIONS {OPTIONS_URI} SIP/2.0\r\nVia: SIP/2.0/TCP {LOOPBACK};rport;branch=z9hG4bKs{number}\r\n"
        f"From: <sip:s@{LOOPBACK}>;tag=s{number}\r\nTo: <{OPTIONS_URI}>\r\nCall-ID: stream-{number}\r\n"
        f"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: {size}\r\n\r\n{body}"
    ).encode()


async def _stream(office: SipOffice, *pieces: bytes, pause: float = 0.02, seconds: float = 1.0) -> tuple[str, bool]:
    """Send pieces on a connection; return what came, and whether the line closed it."""
    reader, writer = await asyncio.open_connection(LOOPBACK, office.port)
    heard, closed = b"", False
    try:
        for piece in pieces:
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(pause)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while data := await reader.read(65536):
                    heard += data
                closed = True
    except ConnectionError:
        closed = True
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return heard.decode(errors="replace"), closed


async def test_messages_of_a_stream_are_told_apart(hardened: SipOffice) -> None:
    """Lost otherwise: two messages in one segment, or one in two, and a TCP trunk is deaf (RFC 3261 18.3)."""
    heard, _ = await _stream(hardened, _options(1) + _options(2, body="x" * 40) + b"\r\n\r\n" + _options(3))
    assert heard.count("SIP/2.0 200") == 3
    assert "\r\n\r\n" in heard.partition("stream-2")[2], "a keep-alive has its pong (RFC 5626 3.5.1)"
    message = _options(4, body="y" * 30)
    heard, _ = await _stream(hardened, *(message[at : at + 1] for at in range(len(message))), pause=0)
    assert heard.count("SIP/2.0 200") == 1
    await _unharmed(hardened)


@pytest.mark.parametrize(
    "nasty",
    [
        _options(1, length="-5"), _options(1, length="99999999999"), _options(1, length="many"), b"\x80\xff\x00" * 5000,
        b"OPTIONS " + b"x" * 300_000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        _options(1, length="5\r\nContent-Length: 9", body="z"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, b"\r\n" * 50_000,
    ],
    ids=["negative", "huge", "word", "noise", "endless line", "http", "two lengths", "a TLS hello", "line ends"],
)  # fmt: skip
async def test_a_stream_that_cannot_be_followed_is_not_obeyed(hardened: SipOffice, nasty: bytes) -> None:
    """Lost otherwise: one connection fills the memory, or the next message of it is read from the middle."""
    heard, _ = await _stream(hardened, nasty, _options(2), seconds=1.5)
    if not nasty.startswith(b"\r\n"):  # which is no message, and may be skipped
        assert "SIP/2.0 2" not in heard
    await _unharmed(hardened)


async def test_idle_connections_do_not_lock_a_trunk_out(hardened: SipOffice) -> None:
    """Lost otherwise: thirty machines with twenty idle connections each, and no trunk on TCP reaches us."""
    idle = []
    for source in range(1, 31):
        for _ in range(20):
            opened = asyncio.open_connection(LOOPBACK, hardened.port, local_addr=(f"127.0.1.{source}", 0))
            idle.append(await opened)
    for _, writer in idle[::3]:
        writer.write(b"INVITE sip:x SIP/2.0\r\nVia: ")
    try:
        heard, _ = await _stream(hardened, _options(1))
        assert "SIP/2.0 200" in heard
    finally:
        for _, writer in idle:
            writer.close()
    await _unharmed(hardened)
