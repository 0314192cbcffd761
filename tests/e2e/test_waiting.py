"""A fax that waits for two people, in a whole running relay: its sender's click, its approver's, then the call."""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING

import pytest

from .service import OFFICE_A, OFFICE_B, Relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

POLICY = f"""
domains: [{{name: fax.example.com, default_region: IL}}]
numbers:
  - number: "{OFFICE_A}"
    features: [mail_to_fax]
    senders: [{{match: "@example.com", proof: confirm}}]
    approval: {{by: [boss@office.example]}}
    body: cover
  - number: "{OFFICE_B}"
    features: [fax_to_mail]
    deliver_to: [bob@office.example]
"""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """A running relay whose faxes wait."""
    running = Relay(tmp_path, policy=POLICY)
    running.start()
    yield running
    running.stop()


def press(mail: EmailMessage, action: str) -> str:
    """Press the button behind a mail's link and return the page."""
    body = mail.get_body(("plain",))
    assert body is not None
    found = re.search(rf"http://127\.0\.0\.1:\d+/link/{action}/\S+", body.get_content())
    assert found is not None
    with urllib.request.urlopen(found[0], timeout=30) as page:
        assert '<form method="post">' in page.read().decode()
    with urllib.request.urlopen(found[0], data=b"", timeout=30) as page:
        return str(page.read().decode())


def test_a_fax_goes_when_its_sender_and_its_approver_have_clicked(relay: Relay) -> None:
    """Lost otherwise: links in mails lead nowhere, or a fax goes without them."""
    assert "held until the link" in relay.mail(f"{OFFICE_B}@fax.example.com")
    (asked,) = relay.until_mailed("user@example.com")
    relay.wait_for("held")
    assert "The fax will be sent" in press(asked, "confirm")
    (boss,) = relay.until_mailed("boss@office.example")
    (held,) = relay.wait_for("held")
    assert held["pages"] == 2
    assert [part.get_filename() for part in boss.iter_attachments()] == ["page1.png"]
    assert "The fax is approved" in press(boss, "approve")
    (sent,) = relay.wait_for("sent", "failed", "uncertain")
    assert (sent["state"], sent["pages_confirmed"]) == ("sent", 2)
    shown = relay.ask("fax", "show", sent["id"])
    assert [(one["kind"], one["decided_by"]) for one in shown["holds"]] == [
        ("confirm", "user@example.com"), ("approval", "boss@office.example"),
    ]  # fmt: skip
    assert [page["source"] for page in shown["document"]["report"]] == ["the cover page", "one-page.pdf"]
    assert len(relay.until_mailed("user@example.com", count=3)) == 3  # the question, the wait, the receipt
