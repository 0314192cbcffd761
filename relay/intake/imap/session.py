"""A watched connection to one mailbox: every wait on the server has an end.

Source: RFC 9051 (IMAP4rev2) and RFC 3501, RFC 2177 (IDLE), RFC 6851 (MOVE), RFC 4315 (UIDPLUS), RFC 7628 and the
XOAUTH2 of Google and Microsoft. Invariants:

* a command that is not answered in time, or whose connection is gone, ends the connection and raises :class:`Lost`;
* no password goes out before TLS, nor to a server that forbids LOGIN;
* a message is read with PEEK in parts, so that memory holds one part and no flag changes before the commit;
* nothing is expunged but the message that was copied.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aioimaplib import aioimaplib

from relay.errors import RelayError
from relay.intake.imap.wire import Wire, words

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

#: Bytes of one part of a message.
PART: Final = 1024 * 1024
#: RFC 2177 section 3: a server may log off whoever is idle for 30 minutes.
LONGEST_IDLE: Final = 29 * 60.0
_FAREWELL: Final = 3.0

_UIDS = re.compile(rb"[0-9 ]*")
_VALIDITY = re.compile(rb"OK \[UIDVALIDITY (\d+)\]", re.IGNORECASE)
_KEYWORDS = re.compile(rb"OK \[PERMANENTFLAGS \(([^)]*)\)\]", re.IGNORECASE)
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_RECEIVED = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_EMPTY = re.compile(rb'\bBODY\[[^]]*\](?:<\d+>)? (?:""|NIL)')
_MISSING = re.compile(r"\[(?:TRYCREATE|NONEXISTENT)\]", re.IGNORECASE)
#: RFC 5530 section 3: what says that trying again helps.
_FOR_NOW = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT)\]", re.IGNORECASE)


class ImapFault(RelayError):
    """Something about a mailbox is not as it should be; the message is for the health page."""


class Lost(ImapFault):
    """The connection is gone, or was never made."""


class WrongCredentials(ImapFault):
    """The server does not let us in."""


class Declined(ImapFault):
    """The server said NO or BAD to a command; the connection goes on."""


class Gone(ImapFault):
    """The message is no longer there."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mailbox lies.

    ``tls``: ``tls``, ``starttls`` or ``none``; ``trust``: whose certificates count, the system's unless told.
    ``seconds``: the longest wait for one answer.
    """

    host: str
    port: int
    tls: str
    trust: ssl.SSLContext | None = None
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Folder:
    """What SELECT told. ``keywords``: the server keeps flags of our own."""

    validity: int
    keywords: bool


@dataclass(frozen=True, slots=True)
class About:
    """A message before it is read: ``size`` in bytes, ``received`` its INTERNALDATE as written."""

    size: int
    received: str


class Session:
    """One connection. ``await open(...)`` gives one; :meth:`close` ends it."""

    def __init__(self, wire: Wire, seconds: float) -> None:
        self._wire = wire
        self._seconds = seconds

    @classmethod
    async def open(cls, server: Server) -> Session:
        """Connect, under TLS where the server's settings say so; raises :class:`Lost`."""
        loop = asyncio.get_running_loop()
        implicit = server.trust or _system() if server.tls == "tls" else None
        try:
            async with asyncio.timeout(server.seconds):
                _, wire = await loop.create_connection(lambda: Wire(loop), server.host, server.port, ssl=implicit)
        except TimeoutError:
            raise Lost(f"{server.host} did not answer within {server.seconds:g} seconds") from None
        except OSError as fault:  # ssl.SSLError among them
            raise Lost(f"{server.host}:{server.port} cannot be reached: {fault}") from fault
        session = cls(wire, server.seconds)
        try:
            await session._watched(wire.wait("AUTH|NONAUTH"), "greet us")
            if server.tls == "starttls":
                await session._watched(wire.start_tls(server.trust or _system(), server.host), "start TLS")
        except BaseException:
            wire.abort()
            raise
        return session

    async def login(self, user: str, password: str) -> None:
        """Log in with a password; raises :class:`WrongCredentials`."""
        if "LOGINDISABLED" in self._wire.capabilities:
            raise WrongCredentials("the server takes no password here (LOGINDISABLED); use TLS, or oauth")
        await self._enter(self._wire.login(_quoted(user), password))

    async def login_oauth(self, user: str, token: str) -> None:
        """Log in with an access token (XOAUTH2); raises :class:`WrongCredentials`."""
        said = base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()
        at_once = "SASL-IR" in self._wire.capabilities
        self._wire.replies.clear()
        if not at_once:
            self._wire.replies.append(said)
        await self._enter(self._authenticate("XOAUTH2", *([said] if at_once else [])), aioimaplib.AUTH)

    async def select(self, folder: str) -> Folder:
        """Open a folder for reading and filing; raises :class:`Declined` where there is none or it is read-only."""
        answer = await self._done(self._wire.select(_folder(folder)), "open the folder")
        lines = [bytes(line) for line in answer.lines]
        validity = next((int(m[1]) for line in lines if (m := _VALIDITY.match(line))), None)
        if validity is None:
            raise Declined(f"the folder {folder} has no UIDVALIDITY: it cannot be polled safely")
        if any(b"[READ-ONLY]" in line.upper() for line in lines):
            raise Declined(f"the folder {folder} is read-only for this user: messages could not be filed")
        flags = next((m[1] for line in lines if (m := _KEYWORDS.match(line))), b"")
        return Folder(validity, rb"\*" in flags)

    async def search(self, *criteria: str) -> list[int]:
        """Return the UIDs of the messages that fit, the oldest first."""
        self._wire.news.clear()
        answer = await self._done(self._wire.search(*criteria, charset=None, by_uid=True), "list the messages")
        numbers = b" ".join(bytes(line) for line in answer.lines[:-1] if _UIDS.fullmatch(bytes(line)))
        return sorted({int(one) for one in numbers.split()})

    async def about(self, uid: int) -> About:
        """Return a message's size and date; raises :class:`Gone`."""
        lines = await self._fetch(uid, "(UID RFC822.SIZE INTERNALDATE)")
        for line in lines:
            size, received = _SIZE.search(line), _RECEIVED.search(line)
            if size and received and isinstance(line, bytes) and _names(line, uid):
                return About(int(size[1]), received[1].decode("ascii", "replace").strip())
        raise Gone(f"message {uid} is not there any more")

    async def read(self, uid: int, sink: Callable[[bytes], None], most: int, *, section: str = "") -> bool:
        """Give a message's bytes to ``sink`` in parts; return whether all came, or ``most`` of them were exceeded.

        RFC822.SIZE is an estimate with some servers: what counts is what comes. Raises :class:`Gone`.
        """
        at = 0
        while True:
            lines = await self._fetch(uid, f"(UID BODY.PEEK[{section}]<{at}.{PART}>)")
            part = next((bytes(line) for line in lines if isinstance(line, bytearray)), None)
            if part is None:
                if not any(_EMPTY.search(line) for line in lines):
                    raise Gone(f"message {uid} is not there any more")
                return True
            at += len(part)
            if at > most:
                return False
            sink(part)
            if len(part) < PART:
                return True

    async def flag(self, uid: int, *flags: str) -> None:
        """Add flags to a message; raises :class:`Declined`."""
        await self._done(
            self._wire.store(str(uid), "+FLAGS.SILENT", f"({' '.join(flags)})", by_uid=True), "flag a message"
        )

    async def move(self, uid: int, folder: str) -> None:
        """Move a message, and make the folder where it is missing; raises :class:`Declined`, the message in place."""
        try:
            await self._move(uid, folder)
        except Declined as fault:
            if not _MISSING.search(str(fault)):
                raise
            await self._done(self._wire.simple_command("CREATE", _folder(folder)), f"make the folder {folder}")
            await self._move(uid, folder)

    async def idle(self, seconds: float) -> None:
        """Wait until a message comes, or for ``seconds``; raises :class:`Lost`. A server without IDLE is not asked."""
        seconds = min(seconds, LONGEST_IDLE)
        if "IDLE" not in self._wire.capabilities:
            await self._quiet(seconds)
            return
        # The library's idle_start() waits without end: the command is held here instead.
        idling = asyncio.ensure_future(self._wire.idle())
        try:
            await self._watched(_first(idling, self._wire.wait_for_idle_response()), "go idle")
            if not idling.done():
                await self._quiet(seconds)
                self._wire.idle_done()
            answer = await self._watched(_result(idling), "leave idle")
        finally:
            idling.cancel()
            while not self._wire.idle_queue.empty():  # what the library would hand to its own helpers
                self._wire.idle_queue.get_nowait()
        if answer.result != "OK":
            raise Declined(f"the server refuses IDLE: {_told(answer)}; set idle to false for this mailbox")

    async def close(self) -> None:
        """Say goodbye, briefly."""
        if not self._wire.lost.is_set():
            with contextlib.suppress(ImapFault):
                await self._watched(self._wire.logout(), "say goodbye", _FAREWELL)
        self._wire.abort()

    @property
    def news(self) -> bool:
        """Whether a message came since the last :meth:`search`."""
        return self._wire.news.is_set()

    async def rest(self, seconds: float) -> None:
        """Wait for ``seconds`` without asking the server; raises :class:`Lost`."""
        await self._quiet(seconds)

    async def _quiet(self, seconds: float) -> None:
        """Wait for news, the connection's end or ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _first(asyncio.ensure_future(self._wire.lost.wait()), self._wire.news.wait())
        if self._wire.lost.is_set():
            raise self._lost()

    async def _enter(self, work: Coroutine[Any, Any, Any], state: str | None = None) -> None:
        answer = await self._watched(work, "log us in")
        if answer.result != "OK":
            told = _told(answer)
            if _FOR_NOW.search(told):
                raise Lost(f"the server lets nobody in now: {told}")
            raise WrongCredentials(f"the server refuses the login: {told}; check user, password or oauth")
        if state is not None:
            self._wire.state = state
        await self._watched(self._wire.capability(), "say what it can do")

    async def _authenticate(self, *arguments: str) -> Any:
        command = aioimaplib.Command("AUTHENTICATE", self._wire.new_tag(), *arguments, loop=self._wire.loop)
        return await self._wire.execute(command, scrub=arguments[-1])

    async def _fetch(self, uid: int, what: str) -> list[bytes | bytearray]:
        lines = (await self._done(self._wire.fetch(str(uid), what, by_uid=True), "give a message")).lines
        return list(lines[:-1])

    async def _move(self, uid: int, folder: str) -> None:
        told = f"move a message to {folder}"
        if "MOVE" in self._wire.capabilities:
            command = aioimaplib.Command(
                "MOVE", self._wire.new_tag(), str(uid), _folder(folder), prefix="UID", loop=self._wire.loop
            )
            await self._done(self._wire.execute(command), told)
            return
        await self._done(self._wire.copy(str(uid), _folder(folder), by_uid=True), told)
        await self.flag(uid, r"\Deleted")
        if "UIDPLUS" in self._wire.capabilities:
            await self._done(self._wire.expunge(str(uid), by_uid=True), told)

    async def _done(self, work: Coroutine[Any, Any, Any], told: str) -> Any:
        answer = await self._watched(work, told)
        if answer.result != "OK":
            raise Declined(f"the server does not {told}: {_told(answer)}")
        return answer

    async def _watched(self, work: Coroutine[Any, Any, T], told: str, seconds: float | None = None) -> T:
        """Return what ``work`` does; end the connection where it takes too long, or its asker goes away."""
        task = asyncio.ensure_future(work)
        lost = asyncio.ensure_future(self._wire.lost.wait())
        seconds = seconds or self._seconds
        try:
            done, _ = await asyncio.wait({task, lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            if lost in done:
                raise self._lost()
            self._wire.abort()
            raise Lost(f"the server did not {told} within {seconds:g} seconds")
        except asyncio.CancelledError:
            self._wire.abort()
            raise
        except (aioimaplib.AioImapException, OSError, ValueError, LookupError) as fault:
            self._wire.abort()
            raise Lost(f"the server did not {told}: {fault}") from fault
        finally:
            task.cancel()
            lost.cancel()

    def _lost(self) -> Lost:
        why = self._wire.last_words
        return Lost(f"the server ended the connection: {why}" if why else "the connection was lost")


def _system() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _result(task: asyncio.Future[T]) -> T:
    return await task


async def _first(one: asyncio.Future[Any], other: Coroutine[Any, Any, Any]) -> None:
    """Wait for either; the other's task goes."""
    second = asyncio.ensure_future(other)
    try:
        await asyncio.wait({one, second}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        second.cancel()


def _names(line: bytes, uid: int) -> bool:
    matched = _UID.search(line)
    return matched is not None and int(matched[1]) == uid


def _told(answer: Any) -> str:
    return words(bytes(answer.lines[-1])) if answer.lines else str(answer.result)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _folder(name: str) -> str:
    r"""Return a folder's name as it goes over the wire: modified UTF-7 (RFC 3501 section 5.1.3), quoted.

    >>> _folder("Gef\xe4xt & Co")
    '"Gef&AOQ-xt &- Co"'
    """

    def coded(matched: re.Match[str]) -> str:
        if matched[0] == "&":
            return "&-"
        code = base64.b64encode(matched[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
        return f"&{code}-"

    return _quoted(re.sub(r"&|[^ -~]+", coded, name))
