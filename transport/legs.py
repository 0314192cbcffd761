"""The media side of one fax machine: what is heard in 20 ms goes in, what is said comes out. Sans-I/O.

A leg joins an engine to the form that its media have on the wire: UDPTL datagrams for T.38, 160 octets of G.711 A-law
for audio, RTP packets for audio on a real network. Our own machine and the far ends of the simulated network are built
of the same legs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from transport.rtp import BLOCK, MANY, RtpReceiver, RtpSender
from transport.spandsp import AudioEngine, Engine, Law, Listener, Machine, T38Engine
from transport.telephone_events import CED, CNG, SILENT
from transport.udptl import PATIENCE, Receiver, Sender, is_udptl

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.order import Media

#: Seconds that one tick lasts.
TICK = 0.02
#: Ticks that a call's end may still hear: more than a jitter buffer holds.
_FLUSHED = 100
#: Ticks without a piece of a page after which a T.38 machine counts as quiet.
_QUIET = 10
#: Where the first octet of an IFP packet with data of a fast modem begins (T.38 table 3): data, of more than V.21.
_FAST = 0xC2


class Leg(Protocol):
    """One fax machine with its media. A tick lasts 20 ms of call time."""

    @property
    def engine(self) -> Engine:
        """The T.30 machine."""

    @property
    def lost(self) -> int:
        """How many packets nothing repaired."""

    @property
    def heard(self) -> int:
        """How many packets came."""

    def wanted(self) -> int:
        """Return for how many datagrams there is a use now, if they have come."""

    def accepts(self, datagram: bytes) -> bool:
        """Return whether a datagram can be the far end's media."""

    @property
    def quiet(self) -> bool:
        """Whether nothing is said just now, and what is heard can wait for 20 ms."""

    def tick(self, heard: list[bytes], passing: int = 1) -> list[bytes]:
        """Take what was heard since the last tick and return what is said in this one, or in two that pass."""

    def flush(self, heard: list[bytes]) -> None:
        """Let the engine hear all that has come: the call is over."""

    def change(self, media: Media) -> None:
        """Go on with other media of the same kind."""

    def counters(self) -> str:
        """Return what was counted, for a trace."""

    def close(self) -> None:
        """Free the machine."""


class T38Leg:
    """T.38 over UDPTL with error correction."""

    def __init__(
        self,
        machine: Machine,
        listener: Listener,
        tamper: Callable[[bytes], bytes] = lambda packet: packet,
        media: Media | None = None,
    ) -> None:
        """``tamper`` changes each IFP packet that is heard: how the simulated network spoils a training."""
        self._sender = Sender()
        self._receiver = Receiver()
        self._said: list[bytes] = []
        self._tamper = tamper
        self.heard = 0
        self._silence = 0  # ticks since a piece of a page was said
        if media is not None:
            self.change(media)
        self.engine = T38Engine(machine, listener, self._say)

    @property
    def lost(self) -> int:
        """How many packets nothing repaired."""
        return self._receiver.lost

    def wanted(self) -> int:
        """Return all there is."""
        return MANY

    @property
    def quiet(self) -> bool:
        """Whether it sends no page: what is heard has no time of its own, and a gateway has time enough for V.21."""
        return self._silence >= _QUIET

    def accepts(self, datagram: bytes) -> bool:
        """Return whether this is UDPTL."""
        return is_udptl(datagram)

    def tick(self, heard: list[bytes], passing: int = 1) -> list[bytes]:
        """Exchange 20 ms of datagrams, or 40."""
        for datagram in heard:
            self.heard += 1
            self._take(self._receiver.receive(datagram))
        if self._receiver.waiting:
            self._take(self._receiver.pass_tick())
        for _ in range(passing):
            self.engine.tick()
        self._silence += passing
        if not self._said:
            return []
        said, self._said = self._said, []
        return said

    def flush(self, heard: list[bytes]) -> None:
        """Let the engine hear all that has come."""
        for datagram in heard:
            self.heard += 1
            self._take(self._receiver.receive(datagram))
        for _ in range(PATIENCE):
            self._take(self._receiver.pass_tick())

    def change(self, media: Media) -> None:
        """Send as the far end wants it from now on."""
        self._sender.max_datagram = media.max_datagram
        self._sender.correction = media.error_correction

    def counters(self) -> str:
        """Return what was counted."""
        receiver = self._receiver
        return f"{self.heard} heard, {receiver.repaired} repaired, {receiver.lost} lost, {receiver.broken} broken"

    def close(self) -> None:
        """Free the machine."""
        self.engine.close()

    def _take(self, packets: list[tuple[int, bytes]]) -> None:
        for sequence, packet in packets:
            self.engine.receive(sequence, self._tamper(packet))

    def _say(self, packet: bytes, count: int) -> None:
        if packet[0] >= _FAST:
            self._silence = 0
        self._said += [self._sender.wrap(packet)] * count


class AudioLeg:
    """G.711 A-law, 160 octets a tick, without packets around them: for media in lock-step."""

    lost = 0
    quiet = False

    def __init__(
        self, machine: Machine, listener: Listener, tamper: Callable[[bytes], bytes] = lambda block: block
    ) -> None:
        """``tamper`` changes each block of samples that is heard: how the simulated network makes noise."""
        self._law = Law()
        self._tamper = tamper
        self.heard = 0
        self.engine = AudioEngine(machine, listener)

    def wanted(self) -> int:
        """Return all there is."""
        return MANY

    def accepts(self, datagram: bytes) -> bool:
        """Return whether this is a block."""
        return len(datagram) == BLOCK

    def tick(self, heard: list[bytes], passing: int = 1) -> list[bytes]:  # noqa: ARG002  it is never quiet
        """Exchange 20 ms of audio; a block that is not there lets no time pass for the engine."""
        self.flush(heard)
        return [self._law.encode(self.engine.send())]

    def flush(self, heard: list[bytes]) -> None:
        """Let the engine hear all that has come."""
        for octets in heard:
            self.heard += 1
            self.engine.receive(self._tamper(self._law.decode(octets)))

    def change(self, media: Media) -> None:
        """Go on: media in lock-step have nothing that changes."""

    def counters(self) -> str:
        """Return what was counted."""
        return f"{self.heard} heard"

    def close(self) -> None:
        """Free the machine."""
        self.engine.close()


class RtpLeg:
    """G.711 in RTP packets of 20 ms, with telephone events beside the fax tones where they were agreed.

    The engine is asked for 40 ms at once, every other tick: to come back to its state costs more than its work. A
    packet leaves in each tick all the same. A hold stops the machine's time: no timer of T.30 runs, and the call goes
    on where it stood.
    """

    quiet = False

    def __init__(self, machine: Machine, listener: Listener, media: Media, random_bits: Callable[[int], int]) -> None:
        self.engine = AudioEngine(machine, listener)
        self._tone = CNG if machine.calling else CED
        self._toning = True  # until the first frame
        self._sender = RtpSender(media.payload_type, random_bits)
        self._receiver = RtpReceiver(media.events)
        self._held = media.held
        self._second = b""  # what is to be said in the next tick

    @property
    def lost(self) -> int:
        """How many packets never came."""
        return self._receiver.lost

    @property
    def heard(self) -> int:
        """How many packets came."""
        return self._receiver.received

    def wanted(self) -> int:
        """Return how many packets the jitter buffer has a use for."""
        return 0 if self._second else self._receiver.wanted()

    def accepts(self, datagram: bytes) -> bool:
        """Return whether this is RTP of the call."""
        return self._receiver.accepts(datagram)

    def tick(self, heard: list[bytes], passing: int = 1) -> list[bytes]:  # noqa: ARG002  it is never quiet
        """Exchange 20 ms of audio."""
        receiver = self._receiver
        for datagram in heard:
            receiver.put(datagram)
        if self._held:
            self._sender.skip()
            return []
        if self._second:
            block, self._second = self._second, b""
        else:
            self._listen()
            octets = self.engine.say(self._sender.payload_type)
            block, self._second = octets[:BLOCK], octets[BLOCK:]
        packet = self._sender.wrap(block)
        return [packet, *self._tones(block)] if self._toning and receiver.events is not None else [packet]

    def _listen(self) -> None:
        """Let the engine hear the next 40 ms; 60 where a jam has to be worked off, less where something is late."""
        receiver, engine = self._receiver, self.engine
        first = receiver.take()
        law = receiver.payload_type
        second = receiver.take()
        if first is None:
            first = SILENT[law] * BLOCK
        if second is None:
            second = SILENT[law] * BLOCK
        elif law != receiver.payload_type:
            if first:
                engine.hear(first, law)
            first, law = b"", receiver.payload_type
        if first or second:
            engine.hear(first + second, law)
        if receiver.jammed and (block := receiver.take()):
            engine.hear(block, receiver.payload_type)

    def flush(self, heard: list[bytes]) -> None:
        """Let the engine hear all that has come, without waiting for what may be late."""
        receiver = self._receiver
        for datagram in heard:
            receiver.put(datagram)
        for _ in range(_FLUSHED):
            block = receiver.take()
            if block:
                self.engine.hear(block, receiver.payload_type)
            elif block is None:
                break

    def change(self, media: Media) -> None:
        """Hold the call or go on with it, with the payload types that were agreed."""
        if self._held and not media.held:
            self._receiver.restart()
        self._held = media.held
        self._sender.payload_type = media.payload_type
        self._receiver.events = media.events

    def counters(self) -> str:
        """Return what was counted."""
        receiver = self._receiver
        tones = f", {receiver.tones} of tones" if receiver.tones else ""
        return (
            f"{receiver.received} heard, {receiver.lost} lost, {receiver.late} late, {receiver.broken} broken, "
            f"{receiver.waits} ticks waited{tones}"
        )

    def close(self) -> None:
        """Free the machine."""
        self.engine.close()

    def _tones(self, block: bytes) -> list[bytes]:
        """Say in events what sounds before the first frame: CNG of a caller, CED of a called machine (T.30 4)."""
        events = self._receiver.events or 0
        if self.engine.framed:
            self._toning = False
        elif block != SILENT[self._sender.payload_type] * BLOCK:
            return [self._sender.sound(events, self._tone)]
        return self._sender.hush(events)
