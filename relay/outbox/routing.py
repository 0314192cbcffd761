"""The router: each event becomes its deliveries, once.

One transaction claims unrouted events in the order of their ids, writes what the lanes owe for them and marks them
routed. An event that a lane cannot route (a fault of ours) stays unrouted, is logged, holds nobody up, and is tried
again by the next service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
import structlog

from relay.outbox import deliveries
from relay.outbox.lane import ReadingLane
from relay.store.tables import event, fax, submission

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from relay.ids import IdSource
    from relay.outbox.lane import Lane
    from relay.store.engine import Store

log = structlog.get_logger()

#: Events of one transaction: bounds how long it keeps other writers waiting.
BATCH = 50
_ENDS = frozenset({"fax.sent", "fax.failed", "fax.uncertain", "fax.cancelled"})
_RECEIVED: Final = "fax.received"


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
        if not found:
            return 0
        try:
            with connection.begin_nested():
                self._route_all(connection, found)
        except (sa.exc.OperationalError, sa.exc.InterfaceError):
            raise  # the database itself is in trouble: nothing of this batch may count
        except Exception:  # noqa: BLE001  told below, of the event whose fault it is
            self._route_each(connection, found)
        return len(found)

    def _route_each(self, connection: sa.Connection, found: Sequence[sa.Row[Any]]) -> None:
        """Route events one by one: a lane's fault in one must not hold up the others."""
        for row in found:
            try:
                with connection.begin_nested():
                    self._route_all(connection, [row])
            except (sa.exc.OperationalError, sa.exc.InterfaceError):
                raise
            except Exception:
                self._broken.add(row.id)
                log.exception("an event cannot be routed", row=row.id, fax=row.fax_id, kind=row.kind)

    def _route_all(self, connection: sa.Connection, found: Sequence[sa.Row[Any]]) -> None:
        now = self._clock()
        concerned = _by_id(connection, _FAXES, {row.fax_id for row in found})
        asked = _by_id(connection, _SUBMISSIONS, {one.submission_id for one in concerned.values()} - {None})
        rows: list[dict[str, Any]] = []
        for row in found:
            fax = concerned[row.fax_id]
            for lane in self._lanes:
                known = (row, fax, asked.get(fax.submission_id))
                posts = lane.read(connection, *known) if isinstance(lane, ReadingLane) else lane.routes(*known)
                rows += [deliveries.row_of(self._ids, lane.name, fax.id, row.id, one, now) for one in posts]
            if row.kind not in _ENDS and row.kind != _RECEIVED:
                continue
            deliveries.write(connection, rows)  # what follows looks at them
            rows.clear()
            if row.kind == _RECEIVED:
                moved = fax.id  # a number without a mailbox delivers to nobody
            else:
                deliveries.withdraw(connection, fax.id, now)
                moved = fax.passes_on  # a machine of ours has it, or will not
            if moved is not None:
                deliveries.settle(connection, self._ids, moved, now)
                concerned |= _by_id(connection, _FAXES, {moved} & concerned.keys())
        deliveries.write(connection, rows)
        connection.execute(_ROUTED, {"ones": [row.id for row in found]})


def _by_id(connection: sa.Connection, query: sa.Select[Any], wanted: Collection[int]) -> dict[int, sa.Row[Any]]:
    if not wanted:
        return {}
    return {row.id: row for row in connection.execute(query, {"ones": list(wanted)})}


_ones: Final[sa.BindParameter[Any]] = sa.bindparam("ones", expanding=True)
_FAXES: Final = sa.select(fax).where(fax.c.id.in_(_ones))
_SUBMISSIONS: Final = sa.select(submission).where(submission.c.id.in_(_ones))
_ROUTED: Final = event.update().where(event.c.id.in_(_ones)).values(routed=True)
