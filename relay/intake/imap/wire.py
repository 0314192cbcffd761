"""aioimaplib's protocol, with what it leaves open closed here.

Source: RFC 9051 and 3501 (the server's answers), RFC 4959 (SASL-IR). The library never fails a command whose
connection is gone, takes whatever a server sends into memory, drops what a server says beside an answer, and leaves a
refused AUTHENTICATE without its last line, so that the server waits for ever. It knows no STARTTLS. This subclass
knows the library's inside; ``tests/integration/imap`` holds the contract.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from aioimaplib import aioimaplib

if TYPE_CHECKING:
    import ssl

#: What a server may send in answer to one command: a part of a message, its quoting, and room to spare.
ALLOWANCE: Final = 8 * 1024 * 1024
_EXISTS: Final = re.compile(rb"\* \d+ EXISTS", re.IGNORECASE)
_BYE: Final = re.compile(rb"\* BYE\b", re.IGNORECASE)
_MOST_WORDS: Final = 200


class Wire(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc]  # the library has no types
    """One connection.

    ``lost`` is set when nothing more will come, and ``last_words`` says why where the server did. ``news`` is set by
    each EXISTS: a message arrived. ``replies``: what the next continuation requests of an AUTHENTICATE are answered
    with; an empty line afterwards.
    """

    transport: Any

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.lost = asyncio.Event()
        self.news = asyncio.Event()
        self.last_words = ""
        self.replies: deque[str] = deque()
        self._allowed = ALLOWANCE

    def data_received(self, d: bytes) -> None:
        """Take what came, as far as any honest answer goes."""
        self._allowed -= len(d)
        if self._allowed < 0:
            self._end("the server sent more than was asked for")
            return
        try:
            super().data_received(d)
        except (aioimaplib.AioImapException, RecursionError, UnicodeDecodeError, ValueError, LookupError) as fault:
            self._end(f"the server's answer cannot be understood: {type(fault).__name__}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        super().connection_lost(exc)
        self.lost.set()

    def abort(self) -> None:
        """End the connection without a word; the library's own tasks would wait for ever."""
        for task in self.tasks - {asyncio.current_task(self.loop)}:
            task.cancel()
        if self.transport is not None:
            self.transport.abort()
        self.lost.set()

    async def welcome(self, command: bytes) -> None:
        """Read the greeting; the library would raise a bad one where nobody hears it."""
        try:
            await super().welcome(command)
        except aioimaplib.AioImapException:
            self._end(words(command))

    async def execute(self, command: Any, scrub: str | None = None) -> Any:
        """Send a command and return its answer."""
        self._allowed = ALLOWANCE
        return await super().execute(command, scrub)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go over to TLS (RFC 9051 section 6.2.1); what was said before counts for nothing."""
        answer = await self.execute(aioimaplib.Command("STARTTLS", self.new_tag(), loop=self.loop))
        if answer.result != "OK" or self.incomplete_line:
            raise aioimaplib.Abort("the server takes no STARTTLS")
        self.transport = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_hostname=host)
        self.news.clear()
        await self.capability()

    def _untagged_response(self, line: bytes) -> Any:
        if _EXISTS.match(line):
            self.news.set()
        if _BYE.match(line):
            self._end(words(line))
        return super()._untagged_response(line)

    def _continuation(self, line: bytes) -> None:
        command = self.pending_sync_command
        if command is None or command.name != "AUTHENTICATE":
            super()._continuation(line)
            return
        # A refusal of XOAUTH2 comes as a challenge, which an empty line answers; the tagged NO follows.
        self.transport.write((self.replies.popleft() if self.replies else "").encode() + b"\r\n")

    def _end(self, why: str) -> None:
        self.last_words = self.last_words or why
        self.abort()


def words(line: bytes) -> str:
    """Return a server's words as one printable line."""
    text = line.decode("utf-8", "replace").removeprefix("* ")
    return "".join(c if c.isprintable() else " " for c in text)[:_MOST_WORDS]
