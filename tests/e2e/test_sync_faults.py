"""EIO and ENOSPC at each sync of the accept path, put in by strace into a running service: no false 250."""

from __future__ import annotations

import hashlib
import re
import signal
import smtplib
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ..conftest import need
from .service import OFFICE_B, Relay
from .test_durability import distinct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A mail takes four syncs at most in one thread: its blob, the folder of the blobs, the blob's folder, the rows.
SYNCS = range(1, 5)


@pytest.mark.timeout(240)
def test_no_mail_is_accepted_that_the_disk_did_not_take(tmp_path: Path) -> None:
    """Lost otherwise: a dying disk swallows faxes whose senders were told 250."""
    need("strace")
    relay = Relay(tmp_path)
    relay.start()
    relay.mail(f"{OFFICE_B}@fax.example.com", document=distinct(tmp_path, 0))
    promised, refused = [], 0
    for number, (error, at) in enumerate(((error, at) for error in ("EIO", "ENOSPC") for at in SYNCS), 1):
        with _failing(relay.pid, error, at):
            reply = _told(relay, distinct(tmp_path, number), number)
        if reply.startswith("250"):
            promised.append(int(re.findall(r"Accepted (?:before )?as (\d+)", reply)[0]))
        else:
            assert reply.startswith("451 4.3.0 "), reply
            refused += 1
        assert relay.process is not None
        assert relay.process.poll() is None, "the service goes on"
    again = _told(relay, distinct(tmp_path, 99), 99)
    assert again.startswith("250"), "and takes mail once the disk is well"
    relay.kill()
    assert refused, "the faults reached the accept path"
    kept = _kept(relay.data)
    assert set(promised) <= set(kept)
    for names in kept.values():
        for name in names:
            blob = (relay.data / "blobs" / name[:2] / name).read_bytes()
            assert hashlib.sha256(blob).hexdigest() == name


@contextmanager
def _failing(pid: int, error: str, at: int) -> Iterator[None]:
    """Let the ``at``-th sync of each thread fail, and all after it."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", "trace=fsync,fdatasync"]
    tracer = subprocess.Popen([*command, "-e", f"inject=fsync,fdatasync:error={error}:when={at}+"])
    try:
        _wait_for_tracer(pid)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)


def _wait_for_tracer(pid: int) -> None:
    from pathlib import Path

    for _ in range(200):
        traced = [
            "TracerPid:\t0\n" not in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        if all(traced):
            return
        time.sleep(0.05)
    raise TimeoutError("strace did not attach")


def _told(relay: Relay, document: Path, number: int) -> str:
    """Send a mail and return the reply to its data, whatever it is."""
    try:
        said = relay.mail(f"{OFFICE_B}@fax.example.com", document=document, message_id=f"<sync-{number}@example.com>")
    except smtplib.SMTPDataError as refusal:
        text = refusal.smtp_error if isinstance(refusal.smtp_error, str) else refusal.smtp_error.decode()
        return f"{refusal.smtp_code} {text}"
    return f"250 {said}"


def _kept(data: Path) -> dict[int, list[str]]:
    """Return the blobs of each submission, as a service that starts after a power failure would find them."""
    with sqlite3.connect(data / "faxrelay.db") as database:
        rows = database.execute("SELECT s.id, a.blob FROM submission s JOIN attachment a ON a.submission_id = s.id")
        found: dict[int, list[str]] = {}
        for submission, blob in rows:
            found.setdefault(submission, []).append(blob)
    return found
