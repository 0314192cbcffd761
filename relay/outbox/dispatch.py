"""The loops: route what happened, deliver what is due, lane by lane, until cancelled.

A delivery's lease is renewed while its lane works, for as long as the lane's patience allows one attempt. A lane's
fault is a deferral: it is logged, and the row waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from relay.errors import LostClaim
from relay.outbox import deliveries
from relay.outbox.lane import Deferred, Outcome, Verdict, judge
from relay.outbox.routing import Router
from relay.store import queue
from relay.store.engine import Topic, pause
from relay.store.tables import delivery

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from relay.ids import IdSource
    from relay.outbox.lane import Lane
    from relay.store.engine import Store

log = structlog.get_logger()

#: Seconds before the loops ask again a database that was in trouble.
_TROUBLE = 5.0


class Outbox:
    """Routes and delivers.

    ``poll``: the longest that a due row can lie unseen, in seconds, beside the wake-ups by commits.
    """

    def __init__(
        self,
        store: Store,
        ids: IdSource,
        clock: Callable[[], float],
        lanes: Sequence[Lane],
        *,
        lease: queue.Lease,
        spread: random.Random,
        poll: float = 1.0,
    ) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._lanes = tuple(lanes)
        self._lease = lease
        self._spread = spread
        self._poll = poll
        self._router = Router(store, ids, clock, lanes)
        self._rests_until: dict[str, float] = {}

    async def run(self) -> None:
        """Route and deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._route())
            for lane in self._lanes:
                group.create_task(self._serve(lane))

    async def route(self) -> int:
        """Route one batch of events; return how many there were."""
        return await self._router.step()

    async def step(self, lane: Lane) -> bool:
        """Deliver one row of ``lane``; return whether one was due."""
        claim = await self._claim(lane)
        if claim is None:
            return False
        await self._deliver(lane, claim)
        return True

    async def _route(self) -> None:
        with self._store.waiter(Topic.OUTBOX) as woken:
            while True:
                woken.clear()
                try:
                    routed = await self.route()
                except sa.exc.SQLAlchemyError:
                    log.exception("events cannot be routed now")
                    await asyncio.sleep(_TROUBLE)
                    continue
                if not routed:
                    await pause(woken, self._poll)

    async def _serve(self, lane: Lane) -> None:
        free = asyncio.Semaphore(lane.patience.at_once)
        async with asyncio.TaskGroup() as delivering:
            with self._store.waiter(Topic.OUTBOX) as woken:
                while True:
                    await free.acquire()
                    woken.clear()
                    try:
                        claim = await self._claim(lane)
                    except sa.exc.SQLAlchemyError:
                        log.exception("deliveries cannot be claimed now", lane=lane.name)
                        await asyncio.sleep(_TROUBLE)
                        claim = None
                    if claim is not None:
                        task = delivering.create_task(self._deliver(lane, claim))
                        task.add_done_callback(lambda _: free.release())
                        continue
                    free.release()
                    await pause(woken, self._poll)

    async def _claim(self, lane: Lane) -> queue.Claim | None:
        now = self._clock()
        if now < self._rests_until.get(lane.name, 0.0):
            return None
        held = deliveries.suspended(lane.name)
        return await self._store.write(queue.claim_delivery, lane.name, self._lease, now, held)

    async def _deliver(self, lane: Lane, claim: queue.Claim) -> None:
        bound = log.bind(lane=lane.name, delivery=claim.id, kind=claim.row.kind, fax=claim.row.fax_id)
        outcome: Outcome
        renewal = asyncio.create_task(self._renew(claim))
        try:
            async with asyncio.timeout(lane.patience.attempt):
                outcome = await lane.deliver(claim)
        except TimeoutError:
            outcome = Deferred(f"it took longer than {lane.patience.attempt:g} seconds")
        except Exception:  # noqa: BLE001  whatever a lane's fault is, the row stays and is tried again
            bound.exception("delivery failed by a fault of ours")
            outcome = Deferred("a fault of the relay; its log tells more")
        finally:
            renewal.cancel()
        if isinstance(outcome, Deferred) and outcome.blocked:
            self._rests_until[lane.name] = self._clock() + lane.patience.rest
        try:
            verdict = await self._store.write(self._conclude, lane, claim, outcome)
        except LostClaim:
            bound.warning("delivery lost to another worker")
        except sa.exc.SQLAlchemyError:
            bound.exception("the end of a delivery cannot be written; it will be delivered again")
        else:
            bound.info("delivery", state=verdict.state.value, answer=verdict.answer)

    async def _renew(self, claim: queue.Claim) -> None:
        with contextlib.suppress(LostClaim, sa.exc.SQLAlchemyError):  # the conclusion will find out
            while True:
                await asyncio.sleep(self._lease.seconds / 3)
                await self._store.write(queue.renew, delivery, claim, self._lease, self._clock())

    def _conclude(self, connection: sa.Connection, lane: Lane, claim: queue.Claim, outcome: Outcome) -> Verdict:
        now, patience = self._clock(), lane.patience
        age = now - claim.row.created_at
        verdict = judge(patience, outcome, age=age, failures=claim.row.attempts + 1, spread=self._spread)
        deliveries.conclude(connection, self._ids, claim, verdict, now)
        limit = patience.suspend_after
        if limit is not None and deliveries.count(connection, lane.name, claim.row.target, outcome, limit, now):
            log.warning("target suspended", lane=lane.name, target=claim.row.target, reason=verdict.answer)
        return verdict
