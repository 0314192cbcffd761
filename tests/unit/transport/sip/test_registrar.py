"""Where our devices are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from transport.sip.registrar import MOST_CONTACTS, OutOfOrder, Registrar, TooBrief
from transport.sip.uri import parse_address

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = ("udp", "203.0.113.7", 40000)


def _register(registrar: Registrar, contact: str, now: float = 0.0, **changes: Any) -> list[str]:
    wanted: dict[str, Any] = {
        "default": None, "source": SOURCE, "call_id": "c", "number": int(now) + 1, "agent": "ATA", "now": now,
        **changes,
    }  # fmt: skip
    return [one.uri for one in registrar.register("ata", [parse_address(contact)], **wanted)]


def test_contacts_are_added_refreshed_and_removed() -> None:
    """Lost otherwise: a device that moved or left is still called."""
    registrar = Registrar(None, 0.0)
    assert _register(registrar, "<sip:ata@10.0.0.1>;expires=100") == ["sip:ata@10.0.0.1"]
    assert len(_register(registrar, "<sip:ata@10.0.0.2>;expires=100", 1.0, call_id="d")) == 2
    assert [one.uri for one in registrar.of("ata", 150.0)] == []
    _register(registrar, "<sip:ata@10.0.0.1>", 200.0)
    assert _register(registrar, "<sip:ata@10.0.0.1>;expires=0", 201.0) == []


def test_the_preferred_contact_is_called_first() -> None:
    """Lost otherwise: the second adapter rings before the first (RFC 3261 20.10)."""
    registrar = Registrar(None, 0.0)
    _register(registrar, "<sip:second@h>;q=0.1")
    assert _register(registrar, "<sip:first@h>;q=0.9", 1.0, call_id="d") == ["sip:first@h", "sip:second@h"]


def test_a_late_copy_of_an_older_register_changes_nothing() -> None:
    """Lost otherwise: a delayed packet registers a device that has just left."""
    registrar = Registrar(None, 0.0)
    _register(registrar, "<sip:a@h>", number=5)
    with pytest.raises(OutOfOrder):
        _register(registrar, "<sip:a@h>;expires=0", number=4)
    assert registrar.of("ata", 1.0)


def test_times_are_within_bounds() -> None:
    """Lost otherwise: a device refreshes every second, or is believed for years."""
    registrar = Registrar(None, 0.0)
    with pytest.raises(TooBrief):
        _register(registrar, "<sip:a@h>;expires=5")
    _register(registrar, "<sip:a@h>;expires=999999999")
    assert registrar.of("ata", 7100.0)
    assert not registrar.of("ata", 7300.0)


def test_a_device_has_a_bounded_number_of_contacts() -> None:
    """Lost otherwise: a broken device that registers anew each minute fills the memory, and rings a hundred times."""
    registrar = Registrar(None, 0.0)
    for port in range(1, 30):
        found = _register(registrar, f"<sip:a@h:{port}>", float(port), call_id=f"c{port}")
    assert len(found) == MOST_CONTACTS
    assert "sip:a@h:29" in found


def test_registrations_outlive_a_restart(tmp_path: Path) -> None:
    """Lost otherwise: after a restart no device can be called for up to an hour."""
    path = tmp_path / "state" / "registrations.json"
    first = Registrar(path, 0.0)
    _register(first, "<sip:a@10.0.0.1:5062>;expires=600")
    _register(first, "<sip:b@10.0.0.2>;expires=600", 1.0, call_id="d", source=("tcp", "203.0.113.8", 1))
    again = Registrar(path, 100.0)
    assert [one.uri for one in again.of("ata", 100.0)] == ["sip:a@10.0.0.1:5062"], "a connection does not outlive it"
    assert again.at("udp", ("203.0.113.7", 40000), 100.0) == "ata"
    assert not Registrar(path, 700.0).of("ata", 700.0)


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"device": "x"}]', "null", '[{"device": 1, "uri": "junk"}]'])
def test_a_broken_file_is_no_file(tmp_path: Path, text: str) -> None:
    """Lost otherwise: a full disk in the past keeps the line from starting."""
    path = tmp_path / "registrations.json"
    path.write_text(text)
    assert Registrar(path, 0.0).of("ata", 0.0) == []


def test_a_removed_device_is_forgotten() -> None:
    """Lost otherwise: a device taken out of the policy is still there."""
    registrar = Registrar(None, 0.0)
    _register(registrar, "<sip:a@h>")
    registrar.keep_only([], 1.0)
    assert not registrar.of("ata", 1.0)
