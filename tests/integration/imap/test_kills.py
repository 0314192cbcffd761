"""The whole service before a real mailbox, killed in the middle of its work again and again."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
import urllib.request
from typing import TYPE_CHECKING

from tests.e2e.service import OFFICE_A, Relay

from .conftest import letter
from .dovecot import PASSWORD, Dovecot

if TYPE_CHECKING:
    from pathlib import Path

POLICY = f"""
domains:
  - name: fax.example.com
    default_region: IL
numbers:
  - number: "{OFFICE_A}"
    deliver_to: [alice@example.com]
    senders:
      - match: "@example.com"
        proof: dmarc
"""
MAILBOX = """\
mailboxes:
  - name: faxes
    host: 127.0.0.1
    port: {port}
    tls: none
    user: fax
    password: file:{secret}
    poll_seconds: 1
    timeout_seconds: 5
    authserv_id: mx.example.com
"""
MESSAGES = 60
KILLS = 8


def taken(service: Relay) -> int:
    """Return how many faxes there are."""
    with contextlib.closing(sqlite3.connect(service.data / "faxrelay.db", timeout=30)) as database:
        return int(database.execute("SELECT count(*) FROM fax").fetchone()[0])


def test_no_kill_loses_or_doubles_a_fax(tmp_path: Path, dovecot: Dovecot) -> None:
    """Lost otherwise: a crash while mail is fetched loses a fax, or sends it twice."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    numbers = range(MESSAGES)
    # Every other message has no Message-ID: nothing but its row tells that it was taken.
    messages = [letter(number, **({"Message_ID": ""} if number % 2 else {})) for number in numbers]
    dovecot.put(*messages)
    service = Relay(tmp_path / "relay", policy=POLICY, lines=MAILBOX.format(port=dovecot.port, secret=secret))
    chance = random.Random(7)
    seen = [0]
    for _ in range(KILLS):
        service.start()
        deadline = time.monotonic() + 10
        while taken(service) == seen[-1] and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.04))
        service.kill()
        seen.append(taken(service))
    assert seen[1] > 0
    assert seen[-2] < MESSAGES, "the kills came too late to prove anything"
    service.start()
    try:
        deadline = time.monotonic() + 60
        while dovecot.count("INBOX") and time.monotonic() < deadline:
            time.sleep(0.2)
        assert dovecot.count("INBOX") == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{service.web[1]}/health") as page:
            assert "ok: mailbox faxes" in page.read().decode()
    finally:
        service.stop()
    with contextlib.closing(sqlite3.connect(service.data / "faxrelay.db")) as database:
        blobs = [row[0] for row in database.execute("SELECT blob FROM attachment")]
    assert len(blobs) == len(set(blobs)) == MESSAGES
    assert taken(service) == MESSAGES
    assert dovecot.count("Processed") == MESSAGES
    assert not list((service.data / "blobs" / "tmp").iterdir())
