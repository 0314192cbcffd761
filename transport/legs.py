"""The media side of one fax machine: what is heard in 20 ms goes in, what is said comes out. Sans-I/O.

A leg joins an engine to the form that its media have on the wire: UDPTL datagrams for T.38, 160 octets of G.711 A-law
for audio. Our own machine and the far ends of the simulated network are built of the same legs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from transport.spandsp import AudioEngine, Engine, Law, Listener, Machine, T38Engine
from transport.udptl import Receiver, Sender

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that one tick lasts.
TICK = 0.02


class Leg(Protocol):
    """One fax machine with its media. A tick lasts 20 ms of call time."""

    @property
    def engine(self) -> Engine:
        """The T.30 machine."""

    @property
    def lost(self) -> int:
        """How many packets nothing repaired."""

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Take what was heard since the last tick and return what is said in this one."""

    def close(self) -> None:
        """Free the machine."""


class T38Leg:
    """T.38 over UDPTL with redundancy."""

    def __init__(
        self, machine: Machine, listener: Listener, tamper: Callable[[bytes], bytes] = lambda packet: packet
    ) -> None:
        """``tamper`` changes each IFP packet that is heard: how the simulated network spoils a training."""
        self._sender = Sender()
        self._receiver = Receiver()
        self._said: list[bytes] = []
        self._tamper = tamper
        self.engine = T38Engine(machine, listener, self._say)

    @property
    def lost(self) -> int:
        """How many packets nothing repaired."""
        return self._receiver.lost

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Exchange 20 ms of datagrams."""
        for datagram in heard:
            for sequence, packet in self._receiver.receive(datagram):
                self.engine.receive(sequence, self._tamper(packet))
        self.engine.tick()
        said, self._said = self._said, []
        return said

    def close(self) -> None:
        """Free the machine."""
        self.engine.close()

    def _say(self, packet: bytes, count: int) -> None:
        self._said += [self._sender.wrap(packet)] * count


class AudioLeg:
    """G.711 A-law, 160 octets a tick."""

    lost = 0

    def __init__(
        self, machine: Machine, listener: Listener, tamper: Callable[[bytes], bytes] = lambda block: block
    ) -> None:
        """``tamper`` changes each block of samples that is heard: how the simulated network makes noise."""
        self._law = Law()
        self._tamper = tamper
        self.engine = AudioEngine(machine, listener)

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Exchange 20 ms of audio; a block that is not there lets no time pass for the engine."""
        for octets in heard:
            self.engine.receive(self._tamper(self._law.decode(octets)))
        return [self._law.encode(self.engine.send())]

    def close(self) -> None:
        """Free the machine."""
        self.engine.close()
