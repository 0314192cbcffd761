"""Accepting processes: SMTP on several processors, and one committer behind them all, which is main's.

Main opens the sockets, one for each process and listener (SO_REUSEPORT: the kernel deals the connections out), so that
the port is known first and a process that dies leaves its waiting clients to its successor. Each process reads, judges
and keeps mails; what it asks to be committed comes over a link, and only main's answer lets it say 250.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

from relay.errors import SettingsError
from relay.intake import remote
from relay.intake.smtp import open_unix
from transport.link import Link

if TYPE_CHECKING:
    from relay.intake.committer import Committer
    from relay.settings import Settings

log = structlog.get_logger()

_BACKLOG: Final = 512
#: Seconds before a process that died is started again, and those that a stopping one has for its last mails.
_AGAIN, _GRACE = 1.0, 35.0


class Acceptors:
    """``settings.smtp.processes`` processes that accept mail."""

    def __init__(self, settings: Settings, committer: Committer) -> None:
        self._settings = settings
        self._committer = committer
        self._sockets: list[list[socket.socket]] = []
        self._links: dict[int, Link] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on, in the order of the settings; 0 for a Unix socket."""
        first = self._sockets[0]
        return [0 if one.family == socket.AF_UNIX else one.getsockname()[1] for one in first]

    async def start(self) -> None:
        """Listen; raises :class:`OSError` where an address is taken, :class:`relay.errors.SettingsError`."""
        try:
            for _ in range(self._settings.smtp.processes):
                self._sockets.append([self._bound(at) for at in range(len(self._settings.smtp.listeners))])
            ups = [asyncio.get_running_loop().create_future() for _ in self._sockets]
            self._keepers = [
                asyncio.create_task(self._keep(index, up), name=f"smtp {index}") for index, up in enumerate(ups)
            ]
            await asyncio.gather(*ups)
        except (OSError, SettingsError):
            await self.close()
            raise

    async def close(self) -> None:
        """Let the processes finish the mails that they are taking, and end them."""
        self._stopping = True
        for link in self._links.values():
            link.post({"do": "stop"})
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=_GRACE)
            for keeper in late:
                keeper.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for one in (one for row in self._sockets for one in row):
            one.close()

    async def trouble(self) -> str | None:
        """Return what keeps mail from being accepted, in words; ``None`` when every process is up."""
        missing = len(self._sockets) - len(self._links)
        return f"{missing} of {len(self._sockets)} accepting processes are being started again" if missing else None

    def _bound(self, at: int) -> socket.socket:
        """Return a listening socket; those of later processes share the first one's port."""
        listener = self._settings.smtp.listeners[at]
        if listener.path is not None:
            mode = int(listener.socket_mode, 8)
            return self._sockets[0][at].dup() if self._sockets else open_unix(listener.path, mode)
        port = self._sockets[0][at].getsockname()[1] if self._sockets else listener.port
        family, _, _, _, address = socket.getaddrinfo(
            listener.address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not self._sockets and port:
            # Sockets that share a port share it with any process of this user: look first whether it is free.
            socket.create_server(address, family=family).close()
        return socket.create_server(address, family=family, backlog=_BACKLOG, reuse_port=True)

    async def _keep(self, index: int, up: asyncio.Future[None]) -> None:
        while not self._stopping:
            try:
                await self._serve(index, up)
            except OSError:
                log.exception("an accepting process could not be started", index=index)
            if not self._stopping:
                log.error("an accepting process ended; it is started again", index=index)
                await asyncio.sleep(_AGAIN)

    async def _serve(self, index: int, up: asyncio.Future[None]) -> None:
        """Start a process and answer it until it ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link = Link(ours)
        descriptors = [theirs.fileno(), *(one.fileno() for one in self._sockets[index])]
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "relay.acceptor", str(descriptors[0]),
                self._settings.model_dump_json(), *map(str, descriptors[1:]),
                pass_fds=descriptors, stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except BaseException:
            link.close()
            raise
        finally:
            theirs.close()
        try:
            while (received := await link.receive()) is not None:
                self._heard(index, link, *received, up)
        finally:
            self._links.pop(index, None)
            link.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if not up.done():
                up.set_exception(SettingsError("an accepting process did not start; the log says why"))

    def _heard(
        self, index: int, link: Link, message: dict[str, Any], descriptors: list[int], up: asyncio.Future[None]
    ) -> None:
        match message:
            case {"do": "commit" | "note", "number": int()} if descriptors:
                task = asyncio.create_task(remote.answer(self._committer, link, message, descriptors[0]))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            case {"say": "up"}:
                self._links[index] = link
                if not up.done():
                    up.set_result(None)
                if self._stopping:
                    link.post({"do": "stop"})
            case {"say": "broken", "reason": str(reason)} if not up.done():
                up.set_exception(SettingsError(reason))
