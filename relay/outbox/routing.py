"""The router: each event becomes its deliveries, once.

One transaction claims unrouted events in the order of their ids, writes what the lanes owe for them and marks them
routed. An event that a lane cannot route (a fault of ours) stays unrouted, is logged, holds nobody up, and is tried
again by the next service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from relay.outbox import deliveries
from relay.outbox.lane import ReadingLane
from relay.store import faxes
from relay.store.tables import event, submission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.ids import IdSource
    from relay.outbox.lane import Lane
    from relay.store.engine import Store

log = structlog.get_logger()

#: Events of one transaction: bounds how long it keeps other writers waiting.
BATCH = 50
_ENDS = frozenset({"fax.sent", "fax.failed", "fax.uncertain", "fax.cancelled"})


class Router:
    """Routes the events of a store to ``lanes``."""

    def __init__(self, store: Store, ids: IdSource, clock: Callable[[], float], lanes: Sequence[Lane]) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._lanes = tuple(lanes)
        self._broken: set[int] = set()

    async def step(self) -> int:
        """Route one batch; return how many events there were."""
        return await self._store.write(self.route)

    def route(self, connection: sa.Connection) -> int:
        """Route one batch in the caller's transaction; return how many events there were."""
        unrouted = sa.and_(event.c.routed.is_(sa.false()), event.c.id.not_in(self._broken))
        query = sa.select(event).where(unrouted).order_by(event.c.id).limit(BATCH).with_for_update(skip_locked=True)
        found = list(connection.execute(query))
        for row in found:
            try:
                with connection.begin_nested():
                    self._route(connection, row)
            except (sa.exc.OperationalError, sa.exc.InterfaceError):
                raise  # the database itself is in trouble: nothing of this batch may count
            except Exception:  # a lane's fault in one event must not hold up the others
                self._broken.add(row.id)
                log.exception("an event cannot be routed", row=row.id, fax=row.fax_id, kind=row.kind)
        return len(found)

    def _route(self, connection: sa.Connection, row: sa.Row[Any]) -> None:
        now = self._clock()
        fax = faxes.get(connection, row.fax_id)
        asked = connection.execute(sa.select(submission).where(submission.c.id == fax.submission_id)).first()
        for lane in self._lanes:
            if isinstance(lane, ReadingLane):
                posts = lane.read(connection, row, fax, asked)
            else:
                posts = lane.routes(row, fax, asked)
            deliveries.post(connection, self._ids, lane.name, fax.id, row.id, posts, now)
        if row.kind in _ENDS:
            deliveries.withdraw(connection, fax.id, now)
        connection.execute(event.update().where(event.c.id == row.id).values(routed=True))
        if row.kind == "fax.received":
            deliveries.settle(connection, self._ids, fax.id, now)  # a number without a mailbox delivers to nobody
        elif fax.passes_on is not None and row.kind in _ENDS:
            deliveries.settle(connection, self._ids, fax.passes_on, now)  # a machine of ours has it, or will not
