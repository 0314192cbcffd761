"""Relays that fax to each other over real SIP, RTP and UDPTL, on loopback: from mail to mail, and by a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from .offices import ENDED, Ports, certificate, office, trunk
from .service import DOCUMENTS, Relay

HERE, THERE = "+12025550100", "+12025550200"


def stop(relays: Sequence[Relay]) -> None:
    """End the relays, whose logs must hold no fault."""
    for relay in relays:
        relay.stop()
    for relay in relays:
        assert "Traceback" not in (relay.folder / "log").read_text()


def received_blob(relay: Relay) -> str:
    """Return the blob of the one received document."""
    (fax,) = [row for row in relay.ask("fax", "list") if row["direction"] == "inbound"]
    return str(relay.ask("fax", "show", fax["id"])["document"]["blob"])


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("transport", "t38"), [("udp", "auto"), ("tcp", "prefer"), ("tls", "auto"), ("udp", "never")])
def test_the_pages_arrive_as_they_were_sent(tmp_path: Path, transport: str, t38: str) -> None:
    """Lost otherwise: the product: a fax over a real trunk, its pages as they were, and the truth about it."""
    tls = certificate(tmp_path) if transport == "tls" else None
    more: dict[str, object] = {"transport": transport, "t38": t38} | ({"ca": tls[1]} if tls else {})
    ports = Ports.free(), Ports.free()
    far = [each.tls if tls else each.sip for each in ports]
    here = office(tmp_path, HERE, ports[0], trunk("other", far[1], **more), tls=tls)
    there = office(tmp_path, THERE, ports[1], trunk("other", far[0], **more), tls=tls)
    try:
        here.mail("2025550200@fax.example.com", document=DOCUMENTS / "one-page.pdf")
        (ended,) = here.wait_for(*ENDED, count=1, seconds=150)
        sent: dict[str, Any] = here.ask("fax", "show", ended["id"])
        assert sent["state"] == "sent", sent
        (received,) = there.wait_for("delivered", count=1, seconds=30)
        assert received["peer"] == HERE
        (attempt,) = sent["attempts"]
        assert attempt["result"]["t38"] is (t38 != "never")
        assert attempt["result"]["simulated"] is False
        assert here.pixels(attempt["transmitted"]) == there.pixels(received_blob(there))
        shown = here.command("call", "trace", sent["id"]).stdout
        assert "INVITE" in shown
        assert "DCS" in shown
    finally:
        stop([here, there])


@pytest.mark.timeout(400)
def test_a_device_registers_sends_and_receives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the fax machine in the lobby, behind its telephone adapter, neither sends nor prints."""
    monkeypatch.setenv("LOBBY_PASSWORD", "paper-jam")
    ports, carrier, lobby = Ports.free(), Ports.free(), Ports.free()
    device = f"    deliver_to_devices: [lobby]\n{trunk('carrier', carrier.sip)}"
    device += f'devices:\n  - name: lobby\n    number: "{HERE}"\n    password: env:LOBBY_PASSWORD\n    channels: 2\n'
    secret = {"username": "lobby", "password": "env:LOBBY_PASSWORD"}
    relays = [
        office(tmp_path, HERE, ports, device),
        office(tmp_path, THERE, carrier, trunk("customer", ports.sip)),
        office(
            tmp_path / "lobby", HERE, lobby, trunk("relay", ports.sip, register="true", called_number="to", **secret)
        ),
    ]
    here, there, machine = relays
    try:
        there.mail("2025550100@fax.example.com", document=DOCUMENTS / "one-page.pdf")
        machine.mail("2025550200@fax.example.com", document=DOCUMENTS / "one-page.pdf")
        (sent,) = machine.wait_for(*ENDED, count=1, seconds=150)
        assert sent["state"] == "sent", machine.ask("fax", "show", sent["id"])
        relayed = {fax["peer"]: fax for fax in here.wait_for(*ENDED, count=2, seconds=150)}
        assert {(to, fax["number"], fax["state"]) for to, fax in relayed.items()} == {
            (THERE, HERE, "sent"), (HERE, HERE, "sent"),
        }  # fmt: skip
        (received,) = there.wait_for("delivered", count=1, seconds=30)
        assert received["peer"] == HERE
        (printed,) = machine.wait_for("delivered", count=1, seconds=30)
        assert printed["pages"] == 1
        assert "lobby" in here.command("trunk", "status").stdout
        assert "paper-jam" not in here.command("device", "config", "lobby").stdout
    finally:
        stop(relays)
