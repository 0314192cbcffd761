"""Channels per core: what a fax call costs on the simulated network, in processor seconds per channel-minute.

Calls go from one of the relay's numbers to another, so that both ends are confined workers of one line, one call each.
All processes of the line count: workers, line, sandbox and the network between them. In lock-step a call runs as fast
as the machine can go: its cost is that of the modems, the protocol and two messages a tick. In real time (``--real``)
the wake-ups of a telephone call come to it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.table import Row, line
from relay.line import LineSettings, start
from transport.client import ProcessLine
from transport.seam import CallRequest, Cause, LineTable, T38Mode

OURS, THEIRS = "+97231234567", "+97237654321"
DOCUMENT = Path(__file__).resolve().parents[1] / "tests" / "data" / "faxes" / "three-pages.tif"
PAGES = 3
TOGETHER = 8
ROUNDS = 5
_TICKS = os.sysconf("SC_CLK_TCK")


def descendants(parent: int) -> list[int]:
    """Return the processes under ``parent``, itself among them."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [parent]
    for process in found:
        found += children.get(process, [])
    return found


def processor_seconds(parent: int) -> float:
    """Return what the processes under ``parent`` have used, with their dead children."""
    total = 0
    for process in descendants(parent):
        fields = (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()
        total += sum(int(value) for value in fields[11:15])  # utime, stime, cutime, cstime: proc(5)
    return total / _TICKS


async def measure(mode: T38Mode, *, real_time: bool) -> tuple[float, float]:
    """Return processor seconds per channel-minute, and calls per second."""
    with tempfile.TemporaryDirectory() as folder:
        settings = LineSettings("simulated", 2 * TOGETHER, folder, real_time=real_time)
        processes: list[int] = []

        async def begin(descriptor: int) -> asyncio.subprocess.Process:
            process = await start(descriptor, settings)
            processes.append(process.pid)
            return process

        line = ProcessLine("simulated", {"simulated": 2 * TOGETHER}, Path(folder), begin, simulated=True)
        await line.publish(LineTable(frozenset({OURS, THEIRS})))
        await line.start()

        async def call(name: str) -> float:
            request = CallRequest(name, "simulated", THEIRS, OURS, OURS, DOCUMENT, PAGES, mode)
            result = await line.send(request, lambda _: None)
            if result.cause is not Cause.CONFIRMED:
                raise SystemExit(f"a call was not confirmed: {result}")
            return result.talk_seconds

        await call("warm")
        before, began = processor_seconds(processes[0]), time.perf_counter()
        talked = 0.0
        rounds = 1 if real_time else ROUNDS
        for turn in range(rounds):
            talked += sum(await asyncio.gather(*(call(f"{turn}-{index}") for index in range(TOGETHER))))
        seconds = time.perf_counter() - began
        used = processor_seconds(processes[0]) - before
        await line.close()
    return used / (2 * talked / 60), rounds * TOGETHER / seconds


def rows(*, real_time: bool = False) -> list[Row]:
    """Return processor seconds per channel-minute, channels per core and calls per second."""
    found: list[Row] = []
    for name, mode in (("T.38", T38Mode.AUTO), ("G.711", T38Mode.NEVER)):
        cost, rate = asyncio.run(measure(mode, real_time=real_time))
        pace = "real time" if real_time else "lock-step"
        figures = f"{60 / cost:.0f} ({cost:.2f} CPU-s a channel-minute; {rate:.1f} three-page calls a second)"
        found.append(Row(f"channels a core, {name}, {pace}, one worker a call", figures))
    return found


if __name__ == "__main__":
    for row in rows(real_time="--real" in sys.argv[1:]):
        print(line(row))
