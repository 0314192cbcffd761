"""TCP and TLS connections of SIP on asyncio: one :class:`StreamFlow` each, made by us or accepted.

A peer cannot make us keep more than one message of its own and a bounded amount of ours, nor hold a half message for
long; what waits for a connection that is never made is told so by its requests.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from transport.sip.framing import BadStream, Framer

if TYPE_CHECKING:
    from transport.sip.stack.messages import Flow

_MOST_UNSENT = 1 << 20
_MESSAGE = 15.0  # seconds a message may take from its first byte to its last
_IDLE = 3600.0  # seconds an accepted connection of a trunk or device may say nothing
_STRANGE = 60.0  # and one of somebody else
_PING = 45.0  # between keep-alives of ours (RFC 5626 4.4.1 takes up to 120)


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: an address, what carries them, and for TLS the name and the authorities to verify."""

    transport: str
    host: str
    port: int
    name: str = ""
    ca: str = ""


class Keeper(Protocol):
    """Who has the connections."""

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take a message."""

    def local(self, remote: str, transport: str) -> tuple[str, int]:
        """Return our address as ``remote`` should use it; port 0 where nothing listens."""

    def joined(self, flow: StreamFlow) -> bool:
        """Take an accepted connection; returns whether there is room for it."""

    def left(self, flow: StreamFlow, reason: str) -> None:
        """Forget a connection, and tell whoever waits for answers by it."""


class StreamFlow(asyncio.Protocol):
    """A TCP or TLS connection, made by us (``remote`` given) or accepted; ``trusted``: of a trunk or a device."""

    reliable = True

    def __init__(self, keeper: Keeper, transport: str, remote: tuple[str, int] | None) -> None:
        self.transport = transport
        self.closed = False
        self.remote = remote or ("", 0)
        self.port = 0
        self.target: Target | None = None
        self.trusted = False
        self._keeper = keeper
        self._ours = remote is not None
        self._pending: list[bytes] = []
        self._socket: asyncio.Transport | None = None
        self._framer = Framer()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def local(self) -> tuple[str, int]:
        """Return our address as it should be used."""
        host, port = self._keeper.local(self.remote[0], self.transport)
        return host, port or self.port

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:  # noqa: N802  the library's name
        """Return what stands for us in Via."""
        host, port = self.local
        return (bracketed(host), port), self.transport

    def send_to(self, data: str | bytes, address: object) -> None:
        """Send by the connection; what comes before it stands waits for it."""
        del address
        raw = encoded(data)
        if self.closed:
            asyncio.get_running_loop().call_soon(self._keeper.left, self, "the connection is closed")
        elif self._socket is None:
            self._pending.append(raw)
        elif self._socket.get_write_buffer_size() > _MOST_UNSENT:
            self._socket.abort()
        else:
            self._socket.write(raw)

    @property
    def _patience(self) -> float:
        return _PING if self._ours else _IDLE if self.trusted else _STRANGE

    def connection_made(self, transport: Any) -> None:
        """Take the connection."""
        self._socket = transport
        peer = transport.get_extra_info("peername") or ("", 0)
        if self.closed:
            transport.abort()
            return
        if not self._ours:
            self.remote = peer[0].removeprefix("::ffff:"), peer[1]
            if not self._keeper.joined(self):
                self.closed = True
                transport.abort()
                return
        for raw in self._pending:
            transport.write(raw)
        self._pending.clear()
        self._wait(self._patience)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        try:
            frames = self._framer.feed(data)
        except BadStream:
            self._abort()
            return
        for _ in range(self._framer.pings):
            self.send_to(b"\r\n", None)
        self._framer.pings = 0
        for frame in frames:
            self._keeper.receive(frame, self)
        if not self._framer.waiting:
            self._wait(self._patience)
        elif frames or self._timer is None or self._timer.when() - asyncio.get_running_loop().time() > _MESSAGE:
            self._wait(_MESSAGE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._end("the connection ended" if exc is None else f"the connection broke: {in_short(exc)}")

    def failed(self, reason: str) -> None:
        """Note that the connection was never made."""
        self._end(reason)

    def shut(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
        self._end("closed")

    def _end(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.closed:
            self.closed = True
            self._keeper.left(self, reason)

    def _abort(self) -> None:
        if self._socket is not None:
            self._socket.abort()

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._waited)

    def _waited(self) -> None:
        if self._ours and not self._framer.waiting and self._socket is not None:
            self._socket.write(b"\r\n\r\n")
            self._wait(_PING)
        else:
            self._abort()


def trust(flow: Flow) -> None:
    """Note that somebody we know is at the other end, who may take their time."""
    if isinstance(flow, StreamFlow):
        flow.trusted = True


def encoded(data: str | bytes) -> bytes:
    """Return text as it goes out: what came undecodable goes back as it came."""
    return data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")


def bracketed(host: str) -> str:
    """Return a host as URIs and Via write it."""
    return f"[{host}]" if ":" in host else host


def in_short(fault: BaseException) -> str:
    """Return a fault in a few printable words."""
    text = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault) or type(fault).__name__
    return "".join(one for one in text if " " <= one <= "~")[:120]
