"""Two ends of a call on loopback, each in a media worker, and the network between them as bad as told.

For tests and measurements: nothing of the service uses it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transport.causes import Hangup
from transport.journal import Journal
from transport.order import Media, MediaKind, Order, Outcome
from transport.workers import Control, Workers

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

HOST = "127.0.0.1"

Address = tuple[str, int]


def bound(host: str = HOST) -> socket.socket:
    """Return a socket on a port of its own, bound by its number as :class:`.port.Port` wants it."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
            found.bind((host, 0))
            address = found.getsockname()
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.bind(address)
        except OSError:  # somebody was faster
            opened.close()
        else:
            return opened


@dataclass(frozen=True, slots=True)
class Document:
    """What is sent."""

    path: Path
    pages: int


@dataclass
class End:
    """One end of a call before its worker takes it: two sockets, a journal, a control."""

    folder: Path
    call: str
    rtp: socket.socket = field(default_factory=bound)
    udptl: socket.socket = field(default_factory=bound)
    control: Control = field(default_factory=Control)
    events: list[object] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """Where its journal is."""
        return self.folder / f"{self.call}.journal"

    def address(self, kind: MediaKind) -> Address:
        """Return where it hears."""
        found: Address = (self.rtp if kind is MediaKind.RTP else self.udptl).getsockname()
        return found

    async def carry(
        self, workers: Workers, media: Media, *, document: Document | None, alone: bool = False, **order: Any
    ) -> Outcome:
        """Carry it to its end, sending the document or receiving. ``order``: more of an :class:`.order.Order`."""
        self.folder.mkdir(exist_ok=True)
        kept = Journal.create(self.journal, {})
        descriptors = [self.rtp.detach(), self.udptl.detach(), os.dup(kept.fileno())]
        if document is not None:
            descriptors.append(os.open(document.path, os.O_RDONLY))
        asked = Order(
            self.call,
            document.pages if document is not None else None,
            media,
            ident="+1",
            **{"seconds": 300.0, **order},
        )
        try:
            return await workers.carry(asked, descriptors, kept, self.events.append, self.control, alone=alone)
        finally:
            kept.close()


class Lossy(asyncio.DatagramProtocol):
    """One side of a bad network: what comes in leaves by the ``other`` side, late, in another order, or not at all.

    ``loss`` and ``reorder`` are shares of the datagrams, ``jitter`` the longest delay in seconds. A reordered datagram
    is held back for 30 ms more.
    """

    def __init__(self, rng: random.Random, loss: float, jitter: float = 0.0, reorder: float = 0.0) -> None:
        self._rng = rng
        self._loss, self._jitter, self._reorder = loss, jitter, reorder
        self._transport: asyncio.DatagramTransport | None = None
        self._end: Address | None = None
        self._other: Lossy | None = None
        self._loop = asyncio.get_running_loop()

    async def open(self, end: Address) -> Address:
        """Listen to an end of the call; return where."""
        self._end = end
        self._transport, _ = await self._loop.create_datagram_endpoint(lambda: self, (HOST, 0))
        found: Address = self._transport.get_extra_info("sockname")
        return found

    def join(self, other: Lossy) -> None:
        """Pass on what comes to the other side's end, and the other way round."""
        self._other, other._other = other, self

    def datagram_received(self, data: bytes, addr: Address) -> None:  # noqa: ARG002  asyncio's signature
        """Pass it on, or not."""
        if self._other is None or self._rng.random() < self._loss:
            return
        delay = self._rng.random() * self._jitter + (0.03 if self._rng.random() < self._reorder else 0.0)
        if delay:
            self._loop.call_later(delay, self._other.deliver, data)
        else:
            self._other.deliver(data)

    def deliver(self, data: bytes) -> None:
        """Send a datagram to this side's end."""
        if self._transport is not None:
            self._transport.sendto(data, self._end)

    def close(self) -> None:
        """Stop."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


async def exchange(
    callers: Workers,
    called: Workers,
    folder: Path,
    name: str,
    kind: MediaKind,
    document: Document,
    network: Callable[[], Lossy] | None = None,
    **order: Any,
) -> tuple[Outcome, Outcome]:
    """Send the document from one worker to another; return both outcomes. ``network`` makes each side of a bad one."""
    sender, receiver = End(folder, name), End(folder, f"in-{name}")
    to_receiver, to_sender = receiver.address(kind), sender.address(kind)
    sides: list[Lossy] = []
    if network is not None:
        sides = [network(), network()]
        sides[0].join(sides[1])
        to_receiver, to_sender = await sides[0].open(to_sender), await sides[1].open(to_receiver)
    try:
        sending = asyncio.create_task(sender.carry(callers, Media(kind, *to_receiver), document=document, **order))
        receiving = asyncio.create_task(receiver.carry(called, Media(kind, *to_sender), document=None, **order))
        outcome = await sending
        await asyncio.sleep(0.2)
        receiver.control.hang_up(Hangup.FAR)
        return outcome, await receiving
    finally:
        for side in sides:
            side.close()
