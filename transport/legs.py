"""The media side of one fax machine: what is heard in 20 ms goes in, what is said comes out. Sans-I/O.

A leg joins an engine to the form that its media have on the wire: UDPTL datagrams for T.38, 160 octets of G.711 A-law
for audio, RTP packets for audio on a real network. Our own machine and the far ends of the simulated network are built
of the same legs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from transport.rtp import BLOCK, HEADER, MANY, RtpReceiver, RtpSender
from transport.spandsp import AudioEngine, Engine, Law, Listener, Machine, T38Engine
from transport.telephone_events import CED, CNG
from transport.udptl import PATIENCE, Receiver, Sender, is_udptl

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.order import Media

#: Seconds that one tick lasts.
TICK = 0.02
#: Ticks without a piece of a page after which a T.38 machine counts as quiet.
_QUIET = 10
#: The first octet of IFP packets with data (T.38 table 3): type `data`, a modem faster than V.21, a data field.
_FAST = 0xC2
#: Ticks that a call's end may still hear: more than a jitter buffer holds.
_FLUSHED = 100


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

    @property
    def quiet(self) -> bool:
        """Whether it says no page and no sound now, so that what is heard can wait for 20 ms."""

    def accepts(self, datagram: bytes) -> bool:
        """Return whether a datagram can be the far end's media."""

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Take what was heard since the last tick and return what is said in this one."""

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
        self._looks = False
        self._silence = 0  # ticks since a piece of a page was said
        if media is not None:
            self.change(media)
        self.engine = T38Engine(machine, listener, self._say)

    @property
    def lost(self) -> int:
        """How many packets nothing repaired."""
        return self._receiver.lost

    def wanted(self) -> int:
        """Return all there is, at most every other tick: few datagrams come, and a look costs more than the engine."""
        self._looks = self.quiet or not self._looks
        return MANY if self._looks else 0

    @property
    def quiet(self) -> bool:
        """Whether it sends no page: a gateway has time enough for V.21, and what is heard has no time of its own."""
        return self._silence >= _QUIET

    def accepts(self, datagram: bytes) -> bool:
        """Return whether this is UDPTL."""
        return is_udptl(datagram)

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Exchange 20 ms of datagrams."""
        for datagram in heard:
            self.heard += 1
            self._take(self._receiver.receive(datagram))
        if self._receiver.waiting:
            self._take(self._receiver.pass_tick())
        self._silence += 1
        self.engine.tick()
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

    def tick(self, heard: list[bytes]) -> list[bytes]:
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

    A hold stops the machine's time: no timer of T.30 runs, and the call goes on where it stood.
    """

    quiet = False

    def __init__(self, machine: Machine, listener: Listener, media: Media, random_bits: Callable[[int], int]) -> None:
        self.engine = AudioEngine(machine, listener)
        self._tone = CNG if machine.calling else CED
        self._toning = True  # until the first frame
        self._sender = RtpSender(media.payload_type, random_bits)
        self._receiver = RtpReceiver(media.events)
        self._held = media.held
        self.engine.joins(self._sender.packet, HEADER)
        #: How many packets the jitter buffer has a use for.
        self.wanted = self._receiver.wanted

    @property
    def lost(self) -> int:
        """How many packets never came."""
        return self._receiver.lost

    @property
    def heard(self) -> int:
        """How many packets came."""
        return self._receiver.received

    def accepts(self, datagram: bytes) -> bool:
        """Return whether this is RTP of the call."""
        return self._receiver.accepts(datagram)

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Exchange 20 ms of audio."""
        if self._held:
            self._sender.skip()
            return []
        receiver, sender, engine = self._receiver, self._sender, self.engine
        for datagram in heard:
            receiver.put(datagram)
        block = receiver.take()
        if block:
            engine.hear(block, receiver.payload_type)
            if receiver.jammed and (block := receiver.take()):
                engine.hear(block, receiver.payload_type)
        elif block is None:
            engine.hear_silence()
        engine.say(sender.payload_type)
        packet = sender.wrap()
        return [packet, *self._tones()] if self._toning and receiver.events is not None else [packet]

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

    def _tones(self) -> list[bytes]:
        """Say in events what sounds before the first frame: CNG of a caller, CED of a called machine (T.30 4)."""
        events = self._receiver.events or 0
        if self.engine.framed:
            self._toning = False
        elif self.engine.sounds:
            return [self._sender.sound(events, self._tone)]
        return self._sender.hush(events)
