"""What a call came to, written once: after the call, after the death of the line, or by the next service after a crash.

A call cannot be made exactly once, so the journal that its worker synced decides (:mod:`transport.journal`). A lease
that ran out is never a reason to dial: the journal is read first, and only when no process writes it any more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from relay.fax import Outbound
from relay.outcome import Decision, RetryRule, decide, of_evidence
from relay.store import faxes, queue
from relay.store.tables import attempt, fax
from transport.messages import encode
from transport.seam import CallResult, Cause

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from relay.ids import IdSource
    from relay.store.engine import Store
    from transport.seam import Line

log = structlog.get_logger()

#: How long a node may be gone before its calls are given up, in seconds beyond their leases.
PATIENCE = 3600.0


class Conclusion:
    """Writes a call's end: the attempt's result, the freed channel, the fax's move."""

    def __init__(self, store: Store, ids: IdSource, clock: Callable[[], float], spread: random.Random) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._spread = spread

    async def write(self, fax_id: int, attempt_id: int, result: CallResult, *, fence: int) -> Decision:
        """Commit how a call ended and return what follows; raises :class:`relay.errors.LostClaim`."""
        return await self._store.write(self._write, fax_id, attempt_id, result, fence)

    def _write(
        self, connection: sa.Connection, fax_id: int, attempt_id: int, result: CallResult, fence: int
    ) -> Decision:
        now = self._clock()
        row = faxes.get(connection, fax_id, lock=True)
        decision = decide(
            RetryRule.of_settings(row.settings), result, pages=row.pages, calls_made=row.attempts, spread=self._spread
        )
        if decision.after is Outbound.QUEUED and row.cancel_requested:
            decision = Decision(
                Outbound.CANCELLED, f"cancelled with {result.pages_confirmed} of {row.pages} pages confirmed"
            )
        faxes.move(
            connection, self._ids, fax_id, decision.after, at=now, reason=decision.reason, fence=fence,
            detail={"attempt": row.attempts, "cause": result.cause.value, "pages_confirmed": result.pages_confirmed},
            changes={
                "pages_confirmed": max(result.pages_confirmed, row.pages_confirmed),  # the best of all calls
                "remote_ident": result.remote_ident or row.remote_ident,
                "not_before": now + decision.delay.total_seconds(),
            },
        )  # fmt: skip
        connection.execute(
            attempt.update()
            .where(attempt.c.id == attempt_id)
            .values(
                ended_at=now,
                cause=result.cause.value,
                pages_confirmed=result.pages_confirmed,
                result=encode(result),
                next=decision.reason,
            )
        )
        queue.free_channel(connection, fax_id)
        return decision


async def recover(store: Store, line: Line, conclusion: Conclusion, owner: str) -> int:
    """Conclude the calls that a predecessor of ours (the same ``owner``) left; return how many."""
    left = await store.read(_left_behind, owner)
    for row in left:
        call = str(row.attempt_id)
        result = of_evidence(await line.evidence(call), call, simulated=line.name == "simulated")
        decision = await conclusion.write(row.id, row.attempt_id, result, fence=row.fence)
        line.forget(call)
        log.warning("call recovered", fax=row.id, cause=result.cause.value, after=decision.after.value)
    return len(left)


async def watch_lost(store: Store, conclusion: Conclusion, owner: str, clock: Callable[[], float]) -> None:
    """Look for the calls of lost nodes now and then, until cancelled."""
    while True:
        try:
            await give_up_lost(store, conclusion, owner, clock())
        except sa.exc.SQLAlchemyError:
            log.exception("the calls of lost nodes could not be looked for; trying again")
        await asyncio.sleep(PATIENCE / 6)


async def give_up_lost(store: Store, conclusion: Conclusion, owner: str, now: float) -> int:
    """Conclude calls of other nodes whose lease ran out long ago: their journal is out of reach, so nobody can say."""
    lost = await store.read(_lost, owner, now - PATIENCE)
    for row in lost:
        call = str(row.attempt_id)
        unknown = CallResult(call, Cause.LOCAL, row.pages_confirmed, last_page_offered=True, simulated=False)
        decision = await conclusion.write(row.id, row.attempt_id, unknown, fence=row.fence)
        log.warning("call of a lost node given up", fax=row.id, node=row.lease_owner, after=decision.after.value)
    return len(lost)


def _left_behind(connection: sa.Connection, owner: str) -> list[sa.Row[Any]]:
    return list(connection.execute(_dialling().where(fax.c.lease_owner == owner)))


def _lost(connection: sa.Connection, owner: str, before: float) -> list[sa.Row[Any]]:
    return list(connection.execute(_dialling().where(fax.c.lease_owner != owner, fax.c.lease_until < before)))


def _dialling() -> sa.Select[Any]:
    last = sa.and_(attempt.c.fax_id == fax.c.id, attempt.c.ordinal == fax.c.attempts)
    query = sa.select(fax, attempt.c.id.label("attempt_id")).join(attempt, last)
    return query.where(fax.c.state == Outbound.DIALING.value)
