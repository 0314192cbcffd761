"""Kill -9, again and again, and hold the relay's word against the far ends' own log.

The simulated network runs in a process of its own and logs what its far ends saw, synced before they confirm a page.
A sender that is not answered 250 sends the same mail again, as any mail server does. After the last kill every fax
must come to an end, and:

* every acknowledged mail is exactly one fax for each recipient;
* a far end took the last page of a document at most once;
* ``sent`` means that it did; ``failed`` and ``cancelled`` that it did not; ``uncertain`` claims neither;
* each fax that ended was told of in exactly one receipt (the same one may come twice, with the same Message-ID).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import smtplib
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay import control

from .service import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDED = ("sent", "failed", "uncertain", "cancelled")
#: Of the block kept for fiction too, but not in the network's documented table.
FIRST_NUMBER = 12_025_552_000


class Victim(Enum):
    """What is killed."""

    MAIN = "main"
    LINE = "line"
    MEDIA_WORKER = "media worker"
    DOCUMENT_WORKER = "document worker"


#: In turn.
VICTIMS = (Victim.MEDIA_WORKER, Victim.MAIN, Victim.MEDIA_WORKER, Victim.LINE, Victim.DOCUMENT_WORKER)
#: Faxes that are under way at once: enough to keep every stage busy.
BACKLOG = 8
#: What stands in the command line of each kind of process below main.
MARKS = {
    Victim.LINE: "relay.line",
    Victim.MEDIA_WORKER: "transport.worker",
    Victim.DOCUMENT_WORKER: "converters.worker",
}


class Network:
    """The simulated network outside the relay."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "network.sock"
        self.log = folder / "network.jsonl"
        command = [sys.executable, "-P", "-m", "transport.simulated"]
        command += ["--socket", str(self.socket), "--log", str(self.log)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + 20
        while not self.socket.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the simulated network did not start")
            time.sleep(0.02)

    def taken(self) -> Counter[str]:
        """Return how many calls to each number brought the last page of a document."""
        numbers: dict[str, str] = {}
        complete: set[str] = set()
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            entry = json.loads(line)
            if entry["event"] == "dialled":
                numbers[entry["call"]] = entry["to"]
            elif entry["event"] == "page" and entry["last"]:
                complete.add(entry["call"])
        return Counter(numbers[call] for call in complete)

    def close(self) -> None:
        """End the network."""
        self._process.terminate()
        self._process.wait(20)


@dataclass
class Verdict:
    """What came of a campaign."""

    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    mails: int = 0
    faults: list[str] = field(default_factory=list)


class Campaign:
    """One relay under fire. ``numbers``: how many far ends it may call, one a mail."""

    def __init__(self, folder: Path, numbers: int, seed: int = 1) -> None:
        self.network = Network(folder)
        self.numbers = [f"+{FIRST_NUMBER + index}" for index in range(numbers)]
        table = "".join(f'      "{number}": fax\n' for number in self.numbers)
        self.relay = Relay(folder, exchange=self.network.socket, behaviours=table)
        self.verdict = Verdict()
        self._free = iter(self.numbers)
        self._random = random.Random(seed)
        self._owed: dict[str, str] = {}  # number -> Message-ID of a mail that was not answered 250 yet
        self._acknowledged: set[str] = set()
        self.relay.start()

    def run(self, kills: int) -> Verdict:
        """Kill ``kills`` times under load, in turn aimed and at random; let everything come to its end; judge."""
        for number in range(kills):
            room = BACKLOG - self._unended()
            self._mail(min(room, self._random.randint(1, 3)))
            self._wait_for_the_moment(number)
            self._kill(VICTIMS[number % len(VICTIMS)])
        self._mail(0)
        return self._judge()

    def close(self) -> None:
        """End the relay and the network."""
        self.relay.kill()
        self.network.close()

    def _mail(self, count: int) -> None:
        """Send what is owed again, and ``count`` new mails."""
        for _ in range(count):
            if (number := next(self._free, None)) is not None:
                self._owed[number] = f"<{number[1:]}@example.com>"
        for number, message_id in list(self._owed.items()):
            try:
                self.relay.mail(f"{number}@fax.example.com", message_id=message_id)
            except (OSError, smtplib.SMTPException):
                continue
            del self._owed[number]
            self._acknowledged.add(number)

    def _unended(self) -> int:
        waiting = asyncio.run(control.ask(self.relay.data / "control.sock", "queue"))["faxes"]
        return sum(entry["count"] for entry in waiting.values())

    def _wait_for_the_moment(self, number: int) -> None:
        """Aim between two records of a call's journal, or at nothing in particular."""
        if number % 2:
            time.sleep(self._random.uniform(0, 0.6))
            return
        records = self._random.randint(1, 6)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if any(journal.count(b'"kind"') >= records for journal in self._journals()):
                return
            time.sleep(0.001)

    def _journals(self) -> Iterator[bytes]:
        for path in self.relay.data.glob("journals/*.journal"):
            try:
                yield path.read_bytes()
            except FileNotFoundError:
                continue

    def _kill(self, victim: Victim) -> None:
        self.verdict.kills[victim.value] += 1
        if victim is Victim.MAIN:
            self.relay.kill()
            self.relay.start()
            return
        for pid in processes(self.relay.pid, victim):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            break

    def _judge(self) -> Verdict:
        verdict, expected = self.verdict, len(self._acknowledged)
        faxes = self.relay.wait_for(*ENDED, count=expected, seconds=300)
        by_number = Counter(fax["peer"] for fax in faxes)
        taken = self.network.taken()
        verdict.mails = expected
        verdict.states = Counter(fax["state"] for fax in faxes)
        verdict.calls = sum(fax["attempts_made"] for fax in faxes)
        for number in self._acknowledged:
            if by_number[number] != 1:
                verdict.faults.append(f"{number}: {by_number[number]} faxes for one mail")
        for fax in faxes:
            verdict.faults += self._of(fax, taken[fax["peer"]])
        verdict.faults += self._receipts(len(faxes))
        return verdict

    def _of(self, fax: dict[str, Any], taken: int) -> Iterator[str]:
        name = f"{fax['id']} to {fax['peer']} ({fax['state']}: {fax['reason']})"
        if taken > 1:
            yield f"{name}: taken {taken} times"
        if fax["state"] == "sent" and taken != 1:
            yield f"{name}: called sent, taken {taken} times"
        if fax["state"] in {"failed", "cancelled"} and taken:
            yield f"{name}: taken, but called {fax['state']}"

    def _receipts(self, expected: int) -> list[str]:
        deadline = time.monotonic() + 60
        while True:
            identities = {str(mail["Message-ID"]) for mail in self.relay.mails("user@example.com")}
            if len(identities) == expected:
                return []
            if len(identities) > expected or time.monotonic() > deadline:
                return [f"{len(identities)} receipts for {expected} faxes"]
            time.sleep(0.2)


def processes(main: int, victim: Victim) -> list[int]:
    """Return the processes of a kind below ``main``: the line, or workers (forks of a sandbox's parent)."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                commands[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])

    def below(pid: int) -> bool:
        while pid in parents and pid != main:
            pid = parents[pid]
        return pid == main

    mark = MARKS[victim]
    found = [pid for pid, command in commands.items() if mark in command and "bwrap" not in command and below(pid)]
    if victim is Victim.LINE:
        return found
    return [pid for pid in found if parents[pid] in found]
