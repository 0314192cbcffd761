"""`faxrelay doctor`: what a machine lacks is named, with the command that mends it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from converters import ocr
from relay.cli.doctor import Finding, examine
from relay.settings import load


def found(tmp_path: Path, text: str = "") -> dict[str, Finding]:
    """Examine this machine under some settings."""
    file = tmp_path / "faxrelay.yaml"
    file.write_text("data: data\nsmtp: {listeners: [{port: 0}]}\nweb: {port: 0}\n" + text)
    return {finding.what: finding for finding in examine(load(file, {}))}


def test_a_machine_that_was_set_up_has_everything(tmp_path: Path) -> None:
    """Lost otherwise: the doctor sends an admin after something that is there."""
    assert [finding for finding in found(tmp_path).values() if not finding.good] == []


def test_a_missing_sandbox_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: documents are refused and nobody knows why."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    confinement = found(tmp_path)["confinement"]
    assert not confinement.good
    assert confinement.remedy == "apt-get install bubblewrap"


def test_a_language_that_cannot_be_read_is_missing_where_faxes_are_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: received faxes cannot be searched, and the doctor calls the machine good."""
    monkeypatch.setattr(ocr, "there", lambda _: "eng")
    reading = found(tmp_path)["searchable PDFs"]
    assert (reading.good, reading.found) == (
        True, "Tesseract reads eng of eng+heb; no number's policy says `ocr: true`",
    )  # fmt: skip
    (tmp_path / "data" / "policies").mkdir(parents=True)
    (tmp_path / "data" / "policies" / "p.yaml").write_text(
        "numbers: [{number: +97235550177, deliver_to: [a@example.com], ocr: true}]\n"
    )
    reading = found(tmp_path)["searchable PDFs"]
    assert (reading.good, reading.remedy) == (False, "apt-get install tesseract-ocr tesseract-ocr-heb")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Lost otherwise: the service does not start and says only 'address in use'."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = tmp_path / "faxrelay.yaml"
        file.write_text(f"data: data\nsmtp: {{listeners: [{{port: {port}}}]}}\nweb: {{port: 0}}\n")
        findings = {finding.what: finding for finding in examine(load(file, {}))}
    assert not findings["SMTP port"].good
    assert str(port) in findings["SMTP port"].found


def test_a_policy_with_a_mistake_is_shown(tmp_path: Path) -> None:
    """Lost otherwise: the service refuses to start after an edit and the admin has to guess."""
    (tmp_path / "data" / "policies").mkdir(parents=True)
    (tmp_path / "data" / "policies" / "p.yaml").write_text("numbrs: []\n")
    policy = found(tmp_path)["policy"]
    assert not policy.good
    assert ":1:1: " in policy.found


def test_what_the_policy_asks_and_the_settings_do_not_give_is_named(tmp_path: Path) -> None:
    """Lost otherwise: an admin waits for receipts that no reader is ever asked for."""
    (tmp_path / "data" / "policies").mkdir(parents=True)
    number = "{number: '+97231234567', deliver_to: [a@example.com], opened_by: [receipt]}"
    (tmp_path / "data" / "policies" / "p.yaml").write_text(
        f"domains: [{{name: fax.example.com}}]\nnumbers: [{number}]\n"
    )
    asked = found(tmp_path)["opened mails"]
    assert not asked.good
    assert "+97231234567 asks for `opened_by: receipt`" in asked.found
    assert "mail.reports_domain" in asked.remedy
    assert "opened mails" not in found(tmp_path, "mail: {reports_domain: fax.example.com}\n")
