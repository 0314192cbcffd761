"""One end of a message channel between two of our processes.

A ``SOCK_SEQPACKET`` pair (unix(7)) carries one JSON object a message, with file descriptors beside it
(``SCM_RIGHTS``). Message borders are the kernel's, so there is no framing to get wrong, and an empty read
is the far end's death: nobody needs a heartbeat to learn of a ``kill -9``.

Invariants: a message is at most :data:`MAX_MESSAGE` bytes; what the far end says is data, not trusted (a
confined child may have been taken over): a message that is no JSON object, too long, or carries more than
:data:`MAX_FDS` descriptors is :class:`ChannelBroken`, and every descriptor that came with it is closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Bytes of one message; the kernel's default socket buffer (212,992) must hold one.
MAX_MESSAGE = 128 * 1024
#: Descriptors of one message (the kernel allows 253).
MAX_FDS = 128


class ChannelBroken(Exception):
    """The far end broke the channel's rules; the remedy is to kill it."""


class Channel:
    """A connected end: blocking calls for a child, ``async`` ones for a process with an event loop."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return two connected ends."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Channel:
        """Take over an inherited or received descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """Return the descriptor, for ``select`` and for passing on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end; the other end reads its death."""
        self._socket.close()

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send one message; the descriptors stay open here.

        Raises :class:`BrokenPipeError` when the far end is gone and :class:`ChannelBroken` when the message
        is too long (a fault of the caller).
        """
        socket.send_fds(self._socket, [_encode(message)], list(fds))

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next message with its descriptors (the caller's to close), or ``None`` at the far end's death."""
        try:
            data, fds, flags, _ = socket.recv_fds(self._socket, MAX_MESSAGE + 1, MAX_FDS)
        except ConnectionResetError:  # it left without reading all that we said; what it had said itself comes next
            data, fds, flags, _ = socket.recv_fds(self._socket, MAX_MESSAGE + 1, MAX_FDS)
        if not data and not fds:
            return None
        try:
            return _decode(data, flags), fds
        except ChannelBroken:
            for descriptor in fds:
                os.close(descriptor)
            raise

    async def send_async(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send as :meth:`send` does, waiting without blocking the loop while the far end's buffer is full."""
        data = _encode(message)
        self._socket.setblocking(False)  # noqa: FBT003  socket's own signature
        while True:
            try:
                socket.send_fds(self._socket, [data], list(fds))
            except BlockingIOError:
                await self._ready(writing=True)
            else:
                return

    async def receive_async(self) -> tuple[dict[str, Any], list[int]] | None:
        """Receive as :meth:`receive` does, without blocking the loop. One reader at a time."""
        self._socket.setblocking(False)  # noqa: FBT003  socket's own signature
        while True:
            try:
                return self.receive()
            except BlockingIOError:
                await self._ready(writing=False)

    async def _ready(self, *, writing: bool) -> None:
        """Wait until the socket can be written or read."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        (loop.add_writer if writing else loop.add_reader)(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            (loop.remove_writer if writing else loop.remove_reader)(self._socket)


def _encode(message: Mapping[str, Any]) -> bytes:
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_MESSAGE:
        raise ChannelBroken(f"a message of {len(data)} bytes; a channel carries at most {MAX_MESSAGE}")
    return data


def _decode(data: bytes, flags: int) -> dict[str, Any]:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ChannelBroken("a message longer than a channel carries")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise ChannelBroken("a message that is not JSON") from fault
    if not isinstance(message, dict):
        raise ChannelBroken("a message that is not an object")
    return message
