"""Two relays that fax to each other over real SIP, RTP and UDPTL, on loopback: from mail to mail."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .service import Relay

HERE, THERE = "+12025550100", "+12025550200"
ENDED = ("sent", "failed", "uncertain")

POLICY = """\
domains:
  - name: fax.example.com
    default_region: US
numbers:
  - number: "{number}"
    deliver_to: [inbox@example.com]
    senders:
      - match: "@example.com"
        proof: none
trunks:
  - name: other
    host: 127.0.0.1
    port: {port}
    transport: {transport}
    t38: {t38}
    channels: 10
{ca}{more}"""

LINES = """\
lines:
  sip:
    address: 127.0.0.1
    port: {port}
    media_first: {media}
    media_last: {last}
{tls}"""


@dataclass
class Pair:
    """Two relays with a trunk to each other."""

    here: Relay
    there: Relay

    def fax(self, document: Path) -> dict[str, Any]:
        """Send a mail here and return the fax that came of it, with the one there."""
        self.here.mail("2025550200@fax.example.com", document=document)
        (sent,) = self.here.wait_for(*ENDED, count=1, seconds=150)
        assert sent["state"] == "sent", self.here.ask("fax", "show", sent["id"])
        (received,) = self.there.wait_for("delivered", count=1, seconds=30)
        assert received["peer"] == HERE
        shown: dict[str, Any] = self.here.ask("fax", "show", sent["id"])
        return shown


def free_ports() -> tuple[int, int, int]:
    """Return a port for SIP, one for TLS, and the first of a hundred for media."""
    found = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
    return found[0], found[1], min(found[2] // 4 * 4, 65000)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1."""
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, chain


def pair(folder: Path, transport: str, *, t38: str = "auto", more: str = "") -> Pair:
    """Start both."""
    key, chain = certificate(folder)
    ports = [free_ports(), free_ports()]
    relays = []
    for (sip, tls, media), (far_sip, far_tls, _), number in zip(ports, reversed(ports), (HERE, THERE), strict=True):
        policy = POLICY.format(
            number=number, port=far_tls if transport == "tls" else far_sip, transport=transport, t38=t38,
            ca=f"    ca: {chain}\n" if transport == "tls" else "", more=more,
        )  # fmt: skip
        secure = f"    tls_port: {tls}\n    certificate: {chain}\n    key: {key}\n" if transport == "tls" else ""
        lines = LINES.format(port=sip, media=media, last=media + 199, tls=secure)
        relays.append(Relay(folder / number[-3:], policy=policy, lines=lines))
        relays[-1].start()
    return Pair(*relays)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("transport", "t38"), [("udp", "auto"), ("tcp", "prefer"), ("tls", "auto"), ("udp", "never")])
def test_the_pages_arrive_as_they_were_sent(tmp_path: Path, transport: str, t38: str) -> None:
    """Lost otherwise: the product: a fax over a real trunk, its pages as they were, and the truth about it."""
    offices = pair(tmp_path, transport, t38=t38)
    try:
        sent = offices.fax(Path(__file__).parents[1] / "data" / "documents" / "one-page.pdf")
        (attempt,) = sent["attempts"]
        assert attempt["result"]["t38"] is (t38 != "never")
        assert attempt["result"]["simulated"] is False
        assert offices.here.pixels(attempt["transmitted"]) == offices.there.pixels(received_blob(offices.there))
        shown = offices.here.command("call", "trace", sent["id"]).stdout
        assert "INVITE" in shown
        assert "DCS" in shown
    finally:
        offices.here.stop()
        offices.there.stop()
    for relay in (offices.here, offices.there):
        assert "Traceback" not in (relay.folder / "log").read_text()


def received_blob(relay: Relay) -> str:
    """Return the blob of the one received document."""
    (fax,) = [row for row in relay.ask("fax", "list") if row["direction"] == "inbound"]
    return str(relay.ask("fax", "show", fax["id"])["document"]["blob"])
