"""Several processes accept mail, one commits: nothing that was acknowledged is lost, whichever of them is killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import smtplib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .service import OFFICE_B, Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TO = f"{OFFICE_B}@fax.example.com"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """A relay with two accepting processes."""
    made = Relay(tmp_path, processes=2)
    made.start()
    yield made
    made.stop()


def acceptors(relay: Relay) -> list[int]:
    """Return the accepting processes that run."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == relay.pid and b"relay.acceptor" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 20
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("it never became so")
        time.sleep(0.05)


def mailed(relay: Relay, number: int) -> int | None:
    """Send a mail and return the submission that its 250 named; ``None`` where there was no 250."""
    try:
        said = relay.mail(TO, message_id=f"<{number}@example.com>")
    except (smtplib.SMTPException, OSError):
        return None
    return int(re.findall(r"Accepted (?:before )?as (\d+)", said)[0])


def submissions(relay: Relay) -> set[int]:
    """Return what is in the database."""
    with sqlite3.connect(relay.data / "faxrelay.db") as database:
        return {row[0] for row in database.execute("SELECT id FROM submission")}


def test_both_processes_take_mail_and_a_repeat_is_known_to_both(relay: Relay) -> None:
    """Lost otherwise: a second processor helps nobody, or makes a second fax of each repeat."""
    assert len(acceptors(relay)) == 2
    with ThreadPoolExecutor(8) as clients:
        first = list(clients.map(lambda number: mailed(relay, number), range(24)))
        again = list(clients.map(lambda number: mailed(relay, number), range(24)))
    assert None not in first
    assert len(set(first)) == 24
    assert again == first
    log = (relay.folder / "log").read_text()
    assert "Traceback" not in log
    relay.wait_for("sent", count=4)


def test_a_refusal_reaches_the_client(relay: Relay) -> None:
    """Lost otherwise: a forger's mail is taken, or its sender reads of a fault of ours."""
    with smtplib.SMTP(*relay.smtp) as client:
        client.ehlo("x.example.com")
        client.mail("user@example.com")
        client.rcpt(TO)
        code, said = client.data(b"From: boss@elsewhere.example\r\nTo: x\r\n\r\nhello\r\n")
    assert (code, said[:5]) == (550, b"5.7.1")


def test_a_process_that_is_killed_is_replaced_and_loses_nothing(relay: Relay) -> None:
    """Lost otherwise: mail stops with one fault, or what was acknowledged goes with the process."""
    accepted: list[int | None] = []
    with ThreadPoolExecutor(4) as clients:
        sending = [clients.submit(mailed, relay, number) for number in range(60)]
        for _ in range(3):
            before = acceptors(relay)
            os.kill(before[0], signal.SIGKILL)
            until(lambda before=before: len(set(acceptors(relay)) - set(before)) == 1)  # type: ignore[misc]
        accepted = [one.result() for one in sending]
    known = {one for one in accepted if one is not None}
    assert len(known) > 20
    assert known <= submissions(relay)
    assert mailed(relay, 1000) is not None


def test_the_processes_end_with_main(tmp_path: Path) -> None:
    """Lost otherwise: orphans hold the port, and accept what nobody commits."""
    relay = Relay(tmp_path, processes=2)
    relay.start()
    children = acceptors(relay)
    taken = mailed(relay, 1)
    relay.kill()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert taken in submissions(relay)
    relay.start()
    assert mailed(relay, 1) == taken
    assert relay.stop() == 0


def test_a_mail_that_is_being_sent_when_the_service_stops_is_answered(relay: Relay) -> None:
    """Lost otherwise: each restart leaves clients without an answer, who wait for their time-outs."""
    client = smtplib.SMTP(*relay.smtp, timeout=20)
    client.ehlo("x.example.com")
    assert relay.stop() == 0
    code, said = client.getreply()
    assert (code, said[:5]) == (421, b"4.3.2")
    client.close()


def test_an_address_that_is_taken_is_told(relay: Relay, tmp_path: Path) -> None:
    """Lost otherwise: the service starts and nobody hears it."""
    other = Relay(tmp_path / "other", processes=2)
    other.config.write_text(
        other.config.read_text().replace("port: 0\n  processes", f"port: {relay.smtp[1]}\n  processes")
    )
    with pytest.raises(RuntimeError, match="did not start"):
        other.start()
