"""The media of the network's calls: one party with a far end, or two parties with each other, tick by tick.

Each answers a tick's message with one of its own; in real time the answer waits until its tick is due. ``run``
returns who hung up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from transport import lockstep
from transport.legs import TICK

if TYPE_CHECKING:
    import socket

    from transport.simulated.farend import FarEnd

CALLER, CALLEE = "caller", "callee"


class Conversation:
    """A caller's media with a far end of the network."""

    def __init__(self, media: socket.socket, far_end: FarEnd, *, real_time: bool) -> None:
        self._media = _Media(media)
        self._far_end = far_end
        self._pace = _Pace(real_time=real_time)

    async def run(self) -> str:
        """Talk until one hangs up."""
        while True:
            message = await self._media.receive()
            if not message:
                return CALLER
            said = self._far_end.tick(lockstep.unpack(message))
            if said is None:
                return CALLEE
            await self._pace.wait()
            if not self._media.send(lockstep.pack(said)):
                return CALLER


class Joined:
    """Two parties' media, each tick of one against a tick of the other."""

    def __init__(self, caller: socket.socket, callee: socket.socket, *, real_time: bool) -> None:
        self._caller = _Media(caller)
        self._callee = _Media(callee)
        self._pace = _Pace(real_time=real_time)

    async def run(self) -> str:
        """Join them until one hangs up."""
        while True:
            of_caller = await self._caller.receive()
            if not of_caller:
                return CALLER
            of_callee = await self._callee.receive()
            if not of_callee:
                return CALLEE
            await self._pace.wait()
            self._callee.send(of_caller)
            self._caller.send(of_callee)


class _Pace:
    """Holds ticks back until they are due on the wall clock, or not at all."""

    def __init__(self, *, real_time: bool) -> None:
        self._real_time = real_time
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()

    async def wait(self) -> None:
        """Wait for the next tick."""
        if self._real_time:
            self._due += TICK
            await asyncio.sleep(max(0.0, self._due - self._loop.time()))


class _Media:
    """A lock-step socket in the event loop."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)  # noqa: FBT003  its only parameter
        self._socket = end
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> bytes:
        """Return the next message, empty at the end."""
        try:
            return await self._loop.sock_recv(self._socket, lockstep.MAX_MESSAGE)
        except ConnectionError:
            return b""

    def send(self, message: bytes) -> bool:
        """Send one message; there is room, for the other end answers each. ``False``: nobody is there."""
        try:
            self._socket.send(message)
        except OSError:
            return False
        return True
