"""Runs an application in the service's own loop (uvicorn), on a socket that is bound before anybody is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

#: Connections served at once; the next is answered 503.
_CONCURRENCY = 200
#: Seconds in which a whole request has to come.
_REQUEST = 30.0
#: Seconds that requests have to end when the service stops.
_GRACE = 5


class _Punctual(H11Protocol):
    """A connection that is ended when no whole request comes: the library waits for one for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the library has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._forget()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._forget()
        self._deadline = self.loop.call_later(_REQUEST, self._late)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _late(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        if not answering:
            self.transport.abort()


class _InLoop(uvicorn.Server):
    """A server that leaves signals to the service and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class Started:
    """A server that listens. ``port``: the one it got."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], port: int) -> None:
        self._server = server
        self._task = task
        self.port = port

    async def close(self) -> None:
        """Stop listening, let requests that are being answered end, and stop."""
        self._server.should_exit = True
        await self._task


async def serve(app: FastAPI, address: str, port: int) -> Started:
    """Serve ``app`` on ``address``; port 0 lets the system pick one. Raises :class:`OSError` where it cannot be had."""
    infos = await asyncio.get_running_loop().getaddrinfo(address, port, type=socket.SOCK_STREAM)
    listening = socket.create_server(infos[0][4][:2], family=infos[0][0], backlog=128)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        http=_Punctual,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONCURRENCY,
        timeout_graceful_shutdown=_GRACE,
        ws="none",
    )
    server = _InLoop(config)
    task = asyncio.create_task(server.serve([listening]), name="web")
    await server.listening.wait()
    return Started(server, task, listening.getsockname()[1])
