"""Media without a network: two ends exchange one message for each 20 ms, holding what was said in them.

Neither end's time passes before the other's message is there, so a call runs as fast as the machines can go, or as
slowly as one of them likes, and no packet is ever late. A closed end is a hang-up. Form: for each datagram (UDPTL, or
160 octets of G.711) its length in two octets, then itself.
"""

from __future__ import annotations

#: Bytes of one message; far more than T.38's three copies of a few packets.
MAX_MESSAGE = 32 * 1024


def pack(datagrams: list[bytes]) -> bytes:
    """Return one message; an empty one is one zero octet, for an empty read is the end."""
    return b"".join(len(datagram).to_bytes(2, "big") + datagram for datagram in datagrams) or b"\0"


def unpack(message: bytes) -> list[bytes]:
    """Return the datagrams of a message; what is cut short is left out, as a network would.

    >>> unpack(pack([b"one", b"two"]))
    [b'one', b'two']
    """
    datagrams = []
    at = 0
    while at + 2 <= len(message):
        start = at + 2
        at = start + int.from_bytes(message[at:start], "big")
        if at <= len(message):
            datagrams.append(message[start:at])
    return datagrams
