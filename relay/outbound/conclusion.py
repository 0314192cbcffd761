"""A call's end, written once: the attempt's result, what it taught of the destination, and the fax's next move.

Called after the call, after the death of the line, or by the next service after a crash (:mod:`.recovery`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.fax import Outbound
from relay.outbound.ladder import ADVANCING
from relay.outcome import Decision, RetryRule, Ways, decide
from relay.resubmission import coarser_document
from relay.store import destinations, faxes, queue, routes, traces
from relay.store.destinations import Lesson
from relay.store.tables import attempt, document
from relay.submission import COARSEST
from transport.messages import encode
from transport.seam import CallResult, Cause

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from relay.ids import IdSource
    from relay.store.engine import Store
    from transport.seam import TraceEntry


#: Seconds until a fax for which there was no channel is tried again.
FULL = 10.0


class Conclusion:
    """Writes a call's end."""

    def __init__(self, store: Store, ids: IdSource, clock: Callable[[], float], spread: random.Random) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._spread = spread

    async def write(
        self, fax_id: int, attempt_id: int, result: CallResult, *, fence: int, trace: Sequence[TraceEntry] = ()
    ) -> Decision:
        """Commit how a call ended and return what follows; raises :class:`relay.errors.LostClaim`."""
        return await self._store.write(self._write, fax_id, attempt_id, result, fence, trace)

    def _write(
        self,
        connection: sa.Connection,
        fax_id: int,
        attempt_id: int,
        result: CallResult,
        fence: int,
        trace: Sequence[TraceEntry],
    ) -> Decision:
        now = self._clock()
        row = faxes.get(connection, fax_id, lock=True)
        made = connection.execute(sa.select(attempt).where(attempt.c.id == attempt_id)).one()
        known = row.settings.get("trunks", [])  # the policy may have changed during the call
        left = [trunk for trunk in row.route.split(",") if trunk != made.trunk and trunk in known]
        if result.line_full:
            return self._undone(connection, row, attempt_id, result, fence)
        decision = self._decide(connection, row, result, left)
        faxes.move(
            connection, self._ids, fax_id, decision.after, at=now, reason=decision.reason, fence=fence,
            detail={"attempt": row.attempts, "cause": result.cause.value, "pages_confirmed": result.pages_confirmed},
            changes={
                "pages_confirmed": max(result.pages_confirmed, row.pages_confirmed),  # the best of all calls
                "remote_ident": result.remote_ident or row.remote_ident,
                "not_before": now + decision.delay.total_seconds(),
                "free_attempts": row.free_attempts + (not decision.spends),
                **self._next_way(connection, row, made.rung, result, decision, left),
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
        if trace:
            traces.keep(connection, fax_id, row.attempts, result.call, trace, now)
        if result.cause is Cause.CONFIRMED and made.rung:
            destinations.learn(connection, row.peer, row.settings, Lesson(rung=made.rung), now)
        if decision.after is Outbound.PREPARING:
            destinations.learn(connection, row.peer, row.settings, Lesson(resolution=COARSEST), now)
            coarser_document(connection, self._ids, faxes.get(connection, fax_id), now)
        return decision

    def _undone(
        self, connection: sa.Connection, row: sa.Row[Any], attempt_id: int, result: CallResult, fence: int
    ) -> Decision:
        """Take back an attempt for which there was no channel: calls that came in hold them. Nothing was dialled."""
        ended = row.cancel_requested
        after = Outbound.CANCELLED if ended else Outbound.QUEUED
        reason = "cancelled before it was dialled" if ended else f"{result.sip_reason}; it waits for one"
        now = self._clock()
        faxes.move(
            connection, self._ids, row.id, after, at=now, reason=reason, fence=fence,
            changes={"attempts": row.attempts - 1, "not_before": now + FULL},
        )  # fmt: skip
        connection.execute(attempt.delete().where(attempt.c.id == attempt_id))
        queue.free_channel(connection, row.id)
        return Decision(after, reason, timedelta(seconds=FULL), spends=False)

    def _decide(self, connection: sa.Connection, row: sa.Row[Any], result: CallResult, left: list[str]) -> Decision:
        rendering = connection.execute(
            sa.select(document.c.rendering).where(document.c.id == row.document_id)
        ).scalar_one()
        decision = decide(
            RetryRule.of_settings(row.settings),
            result,
            pages=row.pages,
            calls_made=row.attempts - row.free_attempts,
            spread=self._spread,
            ways=Ways(other_trunk=bool(left), coarser=not rendering.startswith(f"{COARSEST}:")),
        )
        if decision.after in (Outbound.QUEUED, Outbound.PREPARING) and row.cancel_requested:
            told = f"cancelled with {result.pages_confirmed} of {row.pages} pages confirmed"
            return Decision(Outbound.CANCELLED, told)
        if decision.after in (Outbound.QUEUED, Outbound.PREPARING) and row.settings.get("gone"):
            return Decision(Outbound.FAILED, f"{decision.reason.split(';')[0]}; {row.settings['gone']}")
        return decision

    def _next_way(
        self,
        connection: sa.Connection,
        row: sa.Row[Any],
        rung: str,
        result: CallResult,
        decision: Decision,
        left: list[str],
    ) -> dict[str, Any]:
        """Return how the next call is made: by the trunks that are left, or by all of them on the next rung."""
        if decision.after is not Outbound.QUEUED:
            return {}
        if not decision.spends:
            return {"route": routes.written(connection, left)}
        changes: dict[str, Any] = {}
        if row.settings.get("trunks"):
            changes["route"] = routes.written(connection, row.settings["trunks"])
        if result.cause in ADVANCING and rung:
            changes["rungs_tried"] = [*row.rungs_tried, rung]
        return changes
