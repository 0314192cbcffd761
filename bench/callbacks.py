"""How late healthy endpoints hear: 10,000 endpoints of which 500 hang, 300 events a second.

Measured from the commit of the event to the commit of its delivery's end, on SQLite with its full syncs, with the
receiver in a process of its own. `python -m bench.callbacks [--seconds 30]`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from bench.table import Row
from policies.endpoints import CallbackEndpoint, Dialect
from policies.policy import Source
from policies.secrets import parse_reference
from relay.callbacks.client import Client
from relay.callbacks.guard import DnsResolver
from relay.callbacks.lane import CallbackLane
from relay.ids import IdSource
from relay.outbox import Outbox, oldest_unrouted
from relay.store import faxes, queue, schema
from relay.store.engine import Store
from relay.store.tables import callback_call, delivery, fax

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDPOINTS, HANGING, RATE = 10_000, 500, 300
_LOOPBACK = frozenset({ip_network("127.0.0.0/8")})
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105  of a bench


async def receive() -> None:
    """Answer on a port of loopback, which is printed, until the standard input ends; ``/hang`` is never answered."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                if head.startswith(b"POST /hang"):
                    await asyncio.sleep(3600)
                writer.write(_ANSWER)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def number(index: int) -> str:
    """Return the number whose faxes an endpoint is told of."""
    return f"+1202{index:07d}"


def endpoints(port: int) -> dict[str, CallbackEndpoint]:
    """Return the endpoints; the first ones hang."""
    return {
        f"endpoint-{index}": CallbackEndpoint(
            f"endpoint-{index}", f"http://127.0.0.1:{port}/{'hang' if index < HANGING else 'ok'}", Dialect.STANDARD,
            Source("bench.yaml", 1), numbers=frozenset({number(index)}), networks=_LOOPBACK, suspend_after=None,
            secrets=(parse_reference("env:SECRET"),),
        )
        for index in range(ENDPOINTS)
    }  # fmt: skip


async def happen(store: Store, ids: IdSource, seconds: float, rate: int) -> int:
    """Let things happen at a rate, a tenth of a second's worth in a transaction; return how many did."""
    chance, began, made = random.Random(1), time.monotonic(), 0  # noqa: S311  repeatable
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - made
        numbers = [number(chance.randrange(ENDPOINTS)) for _ in range(due)]
        await store.write(_happen, ids, numbers)
        made += due
        await asyncio.sleep(0.1)
    return made


def _happen(connection: sa.Connection, ids: IdSource, numbers: Sequence[str]) -> None:
    now = time.time()
    for one in numbers:
        values = {"direction": "outbound", "number": one, "peer": "+12025550199", "settings": {}, "created_at": now}
        faxes.create(connection, ids, values, reason="bench")


async def measure(folder: Path, port: int, seconds: float, rate: int) -> dict[str, float]:
    """Run the lane for some seconds and return what it did."""
    store, ids = Store(f"sqlite:///{folder / 'bench.db'}"), IdSource()
    schema.upgrade(store.engine)
    entries = endpoints(port)
    client = Client(DnsResolver())
    lane = CallbackLane(client, lambda: entries, ids, time.time, environ={"SECRET": _SECRET})
    outbox = Outbox(store, ids, time.time, [lane], lease=queue.Lease("bench"), spread=random.SystemRandom())
    running = asyncio.create_task(outbox.run())
    # What waits for the endpoints that do not answer is there already, and each of them hangs in a call.
    await store.write(_happen, ids, [number(index) for index in range(HANGING) for _ in range(3)])
    while await store.read(lambda c: oldest_unrouted(c)[0]):  # noqa: ASYNC110  the rows tell, no event does
        await asyncio.sleep(0.2)
    began, cpu = time.time(), time.process_time()
    made = await happen(store, ids, seconds, rate)
    await asyncio.sleep(3)
    found = await store.read(_latencies, began)
    ends = await store.read(_timed_out, began)
    cpu = time.process_time() - cpu
    running.cancel()
    await asyncio.wait([running])
    await client.close()
    hung = await store.read(
        lambda c: c.execute(sa.select(sa.func.count()).select_from(delivery).where(delivery.c.state == "due")).scalar()
    )
    store.close()
    late = sorted(seconds for _, seconds in found) or [float("nan")]
    # Those that happened while calls timed out, or in the second before.
    around = sorted(seconds for at, seconds in found if any(-1.0 < end - at < 1.0 for end in ends)) or [float("nan")]
    return {
        "events_per_second": made / seconds,
        "cpu_ms_per_event": 1000 * cpu / made,
        "healthy_done": len(late),
        "waiting_for_hanging": float(hung or 0),
        "timed_out": float(len(ends)),
        "p50": late[len(late) // 2],
        "p99": late[len(late) * 99 // 100],
        "max": late[-1],
        "around_time_outs_p50": around[len(around) // 2],
        "around_time_outs_p99": around[len(around) * 99 // 100],
    }


def _latencies(connection: sa.Connection, since: float) -> list[tuple[float, float]]:
    """Return when events of healthy endpoints happened, and how many seconds later their ends were committed."""
    late = callback_call.c.at - fax.c.created_at
    healthy = sa.select(fax.c.created_at, late).join(fax, fax.c.id == callback_call.c.fax_id)
    done = healthy.where(callback_call.c.result == "done", fax.c.created_at >= since)
    return [(at, seconds) for at, seconds in connection.execute(done)]


def _timed_out(connection: sa.Connection, since: float) -> list[float]:
    """Return when calls that nobody answered ended."""
    ends = sa.select(callback_call.c.at).where(callback_call.c.result != "done", callback_call.c.at >= since)
    return list(connection.execute(ends).scalars())


def run(seconds: float, rate: int) -> dict[str, float]:
    """Return what :func:`measure` does, with a receiver in a process of its own and room for all connections."""
    _make_room()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    command = [sys.executable, "-m", "bench.callbacks", "--receive"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as receiver,
    ):
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        try:
            return asyncio.run(measure(Path(folder), port, seconds, rate))
        finally:
            receiver.kill()


def rows(seconds: float = 30.0) -> Iterator[Row]:
    """Yield every row."""
    found = run(seconds, RATE)
    what = f"callbacks, {ENDPOINTS:,} endpoints of which {HANGING} hang, {RATE} events a second"

    def ms(*names: str) -> str:
        return ", ".join(f"{1000 * found[name]:.0f} ms" for name in names)

    yield Row(f"{what}: median, p99 and longest delay of a healthy one", ms("p50", "p99", "max"))
    around = ms("around_time_outs_p50", "around_time_outs_p99")
    yield Row(f"the same while {found['timed_out']:.0f} calls time out: median, p99", around)
    yield Row("the same: CPU for each event", f"{found['cpu_ms_per_event']:.1f} ms")


def _make_room() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--receive", action="store_true")
    wanted = parser.parse_args()
    if wanted.receive:
        _make_room()
        asyncio.run(receive())
        return
    for name, value in run(wanted.seconds, wanted.rate).items():
        print(f"{name:20} {value:10.3f}")


if __name__ == "__main__":
    main()
