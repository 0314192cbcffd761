"""Callbacks over ``kill -9``, and endpoints that hang beside others that do not."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from policies.endpoints import CallbackEvent
from relay.store.tables import delivery, event

from .desk import CallbackDesk, confirmed, endpoint
from .misbehaving import receiver

KILLS = 50
_OUTSIDE = {one.value for one in CallbackEvent}


@pytest.mark.timeout(300)
async def test_nothing_is_lost_and_order_is_kept_over_fifty_kills(desk: CallbackDesk) -> None:
    """A power failure would lose what was to be told, or turn it upside down."""
    chance = random.Random(1)
    async with receiver("later", "0.03") as there:
        faxes = [desk.sent(confirmed()) for _ in range(60)]
        database = f"sqlite:///{desk.folder / 'faxrelay.db'}"
        victim = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("victim.py")), database, str(there.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert victim.stdin is not None
        assert victim.stdout is not None
        for kill in range(KILLS + 1):
            victim.stdin.write(b"go\n")
            child = int(await victim.stdout.readline())
            if kill < KILLS:
                await asyncio.sleep(chance.uniform(0.02, 0.4))
            else:
                deadline = time.monotonic() + 120
                while time.monotonic() < deadline and (desk.waiting() or not all(e.routed for e in desk.rows(event))):
                    await asyncio.sleep(0.2)
            os.kill(child, signal.SIGKILL)
            assert await victim.stdout.readline() == b"ended\n"
        victim.stdin.close()
        await victim.wait()
        assert {row.state for row in desk.rows(delivery)} == {"done"}
        owed = {str(row.id) for row in desk.rows(event) if row.kind in _OUTSIDE}
        told: dict[str, tuple[str, int]] = {}
        for request in there.requests:
            head, _, body = request.partition(b"\r\n\r\n")
            name = next(line[12:].strip() for line in head.decode().split("\r\n") if line.startswith("webhook-id"))
            data = json.loads(body)["data"]
            told.setdefault(name, (data["fax"]["id"], data["sequence"]))
        assert set(told) == owed
        for fax_id in faxes:
            order = [sequence for fax, sequence in told.values() if fax == str(fax_id)]
            assert len(order) == 5  # accepted, queued, dialing, sent, submission.completed
            assert order == sorted(order)


async def test_endpoints_that_hang_do_not_delay_the_others(desk: CallbackDesk) -> None:
    """One dead receiver would make all others wait for its time limit."""
    async with receiver("hang") as dead, receiver("ok") as well:
        hanging = [endpoint(f"dead-{index}", dead.port, timeout=20.0) for index in range(20)]
        desk.has(*hanging, endpoint("crm", well.port))
        for _ in range(10):
            desk.sent(confirmed())
        lane = desk.callback_lane()
        running = asyncio.create_task(desk.outbox(lane).run())
        deadline = time.monotonic() + 15
        while len(well.requests) < 20 and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])
        await lane.close()
        assert len(well.requests) == 20
        assert dead.most_open == 20  # one call to each, although ten faxes wait for it
