"""UDPTL, the datagrams of T.38 over UDP, with error correction (ITU-T T.38 9.1 and annex D). Does no I/O.

A datagram holds a sequence number, the newest IFP packet and something to repair losses with (ASN.1 aligned PER,
9.1.4): copies of the packets before it (redundancy), or parities of groups of them (FEC). Redundancy repairs as many
losses in a row as there are copies; a parity repairs one packet of its group.

Invariants: :meth:`Receiver.receive` never raises on what a far end sent; packets come out in order, each at most
once; behind a gap that nothing repairs newer packets wait for :data:`PATIENCE` ticks, for a datagram that overtook
another loses nothing; one that comes later than that is dropped, for the engine cannot go back.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from transport.order import ErrorCorrection

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The largest datagram that we send, unless the far end asks for less (T38FaxMaxDatagram).
MAX_DATAGRAM = 400
#: IFP packets are small (libspandsp: up to 59 bytes; a far end's jumbo packets: some hundred).
MAX_IFP = 1024
#: Copies of earlier packets in a datagram.
REDUNDANCY = 3
#: Ticks that newer packets wait for one that was overtaken, and how many may wait.
PATIENCE = 3
_MAX_WAITING = 8
_MODULO = 0x10000
_FEC = 0x80
_TWO_OCTETS = 0x80
#: Parities in a datagram, and packets in the group of each: three losses in a row are repaired, as by redundancy.
_PARITIES, _SPAN = 3, 3
_MAX_GROUP = 80  # packets that a parity may reach back
_REMEMBERED = 128


class Sender:
    """Numbers IFP packets and wraps each with what repairs the loss of those before it."""

    def __init__(
        self,
        redundancy: int = REDUNDANCY,
        max_datagram: int = MAX_DATAGRAM,
        correction: ErrorCorrection = ErrorCorrection.REDUNDANCY,
    ) -> None:
        self._sequence = 0
        self.redundancy = redundancy
        self.max_datagram = max_datagram
        self.correction = correction
        self._before: deque[bytes] = deque(maxlen=_PARITIES * _SPAN)

    def wrap(self, packet: bytes) -> bytes:
        """Return the datagram of the next IFP packet; as much repair as fits, the newest first."""
        datagram = self._sequence.to_bytes(2, "big") + _open_type(packet)
        room = self.max_datagram - len(datagram)
        datagram += self._parities(room) if self.correction is ErrorCorrection.FEC else self._copies(room)
        self._before.appendleft(packet)
        self._sequence = (self._sequence + 1) % _MODULO
        return datagram

    def _copies(self, room: int) -> bytes:
        fields = b""
        count = 0
        wanted = 0 if self.correction is ErrorCorrection.NONE else self.redundancy
        for copy in self._before:
            field = _open_type(copy)
            if count == wanted or 2 + len(fields) + len(field) > room:
                break
            fields += field
            count += 1
        return bytes((0, count)) + fields

    def _parities(self, room: int) -> bytes:
        """Return the parity m of packets n + m - 3k, k = 1..span, for each m; at the call's start the groups grow."""
        span = min(len(self._before) // _PARITIES, _SPAN)
        if span == 0:
            return b"\x00\x00"
        fields = b""
        for parity in range(_PARITIES):
            group = [self._before[_PARITIES * turn - parity - 1] for turn in range(1, span + 1)]
            fields += _open_type(_exclusive_or(group))
        head = bytes((_FEC, 1, span, _PARITIES))
        return head + fields if len(head) + len(fields) <= room else b"\x00\x00"


class Receiver:
    """Unwraps datagrams and repairs gaps."""

    def __init__(self) -> None:
        self._next: int | None = None
        #: Newer packets, behind a gap.
        self.waiting: dict[int, bytes] = {}
        self._waited = 0
        self._known: dict[int, bytes] = {}  # packets that a parity may need
        self.lost = 0  #: packets that nothing repaired
        self.repaired = 0
        self.broken = 0  #: datagrams that are no UDPTL

    def receive(self, datagram: bytes) -> list[tuple[int, bytes]]:
        """Return the packets that this datagram adds, with their sequence numbers, in order."""
        try:
            sequence, packet, copies, parities = _parse(datagram)
        except (IndexError, ValueError):
            self.broken += 1
            return []
        expected = sequence if self._next is None else self._next
        self._next = expected
        gap = (sequence - expected) % _MODULO
        if gap == 0 and not self.waiting and not parities and not self._known:
            self._next = (sequence + 1) % _MODULO
            return [(sequence, packet)]
        if gap >= _MODULO // 2:
            return []
        self.waiting[sequence] = packet
        for age, copy in enumerate(copies[:gap], start=1):
            self._mend((sequence - age) % _MODULO, copy)
        if parities:
            self._correct(sequence, packet, parities)
        return self._ready()

    def pass_tick(self) -> list[tuple[int, bytes]]:
        """Let 20 ms pass; return the packets that have waited long enough for one before them."""
        if not self.waiting:
            return []
        self._waited += 1
        return self._ready()

    def _mend(self, sequence: int, packet: bytes) -> None:
        if sequence not in self.waiting and packet:
            self.repaired += 1
            self.waiting[sequence] = packet

    def _ready(self) -> list[tuple[int, bytes]]:
        """Return what follows without a gap; past a gap that was waited for long enough."""
        waiting, ready = self.waiting, []
        at = self._next or 0
        while waiting:
            if (packet := waiting.pop(at, None)) is not None:
                ready.append((at, packet))
                at = (at + 1) % _MODULO
                self._waited = 0
                continue
            if self._waited < PATIENCE and len(waiting) < _MAX_WAITING:
                break
            first = min(waiting, key=lambda sequence: (sequence - at) % _MODULO)
            self.lost += (first - at) % _MODULO
            at = first
        self._next = at
        return ready

    def _correct(self, sequence: int, packet: bytes, parities: tuple[int, list[bytes]]) -> None:
        """Repair out of each parity the one packet of its group that is missing (T.38 9.1.4.1)."""
        known = self._known
        known[sequence] = packet
        known.update(self.waiting)
        for old in list(known)[: max(len(known) - _REMEMBERED, 0)]:
            del known[old]
        span, fields = parities
        count = len(fields)
        for number, parity in enumerate(fields):
            group = [(sequence + number - turn * count) % _MODULO for turn in range(1, span + 1)]
            missing = [one for one in group if one not in known]
            if len(missing) != 1:
                continue
            mended = _exclusive_or([parity, *(known[one] for one in group if one in known)])[: len(parity)]
            whole = mended[: _ifp_length(mended)]
            known[missing[0]] = whole
            if (missing[0] - (self._next or 0)) % _MODULO < _MODULO // 2:
                self._mend(missing[0], whole)


def is_udptl(datagram: bytes) -> bool:
    """Return whether this can be read as a datagram of UDPTL."""
    try:
        _parse(datagram)
    except (IndexError, ValueError):
        return False
    return True


def _open_type(packet: bytes) -> bytes:
    """Return an open type field: its length in one octet, or in two from 128 on (X.691 10.9.3)."""
    if len(packet) > MAX_IFP:
        raise ValueError(f"an IFP packet of {len(packet)} bytes")
    if len(packet) < _TWO_OCTETS:
        return bytes((len(packet),)) + packet
    return (0x8000 | len(packet)).to_bytes(2, "big") + packet


def _parse(datagram: bytes) -> tuple[int, bytes, list[bytes], tuple[int, list[bytes]] | None]:
    """Return sequence number, packet, copies (newest first), span and parities; raise on anything that is no UDPTL."""
    fields = _fields(datagram, 2)
    packet, at = next(fields)
    if not packet:
        raise ValueError("an empty IFP packet")
    sequence = datagram[0] << 8 | datagram[1]
    if at >= len(datagram):
        return sequence, packet, [], None
    if not datagram[at] & _FEC:
        fields = _fields(datagram, at + 2)
        return sequence, packet, [next(fields)[0] for _ in range(datagram[at + 1])], None
    # fec-npackets is an unconstrained integer: its length, then itself
    if datagram[at + 1] != 1:
        raise ValueError("a group of more than 255 packets")
    span, count = datagram[at + 2], datagram[at + 3]
    fields = _fields(datagram, at + 4)
    parities = [next(fields)[0] for _ in range(count)]
    return sequence, packet, [], (span, parities) if 0 < span * count <= _MAX_GROUP else None


def _fields(datagram: bytes, at: int) -> Iterator[tuple[bytes, int]]:
    """Yield the open type fields from ``at`` on, each with the place after it; endless, so take what is announced."""
    while True:
        length = datagram[at]
        at += 1
        if length & 0x80:
            length = (length & 0x7F) << 8 | datagram[at]
            at += 1
        if length > MAX_IFP or at + length > len(datagram):
            raise ValueError("a field that its datagram does not hold")
        yield datagram[at : at + length], at + length
        at += length


def _exclusive_or(packets: list[bytes]) -> bytes:
    """Return the parity of packets, as long as the longest."""
    parity = 0
    size = max(len(packet) for packet in packets)
    for packet in packets:
        parity ^= int.from_bytes(packet.ljust(size, b"\0"), "big")
    return parity.to_bytes(size, "big")


def _ifp_length(packet: bytes) -> int:
    """Return how many octets of a repaired packet are its own, for a parity is as long as its group's longest.

    Version 0's coding (T.38 7.2 and annex A): one octet of an indicator; of data the type, the number of fields, and
    of each its kind and, where it has octets, their number less one in two octets.
    """
    if not packet or not packet[0] & 0x80:
        return 1
    at = 2
    for _ in range(packet[1] if len(packet) > 1 else 0):
        has_octets = at < len(packet) and packet[at] & 0x80
        at += 1
        if has_octets:
            at += 3 + int.from_bytes(packet[at : at + 2], "big")
    return min(at, len(packet))
