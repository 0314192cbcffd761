"""The loops: route what happened, deliver what is due, lane by lane, until cancelled.

A delivery's lease is renewed while its lane works, for as long as the lane's patience allows one attempt. A lane's
fault is a deferral: it is logged, and the row waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from relay.errors import LostClaim
from relay.outbox import deliveries
from relay.outbox.lane import Deferred, Delivered, Outcome, ReadingLane, Skipped, Verdict, judge
from relay.outbox.places import Places
from relay.outbox.routing import Router
from relay.store import queue, targets
from relay.store.engine import Topic, pause
from relay.store.tables import delivery

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from relay.ids import IdSource
    from relay.outbox.lane import Lane
    from relay.outbox.places import Place
    from relay.store.engine import Store

log = structlog.get_logger()

#: Seconds before the loops ask again a database that was in trouble.
_TROUBLE = 5.0
#: Targets of one claim: bounds how long it keeps other writers waiting.
_CLAIMS = 64
#: Ends of failed deliveries that are written at once: where many time out together, the others' writes go between.
_FAILING = 8


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
        self._given: Counter[str] = Counter()
        self._failing = asyncio.Semaphore(_FAILING)

    async def run(self) -> None:
        """Route and deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._route())
            for lane in self._lanes:
                if lane.name in targets.LANES:
                    group.create_task(self._serve_targets(lane))
                else:
                    group.create_task(self._serve(lane))

    async def route(self) -> int:
        """Route one batch of events; return how many there were."""
        return await self._router.step()

    async def step(self, lane: Lane) -> bool:
        """Deliver one row of ``lane``; return whether one was due."""
        by_target = lane.name in targets.LANES
        claims = await self._claim_targets(lane, frozenset(), 1) if by_target else [await self._claim(lane)]
        for claim in claims:
            if claim is not None:
                await self._deliver(lane, claim)
                return True
        return False

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

    async def _serve_targets(self, lane: Lane) -> None:
        """Serve each target for itself: one that hangs takes one place, whatever waits for it."""
        places = Places(lane.patience.at_once, lane.patience.of_target, time.monotonic)
        async with asyncio.TaskGroup() as delivering:
            with self._store.waiter(Topic.OUTBOX) as woken:
                while True:
                    woken.clear()
                    claims: list[queue.Claim] = []
                    room = min(places.free, _CLAIMS)
                    try:
                        if room:
                            claims = await self._claim_targets(lane, places.full(), room)
                    except sa.exc.SQLAlchemyError:
                        log.exception("deliveries cannot be claimed now", lane=lane.name)
                        await asyncio.sleep(_TROUBLE)
                    for claim in claims:
                        place = places.take(claim.row.target)
                        task = delivering.create_task(self._deliver(lane, claim))
                        task.add_done_callback(partial(_leave, places, place, woken))
                    if not claims:
                        await pause(woken, self._poll)

    async def _claim_targets(self, lane: Lane, full: frozenset[str], limit: int) -> list[queue.Claim]:
        skip = full | lane.held() if isinstance(lane, ReadingLane) else full
        given = self._given[lane.name]  # so that endpoints that failed have their turns in a full lane too
        claims = await self._store.write(targets.claim, lane.name, self._lease, self._clock(), skip, limit, given)
        self._given[lane.name] += len(claims)
        return claims

    async def _claim(self, lane: Lane) -> queue.Claim | None:
        now = self._clock()
        if now < self._rests_until.get(lane.name, 0.0):
            return None
        held = deliveries.suspended(lane.name)
        return await self._store.write(queue.claim_delivery, lane.name, self._lease, now, held)

    async def _deliver(self, lane: Lane, claim: queue.Claim) -> bool:
        """Deliver one claimed row; return whether its target took it."""
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
            async with contextlib.nullcontext() if isinstance(outcome, Delivered) else self._failing:
                verdict = await self._store.write(self._conclude, lane, claim, outcome)
        except LostClaim:
            bound.warning("delivery lost to another worker")
        except sa.exc.SQLAlchemyError:
            bound.exception("the end of a delivery cannot be written; it will be delivered again")
        else:
            bound.info("delivery", state=verdict.state.value, answer=verdict.answer)
        return isinstance(outcome, Delivered) and not isinstance(outcome, Skipped)

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
        terms = outcome.terms if isinstance(outcome, Deferred) else None
        limit = terms.suspend_after if terms is not None else patience.suspend_after
        suspended = False
        if limit is not None or lane.name in targets.LANES:
            suspended = deliveries.count(connection, lane.name, claim.row.target, outcome, limit, now)
        if suspended:
            log.warning("target suspended", lane=lane.name, target=claim.row.target, reason=verdict.answer)
        if isinstance(lane, ReadingLane):
            lane.concluded(connection, claim, outcome, verdict, now, suspended=suspended)
        return verdict


def _leave(places: Places, place: Place, woken: asyncio.Event, task: asyncio.Task[bool]) -> None:
    places.leave(place, answered=not task.cancelled() and task.exception() is None and task.result())
    woken.set()
