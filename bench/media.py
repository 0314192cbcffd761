"""What fax calls in real time cost: CPU-seconds per channel-minute, lateness, memory (``python -m bench.media``).

Forty calls at once go over loopback by SIP from one line to another, each a process with its sandboxes and workers, so
that the cost of sending and of receiving are told apart; every process of a line counts, dead ones too, SIP and
start-up included. Each datagram passes through the kernel once, and its whole way there is the sender's. Lateness is
the time at which a tick's packets have left less the time when they were due; it is taken of both ends in the first
five seconds of eighty calls that begin together: 160 channels on this machine.

A caller that no call has proven yet has a worker and a sandbox of its own; what that takes are rows of their own. No
CPU-seconds are in them: those of a sandbox that has ended are in nobody's account.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.channels import descendants, processor_seconds
from bench.table import Row, line
from tests.integration.sip.office import OURS, SipOffice, carrier, sip_office
from tests.integration.sip.peers import LOOPBACK
from transport.pace import Pace, percentile
from transport.seam import Arrived, CallResult, Cause, T38Mode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

TOGETHER, RUSH = 40, 80
_MODES = {T38Mode.NEVER: "G.711", T38Mode.AUTO: "T.38"}
_PORTS = ((22000, 22639), (23000, 23639))
_PAGES = 3


async def measure(mode: T38Mode, calls: int, *, proven: bool = True) -> list[Row]:
    """Return the rows of so many calls of one kind."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        sides = [
            await stack.enter_async_context(sip_office(folder / name, media_ports=ports))
            for name, ports in zip(("sending", "receiving"), _PORTS, strict=True)
        ]
        for office, other in (sides, sides[::-1]):
            await office.publish(carrier(other.port, channels=calls, networks=(f"{LOOPBACK}/32",), t38=mode))
        await _calls(sides, mode, 1)
        before, idle = [_used(office) for office in sides], [_memory(office) for office in sides]
        running = asyncio.create_task(
            _calls(sides, mode, calls, callers=[OURS] * calls if proven else _strangers(calls))
        )
        await asyncio.sleep(15)
        memory = [_memory(office) - least for office, least in zip(sides, idle, strict=True)]
        ends = await running
        used = [_used(office) - begun for office, begun in zip(sides, before, strict=True)]
        pace = Pace()
        for office in sides:
            pace.add(Pace.of_json((await office.line.ask("status"))["pace"]))
    what = f"{_MODES[mode]}, {calls} calls at once{'' if proven else ', callers unknown'}"
    rows = [
        Row(f"{what}, {way}", f"{60 * cpu / talked:.3f} CPU-s a channel-minute, {kept / calls / 2**20:.1f} MiB a call")
        if proven
        else Row(f"{what}, {way}", f"{kept / calls / 2**20:.1f} MiB a call")
        for way, cpu, talked, kept in zip(
            ("sending", "receiving"),
            used,
            [sum(one.talk_seconds for one in side) for side in ends],
            memory,
            strict=True,
        )
    ]
    late = (
        f"p99 {_milliseconds(pace.first)} in the first 5 s, {_milliseconds(pace.ticks)} in all, "
        f"worst {1000 * pace.worst:.0f} ms"
    )
    return [*rows, Row(f"{what}, both ends: media late", late)]


async def _calls(
    sides: Sequence[SipOffice], mode: T38Mode, calls: int, callers: Sequence[str] = (OURS,)
) -> tuple[list[CallResult], list[CallResult]]:
    """Make calls at once and return the results at both ends."""
    ours, theirs = sides
    sent = await asyncio.gather(
        *(
            ours.line.send(ours.request(destination=OURS, caller=caller, t38=mode), lambda _: None)
            for _, caller in zip(range(calls), callers, strict=True)
        )
    )
    received: list[CallResult] = []
    while len(received) < calls:
        (*_, end) = await theirs.arrived(60)
        assert isinstance(end, Arrived)
        received.append(end.result)
        theirs.line.forget(end.call)
    failed = [one for one in (*sent, *received) if one.cause is not Cause.CONFIRMED or one.pages_confirmed != _PAGES]
    for one in failed:
        print(f"not confirmed: {one}", file=sys.stderr)
    return sent, received


def _strangers(calls: int) -> list[str]:
    return [f"+1202555{number:04}" for number in range(calls)]


def _used(office: SipOffice) -> float:
    return processor_seconds(office.processes[-1].pid)


def _memory(office: SipOffice) -> int:
    """Return the bytes that a line's processes have for themselves alone."""
    total = 0
    for process in descendants(office.processes[-1].pid):
        try:
            entries = (Path("/proc") / str(process) / "smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        total += sum(
            1024 * int(one.split()[1]) for one in entries if one.startswith(("Private_Clean", "Private_Dirty"))
        )
    return total


def _milliseconds(counts: list[int]) -> str:
    return f"below {1000 * percentile(counts, 0.99):.0f} ms"


async def rows() -> AsyncIterator[Row]:
    """Yield every row."""
    for mode in _MODES:
        for calls, proven in ((TOGETHER, True), (TOGETHER, False), (RUSH, True)):
            for row in await measure(mode, calls, proven=proven):
                yield row


async def _print() -> None:
    async for row in rows():
        print(line(row), flush=True)


if __name__ == "__main__":
    asyncio.run(_print())
