"""Fair share: a row for each (number, priority) that has queued faxes, so that claiming never scans the backlog.

A *lane* holds the queued faxes of one sending number at one priority. Lanes are served by priority, then by
``served``, the count of calls divided by the number's weight: the least served goes first (start-time fair queueing).
``due_at`` is a lower bound: nothing in the lane is due earlier; a lane whose ``due_at`` is none holds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from relay.store.tables import fax, queue_lane

if TYPE_CHECKING:
    from collections.abc import Iterator


def open_lane(connection: sa.Connection, number: str, priority: int, due_at: float) -> None:
    """Note that the lane has a fax that is due at ``due_at``.

    A lane that was idle starts level with the least served of the others: it has no claim on the time it did not use.
    """
    here = sa.and_(queue_lane.c.number == number, queue_lane.c.priority == priority)
    _make(connection, number, priority)
    row = connection.execute(sa.select(queue_lane).where(here).with_for_update()).one()
    if row.due_at is None:
        level = sa.select(sa.func.coalesce(sa.func.min(queue_lane.c.served), 0.0)).where(
            queue_lane.c.priority == priority, queue_lane.c.due_at.is_not(None)
        )
        least = connection.execute(level).scalar_one()
        connection.execute(queue_lane.update().where(here).values(served=max(row.served, least), due_at=due_at))
    elif due_at < row.due_at:
        connection.execute(queue_lane.update().where(here).values(due_at=due_at))


def _make(connection: sa.Connection, number: str, priority: int) -> None:
    """Insert the lane's row unless it is there: two transactions may both be the first."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(queue_lane).values(number=number, priority=priority, served=0.0)
    connection.execute(row.on_conflict_do_nothing())


def due_lanes(connection: sa.Connection, now: float) -> Iterator[sa.Row[Any]]:
    """Yield the lanes that may have something due, in the order in which they should be served."""
    query = (
        sa.select(queue_lane)
        .where(queue_lane.c.due_at <= now)
        .order_by(queue_lane.c.priority.desc(), queue_lane.c.served, queue_lane.c.number)
    )
    yield from connection.execute(query)


def head(
    connection: sa.Connection, lane: sa.Row[Any], now: float, may_go: sa.ColumnElement[bool]
) -> sa.Row[Any] | None:
    """Return the lane's first due fax that ``may_go`` and whose peer has a free slot, locked; ``None`` without one."""
    other = fax.alias("other")
    busy = (
        sa.select(sa.func.count())
        .select_from(other)
        .where(other.c.peer == fax.c.peer, other.c.state == sa.literal_column("'dialing'"))
        .scalar_subquery()
    )
    query = (
        sa.select(fax)
        .where(*_in_lane(lane), fax.c.not_before <= now, busy < fax.c.peer_slots, may_go)
        .order_by(fax.c.not_before, fax.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(query).first()


def charge(connection: sa.Connection, lane: sa.Row[Any], weight: float) -> None:
    """Count one call for the lane; a number of weight 2 is charged half."""
    connection.execute(_this(lane).values(served=queue_lane.c.served + 1.0 / weight))


def settle(connection: sa.Connection, lane: sa.Row[Any], now: float) -> None:
    """Correct ``due_at`` of a lane that had no fax to give: to its earliest fax, or to none.

    A fax that is due but whose peer or whose trunks are busy keeps the lane open. The row is locked before its faxes
    are looked at, so that a fax which another transaction queues meanwhile opens the lane again after us.
    """
    connection.execute(sa.select(queue_lane).where(*_is(lane)).with_for_update())
    earliest = connection.execute(sa.select(sa.func.min(fax.c.not_before)).where(*_in_lane(lane))).scalar()
    if earliest is None or earliest > now:
        connection.execute(_this(lane).values(due_at=earliest))


def _in_lane(lane: sa.Row[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    queued = fax.c.state == sa.literal_column("'queued'")
    return (queued, fax.c.number == lane.number, fax.c.priority == lane.priority)


def _this(lane: sa.Row[Any]) -> sa.Update:
    return queue_lane.update().where(*_is(lane))


def _is(lane: sa.Row[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    return (queue_lane.c.number == lane.number, queue_lane.c.priority == lane.priority)
