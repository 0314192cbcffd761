"""SIP messages of a call as a capture file: classic pcap (link type 101, raw IP), readable by Wireshark and tcpdump.

The packets are made of what the line said and heard: each message in one UDP datagram between the two addresses,
whatever carried it, so that TLS can be read too. Checksums of UDP are left out (0: RFC 768).
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MAGIC, _RAW_IP, _SNAP = 0xA1B2C3D4, 101, 65535
_UDP = 17
_MOST = 65000  # bytes of one message in one datagram


def pcap(messages: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the file.

    Each message: ``at`` (Unix seconds), ``outgoing``, ``local`` and ``remote`` (host, port), ``text``.
    """
    data = bytearray(struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, _SNAP, _RAW_IP))
    for message in messages:
        ends = (message["local"], message["remote"]) if message["outgoing"] else (message["remote"], message["local"])
        packet = _packet(*ends, message["text"].encode("utf-8", "replace")[:_MOST])
        seconds, rest = divmod(float(message["at"]), 1)
        data += struct.pack("<IIII", int(seconds), int(rest * 1_000_000), len(packet), len(packet)) + packet
    return bytes(data)


def _packet(source: list[Any], target: list[Any], payload: bytes) -> bytes:
    datagram = struct.pack(">HHHH", int(source[1]), int(target[1]), 8 + len(payload), 0) + payload
    here, there = ipaddress.ip_address(source[0]), ipaddress.ip_address(target[0])
    if here.version == there.version == 6:  # noqa: PLR2004  IP's version
        return struct.pack(">IHBB", 6 << 28, len(datagram), _UDP, 64) + here.packed + there.packed + datagram
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, _UDP, 0) + here.packed + there.packed
    return header[:10] + struct.pack(">H", _checksum(header)) + header[12:] + datagram


def _checksum(header: bytes) -> int:
    """Return the Internet checksum of an IP header (RFC 1071)."""
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
