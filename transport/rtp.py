"""RTP for fax modems: G.711 in packets (RFC 3550, RFC 3551), telephone events beside it (RFC 4733). Does no I/O.

A modem's signal forgives nothing that a listener forgives, so this is no voice receiver (measured):

* a late packet is not lost: until a hole is proven, :meth:`RtpReceiver.take` says that time stands still, and the
  engine is not called; 20 ms put into a signal break a page, 200 ms of standing still do not;
* a hole is proven by what came after it (:data:`PROOF`), and is filled with the block before it: with zeros
  one lost packet in a thousand ends most calls with error correction, with a repeated block none of twelve;
* after half a second without packets the far end is silent, and time passes again, or no timer would run.

Invariants: nothing that a far end sends raises; what is kept is bounded; blocks come out in the order of their
sequence numbers, each at most once. A timestamp is believed where it can do no harm: at the start of a talkspurt
(marker bit) and between events and audio.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from transport import telephone_events
from transport.telephone_events import PCMA, SILENT

if TYPE_CHECKING:
    from collections.abc import Callable

#: Octets of a block of 20 ms at 8 kHz: what is sent, and what :meth:`RtpReceiver.take` gives.
BLOCK = 160
#: Octets that are gathered before the first is given.
DEPTH = 6 * BLOCK
#: Octets below which the socket is read: one look brings several packets.
LOW = 2 * BLOCK
#: More packets than are there at once, and of how many looks at a socket one is for all of them.
MANY, _LOOKS = 64, 16
#: Octets after a hole that prove it.
PROOF = 4 * BLOCK
#: Octets above which two blocks are taken in a tick: the far end's clock is the faster one, or a jam has dissolved.
HIGH = 14 * BLOCK
#: Ticks without a packet after which the far end is taken to be silent.
FREEZE = 25
MAX_PAYLOAD = 8 * BLOCK
_MAX_KEPT = 256  # packets
HEADER = 12
_MAX_HOLE = 50  # packets: a longer one is a jump of the numbers
_MAX_DROPOUT, _MAX_MISORDER = 3000, 100  # RFC 3550 A.1
_MAX_GAP = FREEZE * BLOCK  # samples that a timestamp may make us wait
_COMFORT_NOISE = 13  # RFC 3389
_MODULO, _HALF = 0x10000, 0x8000
_TIMES, _HALF_TIME = 0x1_0000_0000, 0x8000_0000
_MARKER = 0x80
_VERSION, _PLAIN = 2, 0x80

_stamp = struct.Struct(">BBHII").pack_into
_read = struct.Struct(">BHI4s").unpack_from  # all of a header but its first octet

_Packet = tuple[bytes, int, int, bool]  # payload, payload type, timestamp, marker


class RtpSender:
    """Numbers blocks of 20 ms. ``random_bits`` gives the first sequence number, timestamp and the SSRC (5.1)."""

    def __init__(self, payload_type: int, random_bits: Callable[[int], int]) -> None:
        self.payload_type = payload_type
        self._sequence = random_bits(16)
        self._timestamp = random_bits(32)
        self._ssrc = random_bits(32)
        #: A whole packet; the octets of the next block are to be put behind its header before :meth:`wrap`.
        self.packet = bytearray(HEADER + BLOCK)
        self._marker = _MARKER
        self._event = 0
        self._event_began = 0
        self._event_samples = 0

    def wrap(self) -> bytes:
        """Return the packet of the block that stands in :attr:`packet`, numbered."""
        packet, sequence, timestamp = self.packet, self._sequence, self._timestamp
        _stamp(packet, 0, _PLAIN, self._marker | self.payload_type, sequence, timestamp, self._ssrc)
        self._marker = 0
        self._sequence = (sequence + 1) % _MODULO
        self._timestamp = (timestamp + BLOCK) % _TIMES
        return bytes(packet)

    def sound(self, payload_type: int, event: int) -> bytes:
        """Return a packet of the event that sounds in the block wrapped last."""
        first = self._event_samples == 0
        if first:
            self._event, self._event_began = event, (self._timestamp - BLOCK) % _TIMES
        self._event_samples += BLOCK
        return self._of_event((_MARKER if first else 0) | payload_type, ended=False)

    def hush(self, payload_type: int) -> list[bytes]:
        """Return the three packets that end an event (RFC 4733 2.5.1.4); none where none sounds."""
        if self._event_samples == 0:
            return []
        last = [self._of_event(payload_type, ended=True) for _ in range(3)]
        self._event_samples = 0
        return last

    def skip(self) -> None:
        """Let 20 ms pass unsaid."""
        self._timestamp = (self._timestamp + BLOCK) % _TIMES
        self._marker = _MARKER

    def _of_event(self, second: int, *, ended: bool) -> bytes:
        packet = bytearray(HEADER)
        _stamp(packet, 0, _PLAIN, second, self._sequence, self._event_began, self._ssrc)
        self._sequence = (self._sequence + 1) % _MODULO
        return bytes(packet + telephone_events.write(self._event, self._event_samples, ended=ended))


class RtpReceiver:
    """Puts the far end's packets in order and gives one block of 20 ms a tick. ``events``: their payload type."""

    def __init__(self, events: int | None = None) -> None:
        self.events = events
        #: The law of the block taken last.
        self.payload_type = PCMA
        self.received = 0
        self.lost = 0  #: packets that never came
        self.late = 0  #: that came after they were given up, or twice
        self.broken = 0  #: datagrams that are no RTP of ours
        self.waits = 0  #: ticks in which time stood still
        self.tones = 0  #: event packets
        self._kept: dict[int, _Packet] = {}
        self._ssrc = b""
        self._next = 0
        self._begun = False  # a sequence number of this source was taken
        self._gathering = True
        self._gathering_ticks = 0
        self._silent = True
        self._dry = 0  # ticks since a packet was taken
        self._octets = BLOCK  # of a packet
        self._before = b""
        self._clock = 0  # the timestamp after what was taken
        self._of_event = False  # an event has set it
        self._rest = bytearray()
        self._strange: int | None = None
        self._looks = 0

    def wanted(self) -> int:
        """Return how many packets should be read, if they are there: none while what is kept lasts.

        So one look at a socket brings several. Some looks bring all there is: what waits in the kernel is not seen.
        """
        kept = self._kept
        if self._gathering or self._next not in kept:
            return MANY
        octets = len(kept) * self._octets
        if octets > LOW:
            return 0
        self._looks = (self._looks + 1) % _LOOKS
        return (DEPTH - octets) // self._octets if self._looks else MANY

    @property
    def jammed(self) -> bool:
        """Whether so much is kept that another block should be taken in this tick."""
        return len(self._kept) * self._octets > HIGH

    def accepts(self, datagram: bytes) -> bool:
        """Return whether this is a packet of the call's media (not RTCP, STUN, another payload type)."""
        if len(datagram) <= HEADER or datagram[0] >> 6 != _VERSION:
            return False
        kind = datagram[1] & 0x7F
        return kind in SILENT or kind in (self.events, _COMFORT_NOISE)

    def put(self, datagram: bytes) -> bool:
        """Keep a packet; return whether it was one."""
        start, end = _extent(datagram) if self.accepts(datagram) else (0, 0)
        if not 0 < end - start <= MAX_PAYLOAD:
            self.broken += 1
            return False
        second, sequence, timestamp, ssrc = _read(datagram, 1)
        if ssrc != self._ssrc or len(self._kept) >= _MAX_KEPT:
            self._ssrc = ssrc
            self._begin_again()
        self.received += 1
        if not self._begun or (sequence - self._next) % _MODULO < _MAX_DROPOUT or self._follows(sequence):
            self._kept[sequence] = datagram[start:end], second & 0x7F, timestamp, second >= _MARKER
        return True

    def restart(self) -> None:
        """Forget what is kept, and what was expected: the call was held."""
        self._begin_again()

    def take(self) -> bytes | None:
        """Return the next 160 octets; none (``b""``): time stands still; ``None``: the far end is silent."""
        if not self._rest:
            payload = self._payload()
            if not payload or len(payload) == BLOCK:
                return payload
            self._rest += payload
        return self._pieced()

    def _pieced(self) -> bytes | None:
        """Return a block out of packets of another length."""
        rest = self._rest
        while len(rest) < BLOCK:
            law = self.payload_type
            payload = self._payload()
            if payload is None or law != self.payload_type:
                rest.clear()  # the end of a talkspurt that fills no block
            if not payload:
                return payload
            rest += payload
        block = bytes(rest[:BLOCK])
        del rest[:BLOCK]
        return block

    def _payload(self) -> bytes | None:
        """Return what is due: octets, none yet, or silence."""
        kept = self._kept
        while True:
            if self._gathering and not self._gathered():
                return None if self._silent else self._pass()
            packet = kept.pop(self._next, None)
            if packet is not None:
                self._next = (self._next + 1) % _MODULO
                self._dry = 0
                self._silent = False
                octets, kind, timestamp, _ = packet
                if timestamp == self._clock and kind in SILENT:
                    self._clock = (timestamp + len(octets)) % _TIMES
                    self._of_event = False
                    self.payload_type = kind
                    self._before = octets
                    return octets
                timed = self._timed(packet)
                if timed is None or timed:
                    return timed
            elif len(kept) * self._octets < PROOF and (not kept or self._dry < FREEZE):
                return self._pass()  # not here yet, and no proof of a loss
            elif self._dry >= FREEZE or self._hole() > _MAX_HOLE:
                self._begin()
            else:
                self.lost += 1
                self._next = (self._next + 1) % _MODULO
                before = self._before or SILENT[self.payload_type] * BLOCK
                self._clock = (self._clock + len(before)) % _TIMES
                return before

    def _pass(self) -> bytes | None:
        """Return what a tick without a packet is: standing still, or after half a second silence."""
        self._dry += 1
        if self._dry <= FREEZE:
            self.waits += 1
            return b""
        self._fall_silent()
        return None

    def _fall_silent(self) -> None:
        self._silent = self._gathering = True
        self._gathering_ticks = 0

    def _gathered(self) -> bool:
        """Begin (again) with the oldest packet once there is enough, or nothing more has come."""
        if not self._kept:
            return False
        self._gathering_ticks += 1
        octets = sum(len(packet[0]) for packet in self._kept.values())
        if octets < DEPTH and self._gathering_ticks <= DEPTH // BLOCK:
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        """Go on with the oldest packet that is kept; what was expected before it is lost."""
        hole = self._hole()
        if self._begun and hole < _MAX_DROPOUT:
            self.lost += hole
        self._next = (self._next + hole) % _MODULO
        octets, kind, self._clock, _ = self._kept[self._next]
        if kind in SILENT:
            self._octets = len(octets)
        self._begun = True
        self._gathering = False
        self._gathering_ticks = 0

    def _hole(self) -> int:
        """Return how many packets are missing before the oldest that is kept."""
        some = next(iter(self._kept))
        oldest = min(self._kept, key=lambda sequence: (sequence - some + _HALF) % _MODULO)
        return (oldest - self._next) % _MODULO

    def _follows(self, sequence: int) -> bool:
        """Return whether a source has jumped to a number that is not near: it is followed at the second packet."""
        if (sequence - self._next) % _MODULO >= _MODULO - _MAX_MISORDER:
            self.late += 1
            return False
        if sequence == self._strange:
            self._begin_again()
            return True
        self._strange = (sequence + 1) % _MODULO
        return False

    def _begin_again(self) -> None:
        self._kept.clear()
        self._rest.clear()
        self._begun = False
        self._gathering = True
        self._gathering_ticks = 0
        self._strange = None

    def _timed(self, packet: _Packet) -> bytes | None:
        """Return the octets of a packet out of its time; none: it adds nothing; ``None``: the far end is silent."""
        octets, kind, timestamp, marker = packet
        if kind == _COMFORT_NOISE:
            self._fall_silent()
            return None
        if kind == self.events:
            return self._sound(octets, timestamp)
        self.payload_type = kind
        self._before = octets
        ahead = (timestamp - self._clock) % _TIMES
        behind = _TIMES - ahead
        if self._of_event and behind <= _MAX_GAP:
            octets = octets[behind:]  # the event's tone stands for it
            if not octets:
                return b""
        elif marker and ahead <= _MAX_GAP:
            octets = SILENT[kind] * ahead + octets
        self._clock = (timestamp + len(packet[0])) % _TIMES
        self._of_event = False
        return octets

    def _sound(self, payload: bytes, timestamp: int) -> bytes:
        """Return as much of an event's tone as was not given yet."""
        found = telephone_events.read(payload)
        if found is None:
            return b""
        event, duration = found
        self.tones += 1
        ends = timestamp + duration
        new = (ends - self._clock) % _TIMES
        if not 0 < new < _HALF_TIME:
            return b""
        self._clock = ends % _TIMES
        self._of_event = True
        new = min(new, duration, _MAX_GAP)
        return telephone_events.sound(event, ends - new, new, self.payload_type)


def _extent(datagram: bytes) -> tuple[int, int]:
    """Return where the payload begins and ends: CSRCs, an extension and padding are left out (RFC 3550 5.1, 5.3.1)."""
    first, start, end = datagram[0], HEADER, len(datagram)
    if first == _PLAIN:
        return start, end
    start += 4 * (first & 0x0F)
    if first & 0x10 and end >= start + 4:
        start += 4 + 4 * (datagram[start + 2] << 8 | datagram[start + 3])
    if first & 0x20:
        end -= datagram[-1]
    return start, end
