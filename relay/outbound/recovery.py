"""What the calls came to that a crash left behind: by this service's predecessor, or by a node that is gone.

A call cannot be made exactly once, so the journal that its worker synced decides (:mod:`transport.journal`). A lease
that ran out is never a reason to dial: the journal is read first, and only when no process writes it any more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from relay.fax import Outbound
from relay.outcome import of_evidence
from relay.store.tables import attempt, fax
from transport.seam import CallResult, Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.outbound.conclusion import Conclusion
    from relay.store.engine import Store
    from transport.seam import Line

log = structlog.get_logger()

#: How long a node may be gone before its calls are given up, in seconds beyond their leases.
PATIENCE = 3600.0


async def recover(store: Store, line: Line, conclusion: Conclusion, owner: str) -> int:
    """Conclude the calls that a predecessor of ours (the same ``owner``) left; return how many."""
    left = await store.read(_left_behind, owner)
    for row in left:
        call = str(row.attempt_id)
        evidence = await line.evidence(call)
        result = of_evidence(evidence, call, simulated=line.name == "simulated")
        decision = await conclusion.write(row.id, row.attempt_id, result, fence=row.fence, trace=evidence.trace)
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
