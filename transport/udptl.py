"""UDPTL, the datagrams of T.38 over UDP, with redundancy (ITU-T T.38 9.1 and annex D). Does no I/O.

A datagram holds a sequence number, the newest IFP packet and copies of those before it (ASN.1 aligned PER, 9.1.4), so
that up to ``redundancy`` lost datagrams in a row are repaired by the next one. A parity error recovery field (FEC) is
understood as far as its primary packet; nobody sends it to a party that did not offer it.

Invariants: :meth:`Receiver.receive` never raises on what a far end sent; packets come out in order, each at most
once; a datagram that is older than the newest one is dropped, for the engine cannot go back.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The largest datagram that we send, unless the far end asks for less (T38FaxMaxDatagram).
MAX_DATAGRAM = 400
#: IFP packets are small (libspandsp: up to 59 bytes; a far end's jumbo packets: some hundred).
MAX_IFP = 1024
_MODULO = 0x10000
_FEC = 0x80
_TWO_OCTETS = 0x80


class Sender:
    """Numbers IFP packets and wraps each with copies of those before it."""

    def __init__(self, redundancy: int = 3, max_datagram: int = MAX_DATAGRAM) -> None:
        self._sequence = 0
        self._max_datagram = max_datagram
        self._before: deque[bytes] = deque(maxlen=redundancy)

    def wrap(self, packet: bytes) -> bytes:
        """Return the datagram of the next IFP packet; as many copies as fit, the newest first."""
        datagram = bytearray(self._sequence.to_bytes(2, "big"))
        datagram += _open_type(packet)
        copies = bytearray()
        count = 0
        for copy in self._before:
            field = _open_type(copy)
            if len(datagram) + 2 + len(copies) + len(field) > self._max_datagram:
                break
            copies += field
            count += 1
        datagram += bytes((0, count)) + copies
        self._before.appendleft(packet)
        self._sequence = (self._sequence + 1) % _MODULO
        return bytes(datagram)


class Receiver:
    """Unwraps datagrams and repairs gaps out of the copies."""

    def __init__(self) -> None:
        self._next: int | None = None
        self.lost = 0  #: packets that nothing repaired
        self.repaired = 0
        self.broken = 0  #: datagrams that are no UDPTL

    def receive(self, datagram: bytes) -> list[tuple[int, bytes]]:
        """Return the packets that this datagram adds, with their sequence numbers, in order."""
        try:
            sequence, packet, copies = _parse(datagram)
        except (IndexError, ValueError):
            self.broken += 1
            return []
        if self._next is None:
            self._next = sequence
        gap = (sequence - self._next) % _MODULO
        if gap >= _MODULO // 2:
            return []
        mended = copies[:gap]
        self.repaired += len(mended)
        self.lost += gap - len(mended)
        self._next = (sequence + 1) % _MODULO
        found = [((sequence - age) % _MODULO, copy) for age, copy in enumerate(mended, start=1)]
        return [*reversed(found), (sequence, packet)]


def _open_type(packet: bytes) -> bytes:
    """Return an open type field: its length in one octet, or in two from 128 on (X.691 10.9.3)."""
    if len(packet) > MAX_IFP:
        raise ValueError(f"an IFP packet of {len(packet)} bytes")
    if len(packet) < _TWO_OCTETS:
        return bytes((len(packet),)) + packet
    return (0x8000 | len(packet)).to_bytes(2, "big") + packet


def _parse(datagram: bytes) -> tuple[int, bytes, list[bytes]]:
    """Return sequence number, packet and copies (newest first); raise on anything that is no UDPTL."""
    fields = _fields(datagram, 2)
    packet, at = next(fields)
    if not packet:
        raise ValueError("an empty IFP packet")
    copies: list[bytes] = []
    if at < len(datagram) and not datagram[at] & _FEC:
        count = datagram[at + 1]
        fields = _fields(datagram, at + 2)
        copies = [next(fields)[0] for _ in range(count)]
    return int.from_bytes(datagram[:2], "big"), packet, copies


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
