"""Mutated datagrams on every port of two lines while faxes go from one to the other.

``python -m tests.integration.sip.storm [DATAGRAMS] [SEED]`` sends 200,000 and writes docs/storm.md; CI sends a sample.
It comes in waves: each begins when ten calls have found each other's machines, and ends with the first of them.
What is mutated: SIP (the messages of :mod:`.torture`), RTP and UDPTL. Most of it comes from the trunk's own address,
where every message is read as the trunk's, the rest from strangers. The same seed sends the same datagrams.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transport.seam import Arrived, Cause, Negotiated, T38Mode

from .office import OURS, SipOffice, carrier, sip_office
from .peers import LOOPBACK
from .torture import INVALID, VALID

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[3] / "docs" / "storm.md"
TEXT = """\
# A storm of mutated datagrams

Written by `make soak`; `make test` runs a sample of it. {date}, seed {seed}.

Ten faxes at a time went by SIP from one line to another, half of them in T.38, while both got datagrams that are almost
right: SIP messages (RFC 4475's kind) with octets changed, cut, doubled and moved, RTP, UDPTL; to the SIP ports and to
every media port that was open, most of them from the trunk's own address, where each is read as the trunk's.

| | |
| --- | --- |
| datagrams | {datagrams}, in {seconds:.0f} s; the kernel dropped {dropped} at full sockets |
| calls | {calls} in {waves} waves, {t38} of them in T.38 |
| ended at the sender | {ends} |
| ended at the receiver | {arrived} |
| pages confirmed of three | {pages} |
| memory of the two lines before and after each wave, MiB | {lines} |
| memory of all their workers, MiB | {workers} |
| words in the two logs, bytes | {log} |
"""
CALLS = 10
#: The trunk, and strangers.
SOURCES = (LOOPBACK, LOOPBACK, "127.0.0.66", "127.0.0.67")
_AT_ONCE = 25  # datagrams between two looks at the clock
_EXTREMES = (
    b"0",
    b"-1",
    b"4294967296",
    b"99999999999999999999",
    b"%00",
    b"\x00",
    b"",
    b"A" * 3000,
    b"\r\n",
    b'"',
    b"<>;,",
)


class Mutator:
    """Makes datagrams that are almost right; the same from the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0
        self._sip = [nasty for nasty in (*VALID, *INVALID) if len(nasty.text) < 6000]

    def sip(self, port: int) -> bytes:
        """Return a SIP message with a few faults."""
        self._count += 1
        data = self._random.choice(self._sip).datagram(port, self._count)
        return self._faulty(data)

    def rtp(self) -> bytes:
        """Return an RTP packet with a few faults."""
        rng = self._random
        kind = rng.choice((0, 8, 8, 101, 13, 127))
        head = struct.pack("!BBHII", 0x80, kind, rng.randrange(65536), rng.randrange(1 << 32), rng.randrange(1 << 32))
        return self._faulty(head + rng.randbytes(rng.choice((4, 160, 160, 0, 400))))

    def udptl(self) -> bytes:
        """Return a UDPTL packet with a few faults (T.38 9.1)."""
        rng = self._random
        ifp = rng.choice((b"\x00", b"\x06", b"\xc0\x01\x80\x00\x02\xff\xc8\xd1", b"\xc0\x03\x90" + rng.randbytes(20)))
        packet = (
            rng.randrange(65536).to_bytes(2, "big") + bytes((len(ifp),)) + ifp + b"\x00" + bytes((rng.randrange(4),))
        )
        return self._faulty(packet + bytes((len(ifp),)) + ifp)

    def _faulty(self, data: bytes) -> bytes:
        rng = self._random
        for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(8):
                case 0:
                    data = data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]
                case 1:
                    data = data[:at] + rng.randbytes(rng.randrange(1, 20)) + data[at:]
                case 2:
                    data = data[:at] + data[at + rng.randrange(1, 40) :]
                case 3:
                    data = data[:at]
                case 4:
                    data = data[:at] + data[at : at + 80] * rng.randrange(2, 6) + data[at:]
                case 5:
                    data = data[:at] + rng.choice(_EXTREMES) + data[at:]
                case 6:
                    lines = data.split(b"\r\n")
                    rng.shuffle(lines)
                    data = b"\r\n".join(lines)
                case _:
                    data = data.replace(b" ", rng.choice((b"", b"  ", b"\t", b"\r\n ")), rng.randrange(4))
        return data[:60000]


@dataclass
class Report:
    """What a storm did.

    ``lines``: resident KiB of the two lines' own processes, before and after each wave; ``workers``: of all that they
    started, shared pages counted once.
    """

    datagrams: int = 0
    seconds: float = 0.0
    dropped: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    pages: Counter[int] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)
    lines: list[int] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    log_bytes: int = 0
    t38: int = 0

    def weigh(self, *offices: SipOffice) -> None:
        """Note the memory. Workers come and go with their calls: only the lines' own says something of a leak."""
        families = [_family(office.processes[-1].pid) for office in offices]
        self.lines.append(sum(_size(line, "Rss:") for line, *_ in families))
        self.workers.append(sum(_size(pid, "Pss:") for _, *started in families for pid in started))

    def __str__(self) -> str:
        return (
            f"{self.datagrams} datagrams in {self.seconds:.0f} s, {self.dropped} dropped by the kernel; "
            f"calls {dict(self.ends)} ({self.t38} in T.38), pages confirmed {dict(self.pages)}, "
            f"arrived {dict(self.arrived)}; "
            f"memory of the lines {self.lines} KiB, of their workers {self.workers} KiB; log {self.log_bytes} bytes"
        )  # fmt: skip


async def storm(folder: Path, datagrams: int, seed: int, *, rate: int = 1500) -> Report:
    """Send faxes from one line to another and ``datagrams`` at both, at most ``rate`` a second."""
    async with AsyncExitStack() as stack:
        ours, theirs = [
            await stack.enter_async_context(sip_office(folder / name, whitelist=("127.0.0.0/8",)))
            for name in ("ours", "theirs")
        ]
        loopback = (f"{LOOPBACK}/32",)
        await ours.publish(carrier(theirs.port, channels=CALLS, networks=loopback))
        await theirs.publish(carrier(ours.port, channels=CALLS + 2, networks=loopback))
        report, mutator = Report(), Mutator(seed)
        while report.datagrams < datagrams:
            await _wave(ours, theirs, mutator, datagrams, rate, report)
        report.dropped = sum(int(row[-1]) for row in _rows() if _port(row) in (ours.port, theirs.port))
        report.log_bytes = len(ours.log) + len(theirs.log)
        return report


async def _wave(
    ours: SipOffice, theirs: SipOffice, mutator: Mutator, datagrams: int, rate: int, report: Report
) -> None:
    """Let ten faxes go and send datagrams for as long as all of them do."""
    going = asyncio.Semaphore(0)
    modes = (T38Mode.AUTO, T38Mode.NEVER)
    calls = [asyncio.create_task(_call(ours, going, modes[n % 2], report)) for n in range(CALLS)]
    for _ in calls:
        await asyncio.wait_for(going.acquire(), 60)
    report.weigh(ours, theirs)
    began = asyncio.get_running_loop().time()
    await _rage(ours, theirs, mutator, datagrams, rate, calls, report)
    report.seconds += asyncio.get_running_loop().time() - began
    report.weigh(ours, theirs)
    await asyncio.gather(*calls)
    for _ in calls:
        end = (await theirs.arrived(60))[-1]
        assert isinstance(end, Arrived)
        report.arrived[end.result.cause.value] += 1
        theirs.line.forget(end.call)
    for office in (ours, theirs):
        await office.at_rest(60)
        assert len(office.processes) == 1, "the line is the one that was started"


async def _call(office: SipOffice, going: asyncio.Semaphore, mode: T38Mode, report: Report) -> None:
    """Send one fax; say when both machines have found each other."""
    request = office.request(destination=OURS, t38=mode)
    result = await office.line.send(request, lambda event: going.release() if isinstance(event, Negotiated) else None)
    report.ends[result.cause.value] += 1
    report.pages[result.pages_confirmed] += 1
    report.t38 += result.t38
    if result.cause is not Cause.CONFIRMED:
        print(result, file=sys.stderr)  # noqa: T201  what hurt a call is what the storm is for


async def _rage(
    ours: SipOffice, theirs: SipOffice, mutator: Mutator, datagrams: int, rate: int, calls: list[asyncio.Task[None]],
    report: Report,
) -> None:  # fmt: skip
    """Send datagrams until there were enough, or a call has ended."""
    loop = asyncio.get_running_loop()
    rng = random.Random(mutator.sip(0))
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in SOURCES]
        for one, address in zip(sockets, SOURCES, strict=True):
            one.bind((address, 0))
        began, media = loop.time(), _media(ours, theirs)
        for sent in range(datagrams - report.datagrams):
            if sent % _AT_ONCE == 0:
                for one in sockets:
                    _drain(one)
                await asyncio.sleep(max(0.0, began + sent / rate - loop.time()))
                if any(call.done() for call in calls):
                    break
            sender = rng.choice(sockets)
            if rng.random() < 0.6 or not media:
                target, data = rng.choice((ours, theirs)).port, mutator.sip(sender.getsockname()[1])
            else:
                target = rng.choice(media)
                data = mutator.rtp() if target % 4 == 0 else mutator.udptl()
            if data:
                sender.sendto(data, (LOOPBACK, target))
            report.datagrams += 1


def _drain(one: socket.socket) -> None:
    """Throw away what was answered."""
    one.setblocking(False)
    try:
        while True:
            one.recv(65536)
    except BlockingIOError:
        pass


def _rows() -> Iterator[list[str]]:
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        yield line.split()


def _port(row: list[str]) -> int:
    return int(row[1].rpartition(":")[2], 16)


def _media(*offices: SipOffice) -> list[int]:
    """Return the media ports that are open."""
    bound = sorted(_port(row) for row in _rows())
    return [port for office in offices for port in bound if port in office.media[:-1]]


def _family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def _size(pid: int, kind: str) -> int:
    """Return the memory of a process by a line of smaps_rollup, KiB; 0 where it is gone."""
    with contextlib.suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith(kind)), 0)
    return 0


def main(datagrams: int = 200_000, seed: int = 1) -> int:
    """Send a whole storm and write what came of it; return 1 where a call was hurt."""
    with tempfile.TemporaryDirectory(prefix="storm-") as made:
        report = asyncio.run(storm(Path(made), datagrams, seed))
    waves = len(report.lines) // 2
    pages = ", ".join(f"{count} in {calls} calls" for count, calls in sorted(report.pages.items()))
    PAGE.write_text(
        TEXT.format(
            date=datetime.now(UTC).date(), datagrams=report.datagrams, seconds=report.seconds, dropped=report.dropped,
            seed=seed, waves=waves, calls=sum(report.ends.values()), t38=report.t38, ends=_counts(report.ends),
            arrived=_counts(report.arrived), pages=pages, log=report.log_bytes,
            lines=_mebibytes(report.lines), workers=_mebibytes(report.workers),
        ),
        encoding="utf-8",
    )  # fmt: skip
    sys.stdout.write(f"{report}\n{PAGE}\n")
    return 0 if set(report.ends) == set(report.arrived) == {Cause.CONFIRMED.value} else 1


def _counts(counter: Counter[Any]) -> str:
    return ", ".join(f"{key} {count}" for key, count in sorted(counter.items()))


def _mebibytes(kibibytes: list[int]) -> str:
    return ", ".join(f"{one / 1024:.0f}" for one in kibibytes)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
