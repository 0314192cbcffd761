"""A service's outbox that is killed: for each line of the standard input a child runs it, whose process id is printed.

Run as a program: ``victim.py DATABASE PORT``.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from ipaddress import ip_network

import structlog

from policies.endpoints import CallbackEndpoint, Dialect, Trigger
from policies.policy import Source
from policies.secrets import parse_reference
from relay.callbacks.client import Client
from relay.callbacks.guard import DnsResolver
from relay.callbacks.lane import CallbackLane
from relay.ids import IdSource
from relay.outbox import Outbox
from relay.store import queue
from relay.store.engine import Store

_NODE = "victim"


async def live(database: str, port: int) -> None:
    """Start as a service does after a kill, and route and call until killed."""
    store, ids = Store(database), IdSource()
    await store.write(queue.release_leases, _NODE)
    loopback = frozenset({ip_network("127.0.0.0/8")})
    entry = CallbackEndpoint(
        "crm", f"http://127.0.0.1:{port}/", Dialect.STANDARD, Source("a.yaml", 1), trigger=Trigger.ACTION,
        networks=loopback, secrets=(parse_reference("env:SECRET"),),
    )  # fmt: skip
    entries = {"crm": entry}
    environ = {"SECRET": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
    lane = CallbackLane(Client(DnsResolver()), lambda: entries, ids, time.time, environ=environ)
    outbox = Outbox(store, ids, time.time, [lane], lease=queue.Lease(_NODE), spread=random.Random(1), poll=0.05)
    await outbox.run()


def main() -> None:
    """Run a child for each line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    database, port = sys.argv[1], int(sys.argv[2])
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(live(database, port))
            os._exit(0)
        print(child, flush=True)  # noqa: T201  for whoever kills it
        os.waitpid(child, 0)
        print("ended", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
