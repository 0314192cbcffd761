"""The main job on real input, both ways: mail in over SMTP, a T.30 call, a receipt out, and what came over the wire."""

from __future__ import annotations

import re
import smtplib
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ..conftest import need
from .service import DOCUMENTS, OFFICE_A, OFFICE_B, Relay

TO_B = f"{OFFICE_B}@fax.example.com"


def test_a_mail_becomes_a_fax_and_a_fax_becomes_a_mail(relay: Relay) -> None:
    """Lost otherwise: the product."""
    said = relay.mail(TO_B, document=DOCUMENTS / "two-pages.pdf")
    assert re.match(r"2\.0\.0 Accepted as \d{19}", said)
    (sent,) = relay.wait_for("sent", "failed", "uncertain")
    (received,) = relay.wait_for("delivered", "undeliverable")
    assert (sent["state"], sent["pages"], sent["pages_confirmed"]) == ("sent", 2, 2)
    assert (received["state"], received["pages"], received["peer"]) == ("delivered", 2, OFFICE_A)
    (receipt,) = relay.until_mailed("user@example.com")
    (delivered,) = relay.until_mailed("bob@example.com")
    assert receipt["Auto-Submitted"] == "auto-replied"
    assert "SIMULATED" in receipt.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert delivered["Subject"] == f"New Fax Received - {OFFICE_B}"
    names = [part.get_filename() for part in delivered.iter_attachments()]
    assert any(re.fullmatch(rf"fax_{received['id']}_\d{{8}}\.pdf", name or "") for name in names)


def test_the_received_pages_are_the_transmitted_pages(relay: Relay) -> None:
    """Lost otherwise: what arrives is not what was sent, and nobody would know."""
    relay.mail(TO_B, document=DOCUMENTS / "two-pages.pdf")
    (sent,) = relay.wait_for("sent")
    (received,) = relay.wait_for("delivered")
    shown = relay.ask("fax", "show", sent["id"])
    transmitted = shown["attempts"][0]["transmitted"]
    arrived = relay.ask("fax", "show", received["id"])["document"]["blob"]
    one, other = relay.pixels(transmitted), relay.pixels(arrived)
    assert len(one) == 2
    assert one == other


def test_one_mail_to_three_numbers_is_three_faxes(relay: Relay) -> None:
    """Lost otherwise: all but one recipient of a mail get nothing."""
    relay.mail(TO_B, f"{OFFICE_A}@fax.example.com", "03-123-4567@fax.example.com")
    assert len(relay.wait_for("sent", count=2)) == 2  # the third spelling is the second number


def test_a_repeated_mail_is_one_fax(relay: Relay) -> None:
    """Lost otherwise: a client that tries again sends the fax twice."""
    for _ in range(3):
        relay.mail(TO_B, message_id="<same@example.com>")
    relay.wait_for("sent")
    assert len([fax for fax in relay.ask("fax", "list") if fax["direction"] == "outbound"]) == 1


def test_a_forged_sender_is_refused_in_the_dialogue(relay: Relay) -> None:
    """Lost otherwise: anybody faxes on the office's account."""
    with smtplib.SMTP(*relay.smtp) as client:
        client.ehlo("x.example.com")
        client.mail("user@example.com")
        client.rcpt(TO_B)
        code, said = client.data(b"From: boss@elsewhere.example\r\nTo: x\r\n\r\nhello\r\n")
    assert code == 550
    assert b"5.7.1" in said or b"5.6.0" in said
    assert relay.ask("fax", "list") == []


def test_the_command_line_sends_shows_cancels_and_resends(relay: Relay) -> None:
    """Lost otherwise: an operator has only the mail."""
    sent = relay.ask("fax", "send", str(DOCUMENTS / "one-page.pdf"), "--to", OFFICE_B)
    fax_id = sent["faxes"][0]
    relay.wait_for("sent")
    assert relay.ask("fax", "show", fax_id)["history"][-1]["kind"] == "fax.sent"
    again = relay.ask("fax", "resend", fax_id)
    assert again["resend_of"] == fax_id
    relay.wait_for("sent", count=2)
    refused = relay.command("fax", "cancel", fax_id)
    assert refused.returncode == 1
    assert "nothing left to cancel" in refused.stderr
    missing = relay.command("fax", "show", "42")
    assert missing.returncode == 3
    assert relay.ask("queue")["faxes"] == {}
    assert "Usage" in relay.command("fax", "--help").stdout


def test_the_command_line_puts_a_cover_before_a_fax(relay: Relay) -> None:
    """Lost otherwise: what an operator sends comes without the page that says whom it is for."""
    relay.ask("fax", "send", str(DOCUMENTS / "one-page.pdf"), "--to", OFFICE_B, "--cover", "--subject", "The drawing")
    (sent,) = relay.wait_for("sent", "failed", "uncertain")
    assert (sent["state"], sent["pages"]) == ("sent", 2)


def test_the_commands_work_without_a_service(tmp_path: Path) -> None:
    """Lost otherwise: the history of the faxes is gone while the service is stopped."""
    relay = Relay(tmp_path)
    relay.start()
    relay.mail(TO_B)
    relay.wait_for("delivered")
    relay.stop()
    states = {fax["state"] for fax in relay.ask("fax", "list")}
    assert states == {"sent", "delivered"}


def test_a_second_service_on_the_same_data_is_refused(relay: Relay) -> None:
    """Lost otherwise: two services write one database and one of them loses."""
    done = relay.command("serve")
    assert done.returncode == 1
    assert "another faxrelay service uses" in done.stderr


def test_the_swaks_line_of_the_welcome_works(tmp_path: Path) -> None:
    """Lost otherwise: a newcomer's first command fails."""
    need("swaks")
    relay = Relay(tmp_path)
    relay.start()
    welcome = (tmp_path / "log").read_text()
    line = next(line.strip() for line in welcome.splitlines() if line.strip().startswith("swaks"))
    (tmp_path / "document.pdf").write_bytes((DOCUMENTS / "one-page.pdf").read_bytes())
    done = subprocess.run(line.split(), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    relay.wait_for("sent")
    relay.stop()


def test_the_health_page_and_the_metrics_answer(relay: Relay) -> None:
    """Lost otherwise: monitoring is blind."""
    base = f"http://{relay.web[0]}:{relay.web[1]}"
    with urllib.request.urlopen(f"{base}/health", timeout=10) as answer:
        assert answer.status == 200
        assert b"ok: database" in answer.read()
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
        assert b"faxrelay_" in answer.read()


def test_a_number_that_is_added_to_the_policy_is_answered_without_a_restart(relay: Relay) -> None:
    """Lost otherwise: each new number costs a restart, and the calls that were going on."""
    added = "+97239876543"
    (relay.data / "policies" / "more.yaml").write_text(
        f'numbers:\n  - number: "{added}"\n    features: [fax_to_mail]\n    deliver_to: [carol@example.com]\n'
    )
    deadline = time.monotonic() + 20
    while '"policy read"' not in (relay.folder / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    relay.mail(f"{added}@fax.example.com")
    relay.wait_for("delivered")
    assert relay.until_mailed("carol@example.com")


def test_a_broken_policy_file_changes_nothing_and_is_shown(relay: Relay) -> None:
    """Lost otherwise: a typing error in a file stops the office's faxes."""
    (relay.data / "policies" / "broken.yaml").write_text("numbrs: []\n")
    deadline = time.monotonic() + 20
    while '"policy not changed' not in (relay.folder / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"http://{relay.web[0]}:{relay.web[1]}/health", timeout=10)
    assert answer.value.code == 503
    assert b"the policy folder has 1 error" in answer.value.read()
    relay.mail(TO_B)
    relay.wait_for("sent")


def test_the_trace_of_a_call_and_the_state_of_the_trunk_are_shown(relay: Relay) -> None:
    """Lost otherwise: an admin cannot see what was said in a call, nor whether the trunk is up."""
    relay.mail("037654321@fax.example.com")
    (sent,) = [row for row in relay.wait_for("sent", "delivered", count=2) if row["direction"] == "outbound"]
    shown = relay.command("call", "trace", sent["id"])
    assert f"fax {sent['id']}, call 1" in shown.stdout
    assert "t30" in shown.stdout
    assert "simulated" in relay.command("trunk", "status").stdout
    assert relay.command("trunk", "test", "nowhere").returncode == 3
    tested = relay.command("trunk", "test", "simulated", "--fax-to", "037654321")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "1 pages confirmed" in tested.stdout
