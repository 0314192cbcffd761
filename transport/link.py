"""One end of a message link between two of our processes, for event loops.

A ``SOCK_SEQPACKET`` Unix socket (unix(7)) carries one JSON object a message, with descriptors beside it
(``SCM_RIGHTS``): what the launcher's channels carry too. The kernel keeps the borders, and an empty read is the far
end's death.

Invariants: messages leave in the order of :meth:`Link.post`, which never blocks; a message that breaks the rules ends
the link, and descriptors that came with it are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Bytes of one message; the kernel's default socket buffer must hold one.
MAX_MESSAGE = 128 * 1024
_MAX_FDS = 16


class Link:
    """A connected end in a running event loop. One reader."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)  # noqa: FBT003  its only parameter
        self._socket = end
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] | None = None

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Link:
        """Take over an inherited descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def post(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message soon; the descriptors may be closed at once. If nobody is there, the reader learns it."""
        data = json.dumps(message, separators=(",", ":")).encode("ascii")
        if len(data) > MAX_MESSAGE:
            raise ValueError(f"a message of {len(data)} bytes; a link carries {MAX_MESSAGE}")
        if self._waiting or not self._sent(data, fds):
            if not self._waiting and self._socket.fileno() >= 0:
                self._loop.add_writer(self._socket, self._flush)
            self._waiting.append((data, [os.dup(descriptor) for descriptor in fds]))

    async def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next message with its descriptors (the caller's to close), ``None`` at the end of the link."""
        while self._socket.fileno() >= 0:
            try:
                data, fds, flags, _ = socket.recv_fds(self._socket, MAX_MESSAGE + 1, _MAX_FDS)
            except BlockingIOError:
                await self._readable()
                continue
            except ConnectionResetError:
                continue  # it left without reading all that we said; what it had said itself comes next
            except OSError:
                return None
            message = _message(data, flags)
            if message is None:
                for descriptor in fds:
                    os.close(descriptor)
                return None
            return message, fds
        return None

    def close(self) -> None:
        """Close this end; what still waits to be sent is lost."""
        if self._socket.fileno() >= 0:
            self._loop.remove_writer(self._socket)
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._wake()  # the reader sees the end
        self._drop()

    def _flush(self) -> None:
        while self._waiting:
            data, fds = self._waiting[0]
            if not self._sent(data, fds):
                return
            self._waiting.popleft()
            for descriptor in fds:
                os.close(descriptor)
        self._loop.remove_writer(self._socket)

    def _sent(self, data: bytes, fds: Sequence[int]) -> bool:
        """Return whether the message is off our hands: sent, or nobody is there."""
        try:
            socket.send_fds(self._socket, [data], list(fds))
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _drop(self) -> None:
        for _, fds in self._waiting:
            for descriptor in fds:
                os.close(descriptor)
        self._waiting.clear()

    def _wake(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    async def _readable(self) -> None:
        self._ready = self._loop.create_future()
        self._loop.add_reader(self._socket, self._wake)
        try:
            await self._ready
        finally:
            self._ready = None
            if self._socket.fileno() >= 0:
                self._loop.remove_reader(self._socket)


def _message(data: bytes, flags: int) -> dict[str, Any] | None:
    if not data or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        return None
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(data)
        if isinstance(message, dict):
            return message
    return None
