"""Servers that hang, lie or go away at the worst moment, played on loopback.

Every wait has an end, and the next try comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from relay.intake.imap.session import Declined, Lost, Server, Session, WrongCredentials

from .conftest import Office, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

GREETING = "* OK ready"
LOGIN = ["CAPABILITY -> * CAPABILITY IMAP4rev1 IDLE SASL-IR", "LOGIN -> ", "CAPABILITY -> * CAPABILITY IMAP4rev1 IDLE"]
SELECT = ["SELECT -> * 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok"]
HANGS = "hangs"


class Fake:
    """A server that knows its part: each line names a command and what is said before its tagged OK.

    ``hangs`` says nothing more and keeps the connection; what is not in the script ends it. A script repeats for each
    connection. ``NAME -> =TEXT`` says TEXT as it is, without a tagged answer.
    """

    def __init__(self, script: Sequence[str], greeting: str = GREETING) -> None:
        self.script = list(script)
        self.greeting = greeting
        self.heard: list[str] = []
        self.connections = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play the script on one connection."""
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError):
            if self.greeting:
                writer.write(f"{self.greeting}\r\n".encode())
            for part in self.script:
                if part == HANGS:
                    await asyncio.sleep(3600)
                line = (await reader.readline()).decode().strip()
                if not line:
                    break
                self.heard.append(line)
                tag, _, command = line.partition(" ")
                name, _, said = part.partition(" -> ")
                if name not in command:
                    break
                if said.startswith("="):
                    writer.write(said[1:].encode() + b"\r\n")
                else:
                    writer.write(f"{said}{chr(13) + chr(10) if said else ''}{tag} OK done\r\n".encode())
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def playing(script: Sequence[str], greeting: str = GREETING) -> AsyncIterator[Fake]:
    """Run such a server."""
    fake = Fake(script, greeting)
    server = await asyncio.start_server(fake.play, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    yield fake
    server.close()
    for writer in fake._writers:
        writer.close()


@pytest.mark.parametrize(
    ("script", "greeting", "told"),
    [
        ([HANGS], "", "greet us"),
        ([HANGS], GREETING, "greet us"),
        ([*LOGIN[:1], HANGS], GREETING, "log us in"),
        ([*LOGIN, HANGS], GREETING, "open the folder"),
        ([*LOGIN, *SELECT, HANGS], GREETING, "list the messages"),
        ([*LOGIN, *SELECT, "SEARCH -> * SEARCH 1", HANGS], GREETING, "give a message"),
        ([*LOGIN, *SELECT, "SEARCH -> * SEARCH", HANGS], GREETING, "go idle"),
        ([*LOGIN, *SELECT, "SEARCH -> * SEARCH", "IDLE -> =+ idling", HANGS], GREETING, "leave idle"),
        ([], "* BYE too many connections", "too many connections"),
        ([*LOGIN, "SELECT -> =* BYE going down"], GREETING, "going down"),
        (
            [*LOGIN, *SELECT, "SEARCH -> * SEARCH", "IDLE -> =+ idling\r\n* BYE shutting down"],
            GREETING,
            "shutting down",
        ),
        ([*LOGIN, "SELECT -> * 1 EXISTS"], GREETING, "UIDVALIDITY"),
    ],
)
async def test_a_server_that_hangs_is_left(bare_office: Office, script: list[str], greeting: str, told: str) -> None:
    """Lost otherwise: a server that stops answering stops the faxes for ever, and the health page says all is well."""
    async with playing(script, greeting) as fake:
        box = bare_office.serve(port=fake.port, idle=True, timeout_seconds=0.3)
        await until(lambda: fake.connections >= 3, 15)
        if "idle" not in told and "shutting" not in told:  # whoever gets as far as that is served
            await until(lambda: box.trouble is not None)
            assert told in str(box.trouble)
        await bare_office.halt()


async def test_a_flood_is_cut_off(bare_office: Office) -> None:
    """Lost otherwise: a server gone mad fills the memory of the relay."""
    script = [
        *LOGIN,
        *SELECT,
        "SEARCH -> * SEARCH 1",
        "FETCH -> =* 1 FETCH (UID 1 BODY[] {99999999}\r\n" + "x" * 9_000_000,
        HANGS,
    ]
    async with playing(script) as fake:
        box = bare_office.serve(port=fake.port, timeout_seconds=20)
        await until(lambda: box.trouble is not None)
        assert "more than was asked for" in str(box.trouble)


@pytest.mark.parametrize(
    "nonsense",
    [
        "FETCH -> =nonsense",
        'FETCH -> =* 1 FETCH (UID 1 RFC822.SIZE many INTERNALDATE "x")\r\nA1 OK',
        "FETCH -> =" + "* 1 FETCH (UID 1)\r\n" * 5000,
        "FETCH -> =\xff\xfe\x00",
        "FETCH -> =* SEARCH 1 2 3\r\n+ go\r\n* BAD what",
    ],
)
async def test_nonsense_ends_the_connection_at_most(bare_office: Office, nonsense: str) -> None:
    """Lost otherwise: an answer that nobody expected ends the poller's task, and with it the service."""
    async with playing([*LOGIN, *SELECT, "SEARCH -> * SEARCH 1", nonsense, HANGS]) as fake:
        bare_office.serve(port=fake.port, timeout_seconds=0.3)
        await until(lambda: fake.connections >= 2)
        assert not bare_office.tasks["box"].done()
        assert bare_office.faxes == []


async def test_no_password_goes_to_a_server_that_forbids_login() -> None:
    """Lost otherwise: a password crosses the network in the clear."""
    async with playing(["CAPABILITY -> * CAPABILITY IMAP4rev1 LOGINDISABLED"]) as fake:
        session = await Session.open(Server("127.0.0.1", fake.port, "none", None, 2.0))
        with pytest.raises(WrongCredentials, match="LOGINDISABLED"):
            await session.login("fax", "secret")
        await session.close()
        assert not [line for line in fake.heard if "secret" in line]


async def test_a_server_without_starttls_gets_no_password() -> None:
    """Lost otherwise: an attacker who removes STARTTLS reads the password."""
    async with playing(["CAPABILITY -> * CAPABILITY IMAP4rev1", "STARTTLS -> =* BAD", HANGS]) as fake:
        with pytest.raises(Lost):
            await Session.open(Server("127.0.0.1", fake.port, "starttls", None, 0.5))
        assert not [line for line in fake.heard if "LOGIN" in line]


async def test_a_refused_idle_names_its_remedy() -> None:
    """Lost otherwise: a server that only pretends to know IDLE is never polled."""
    script = [*LOGIN, *SELECT, "IDLE -> =A1 BAD no"]
    async with playing(script) as fake:
        session = await Session.open(Server("127.0.0.1", fake.port, "none", None, 1.0))
        await session.login("fax", "secret")
        await session.select("INBOX")
        with pytest.raises((Declined, Lost)):
            await session.idle(1.0)
