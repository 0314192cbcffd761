"""What a fax call in real time costs: CPU-seconds per channel-minute, lateness, memory (``python -m bench.media``).

Forty calls at once run over loopback, RTP and UDPTL, from the workers of one sandbox to those of another, so that the
cost of sending and of receiving are told apart; all processes of a sandbox count, dead ones too. Each datagram passes
through the kernel once, and its whole way there is the sender's. Lateness is the time at which a tick's packets have
left less the time when they were due; it is taken of both ends in the first five seconds of eighty calls that begin
together, 160 channels on this machine.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.channels import DOCUMENT, PAGES, descendants, processor_seconds
from bench.table import Row, line
from relay.confine import Confinement, Sandbox
from transport.order import MediaKind, Outcome
from transport.pace import Pace, percentile
from transport.testing import Document, exchange
from transport.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOGETHER, RUSH = 40, 80
_NAMES = {MediaKind.RTP: "G.711", MediaKind.UDPTL: "T.38"}
_FAX = Document(DOCUMENT, PAGES)


class Side:
    """A sandbox with workers, and what they use."""

    def __init__(self) -> None:
        self._confinement = Confinement(Sandbox.BUBBLEWRAP, ["transport.worker"])
        self.workers = Workers(self._confinement)
        self._before = 0.0

    async def open(self) -> None:
        """Start it."""
        await self.workers.warm()
        self._before = processor_seconds(self._process)

    def used(self) -> float:
        """Return the processor seconds since it was opened."""
        return processor_seconds(self._process) - self._before

    def memory(self) -> int:
        """Return the bytes that its processes have for themselves alone."""
        total = 0
        for process in descendants(self._process):
            for entry in (Path("/proc") / str(process) / "smaps_rollup").read_text().splitlines():
                if entry.startswith(("Private_Clean", "Private_Dirty")):
                    total += 1024 * int(entry.split()[1])
        return total

    async def close(self) -> None:
        """End it."""
        await self.workers.close()
        await self._confinement.close()

    @property
    def _process(self) -> int:
        process = self._confinement._process  # noqa: SLF001  a bench looks at the parts
        assert process is not None
        return process.pid


async def measure(kind: MediaKind, calls: int) -> AsyncIterator[Row]:
    """Yield the rows of so many calls of one kind."""
    sending, receiving = Side(), Side()
    await sending.open()
    await receiving.open()
    idle = sending.memory(), receiving.memory()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        running = asyncio.gather(
            *(
                exchange(sending.workers, receiving.workers, Path(folder), str(number), kind, _FAX)
                for number in range(calls)
            )
        )
        await asyncio.sleep(15)
        memory = [side.memory() - before for side, before in zip((sending, receiving), idle, strict=True)]
        ended: list[tuple[Outcome, Outcome]] = await running
        seconds = time.perf_counter() - began
    used = sending.used(), receiving.used()
    pace = Pace()
    pace.add(sending.workers.pace)
    pace.add(receiving.workers.pace)
    await sending.close()
    await receiving.close()
    good = sum(caller.confirmed == called.confirmed == PAGES for caller, called in ended)
    if good < calls:
        print(f"{calls - good} of {calls} calls were not confirmed, in {seconds:.0f} s", file=sys.stderr)
    what = f"{_NAMES[kind]}, {calls} calls at once"
    for way, cpu, talked, kept in zip(
        ("sending", "receiving"),
        used,
        (sum(pair[end].seconds for pair in ended) for end in (0, 1)),
        memory,
        strict=True,
    ):
        yield Row(
            f"{what}, {way}",
            f"{60 * cpu / talked:.3f} CPU-s a channel-minute, {kept / calls / 2**20:.1f} MiB a call",
        )
    yield Row(
        f"{what}, both ends: media late",
        f"p99 {_milliseconds(pace.first)} in the first 5 s, {_milliseconds(pace.ticks)} in all, "
        f"worst {1000 * pace.worst:.0f} ms",
    )


def _milliseconds(counts: list[int]) -> str:
    return f"below {1000 * percentile(counts, 0.99):.0f} ms"


async def rows() -> AsyncIterator[Row]:
    """Yield every row."""
    for calls in (TOGETHER, RUSH):
        for kind in (MediaKind.RTP, MediaKind.UDPTL):
            async for row in measure(kind, calls):
                yield row


async def _print() -> None:
    async for row in rows():
        print(line(row), flush=True)


if __name__ == "__main__":
    asyncio.run(_print())
