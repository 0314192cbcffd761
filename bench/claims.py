"""Claims per second and the cost of one claim at a backlog of 1,000 and of 100,000, on SQLite and PostgreSQL.

A claim takes a fax, a channel and the destination's slot and writes the attempt; its end frees the channel and moves
the fax.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from relay.fax import Direction, Outbound
from relay.ids import IdSource
from relay.store import faxes, queue, schema
from relay.store.engine import Store
from relay.store.tables import fax, queue_lane

if TYPE_CHECKING:
    import sqlalchemy as sa

from bench.table import Row, line

NOW = 1_790_000_000.0
NUMBERS = 50
CLAIMS = 400


def fill(store: Store, ids: IdSource, backlog: int) -> None:
    """Put ``backlog`` queued faxes of 50 numbers in."""

    def rows(connection: sa.Connection) -> None:
        same = {"direction": Direction.OUTBOUND.value, "state": Outbound.QUEUED.value, "settings": {}, "pages": 1}
        same |= {"created_at": NOW, "updated_at": NOW, "not_before": NOW, "priority": 5}
        values = [
            same | {"id": ids(), "number": f"+9723{index % NUMBERS:07d}", "peer": f"+1202{index:08d}"}
            for index in range(backlog)
        ]
        connection.execute(fax.insert(), values)
        connection.execute(
            queue_lane.insert(),
            [{"number": f"+9723{index:07d}", "priority": 5, "served": 0.0, "due_at": NOW} for index in range(NUMBERS)],
        )

    store.write_now(rows)
    store.write_now(queue.set_channels, {"line": 8})
    if store.sqlite:
        store.write_now(lambda c: c.exec_driver_sql("ANALYZE"))


async def measure(url: str, backlog: int) -> tuple[float, float, float]:
    """Return claims per second with their ends, and the median and worst claim in milliseconds."""
    store, ids = Store(url), IdSource()
    schema.upgrade(store.engine)
    fill(store, ids, backlog)
    costs: list[float] = []
    lease = queue.Lease("bench")

    def end(connection: sa.Connection, claim: queue.CallClaim) -> None:
        faxes.move(connection, ids, claim.fax.id, Outbound.SENT, at=NOW, reason="", fence=claim.fax.fence)
        queue.free_channel(connection, claim.fax.id)

    started = time.perf_counter()
    for _ in range(CLAIMS):
        before = time.perf_counter()
        claim = await store.write(queue.claim_call, ids, lease, {"line": 300.0}, NOW + 1)
        costs.append((time.perf_counter() - before) * 1000)
        if claim is None:
            raise SystemExit("the queue ran empty: the bench is wrong")
        await store.write(end, claim)
    seconds = time.perf_counter() - started
    store.close()
    return CLAIMS / seconds, statistics.median(costs), sorted(costs)[int(len(costs) * 0.99)]


def table(postgresql: str | None) -> list[Row]:
    """Return claims per second and the cost of one. ``postgresql``: the folder of a server's socket."""
    found = []
    for backlog in (1_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            found.append(("SQLite", backlog, *asyncio.run(measure(f"sqlite:///{folder}/bench.db", backlog))))
        if postgresql:
            found.append(("PostgreSQL", backlog, *asyncio.run(measure(fresh(postgresql, backlog), backlog))))
    return [
        Row(
            f"calls claimed and concluded a second, {kind}, backlog {backlog:,}",
            f"{rate:.0f} (claim {median:.1f} ms, p99 {worst:.1f} ms)",
        )
        for kind, backlog, rate, median, worst in found
    ]


def fresh(socket: str, backlog: int) -> str:
    """Return the URL of a new database on the server that listens in folder ``socket``."""
    import psycopg  # noqa: PLC0415  only with PostgreSQL

    name = f"bench{os.getpid()}_{backlog}"
    with psycopg.connect(host=socket, user="postgres", autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return f"postgresql+psycopg://postgres@/{name}?host={socket}"


if __name__ == "__main__":
    for row in table(sys.argv[1] if len(sys.argv) > 1 else None):
        print(line(row))
