"""Relays with real SIP lines on loopback ports of their own, for tests that put several of them together."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .service import Relay

if TYPE_CHECKING:
    from pathlib import Path

#: States in which an outbound fax has ended.
ENDED = ("sent", "failed", "uncertain")

_POLICY = """\
domains:
  - name: fax.example.com
    default_region: US
numbers:
  - number: "{number}"
    deliver_to: [inbox@example.com]
    senders:
      - match: "@example.com"
        proof: none
{more}"""

_LINES = """\
lines:
  sip:
    address: 127.0.0.1
    port: {sip}
    media_first: {media}
    media_last: {last}
    trusted: [127.0.0.0/8]
"""


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one relay: SIP, SIP over TLS, and the first of two hundred for media."""

    sip: int
    tls: int
    media: int

    @classmethod
    def free(cls) -> Ports:
        """Find some."""
        found = []
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind(("127.0.0.1", 0))
                found.append(probe.getsockname()[1])
        return cls(found[0], found[1], min(found[2] // 4 * 4, 65000))


def office(folder: Path, number: str, ports: Ports, more: str, *, tls: tuple[Path, Path] | None = None) -> Relay:
    """Start a relay of one number. ``more``: of its policy file; ``tls``: the PEM files of its key and certificate."""
    lines = _LINES.format(sip=ports.sip, media=ports.media, last=ports.media + 199)
    if tls is not None:
        lines += f"    tls_port: {ports.tls}\n    key: {tls[0]}\n    certificate: {tls[1]}\n"
    relay = Relay(folder / number[-3:], policy=_POLICY.format(number=number, more=more), lines=lines)
    relay.start()
    return relay


def trunk(name: str, port: int, **more: object) -> str:
    """Return a trunk of a policy file; each of ``more`` is a key with its value."""
    keys = {"name": name, "host": "127.0.0.1", "port": port, "channels": 10, **more}
    return "trunks:\n  - " + "    ".join(f"{key}: {value}\n" for key, value in keys.items())


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a key and a certificate for 127.0.0.1."""
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, chain
