"""Claims by target: of a lane whose targets must not delay each other, however much waits for one of them.

Each target has a row with ``due_at``, a lower bound: nothing for it is due earlier; none: nothing waits. A claim looks
at the targets with the least ``due_at`` and takes one delivery of each, so that it costs the same whether one delivery
waits or a million, and a target that does not answer holds up no other. All functions run inside a caller's
transaction.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from relay.store.queue import Claim
from relay.store.tables import delivery, target

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from relay.store.queue import Lease

#: The lanes that are claimed by target.
LANES: Final = frozenset({"callback"})
#: Targets whose last delivery failed that one claim takes: many that time out together come back a few at a time, and
#: those that answer go between them.
FAILING: Final = 8


def _open(dialect: Any) -> Any:
    row = dialect.insert(target)
    earlier = sa.or_(target.c.due_at.is_(None), target.c.due_at > row.excluded.due_at)
    keys = [target.c.lane, target.c.name]
    return row.on_conflict_do_update(index_elements=keys, set_={"due_at": row.excluded.due_at}, where=earlier)


_OPEN: Final = {"postgresql": _open(postgresql), "sqlite": _open(sqlite)}


def open_target(connection: sa.Connection, lane: str, name: str, due_at: float) -> None:
    """Note that something for a target is due at ``due_at``; nothing to do for a lane that is not claimed so."""
    open_targets(connection, [(lane, name, due_at)])


def open_targets(connection: sa.Connection, due: Iterable[tuple[str, str, float]]) -> None:
    """Note that something is due, for each lane, target and time; those of other lanes are passed over.

    In one order, so that two transactions which open the same targets wait for each other and do not lock up.
    """
    opened = [{"lane": lane, "name": name, "due_at": at} for lane, name, at in sorted(due) if lane in LANES]
    if opened:
        connection.execute(_OPEN[connection.dialect.name], opened)


def claim(
    connection: sa.Connection,
    lane: str,
    lease: Lease,
    now: float,
    skip: Collection[str],
    limit: int,
    given: int = 0,
) -> list[Claim]:
    """Claim the first due delivery of each of up to ``limit`` targets that are not held and not in ``skip``.

    ``given``: how many the caller has claimed before. Of all its claims every eighth (:data:`FAILING`) is for a target
    whose last delivery failed, also where a full lane frees its places one at a time.
    Nothing is returned only where nothing is due: targets whose ``due_at`` was too low are passed.
    """
    claims: list[Claim] = []
    passed = set(skip)
    well, failing = _DUE[connection.dialect.name]
    while not claims:
        here = {"of_lane": lane, "at": now, "passed": json.dumps(list(passed))}
        good = connection.execute(well, {**here, "most": limit}).scalars().all()
        bad = connection.execute(failing, {**here, "most": min(limit, FAILING)}).scalars().all()
        turns = (given + limit) // FAILING - given // FAILING
        share = min(len(bad), turns)  # however many answer, those that failed have their turns
        names = [*good[: limit - share], *bad][:limit]
        if not names:
            break
        claims = [one for name in names if (one := _claim(connection, lane, name, lease, now)) is not None]
        passed.update(names)
    return claims


def _claim(connection: sa.Connection, lane: str, name: str, lease: Lease, now: float) -> Claim | None:
    row = connection.execute(_HEAD, {"of_lane": lane, "of_target": name, "at": now}).first()
    if row is None:
        _settle(connection, lane, name, now)
        return None
    taken = {"one": row.id, "fence": row.fence + 1, "attempts": row.attempts + 1, **lease.values(now)}
    connection.execute(_TAKE, taken)
    # Behind all other targets that are due now: what waits for one must not keep the rest waiting.
    connection.execute(_NEXT, {"of_lane": lane, "of_target": name, "at": now})
    return Claim(row.id, row.fence + 1, row)


def _due(words: Callable[..., Any]) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return the queries for targets that may have something due: those whose last delivery went well, and others.

    ``words``: the database's function that gives the texts of a JSON array as rows.
    """
    passed = sa.select(words(sa.cast(sa.bindparam("passed"), sa.Text)).table_valued("value").c.value)
    query = (
        sa.select(target.c.name)
        .where(
            target.c.lane == sa.bindparam("of_lane"),
            target.c.due_at <= sa.bindparam("at"),
            target.c.suspended_at.is_(None),
            target.c.name.not_in(passed),
        )
        .order_by(target.c.due_at, target.c.name)
        .limit(sa.bindparam("most"))
        .with_for_update(skip_locked=True, of=target)
    )
    none: sa.ColumnClause[Any] = sa.literal_column("0")  # as the indexes have it
    return query.where(target.c.failures == none), query.where(target.c.failures > none)


#: By the dialect. The targets to be passed are one parameter: some hundreds would make a new statement each time.
_DUE: Final = {
    "sqlite": _due(sa.func.json_each),
    "postgresql": _due(lambda array: sa.func.json_array_elements_text(sa.cast(array, sa.JSON))),
}
_TAKE: Final = (
    delivery.update()
    .where(delivery.c.id == sa.bindparam("one"))
    .values({key: sa.bindparam(key) for key in ("fence", "attempts", "lease_owner", "lease_until")})
)
_elder = delivery.alias("elder")
_is_due = delivery.c.state == sa.literal_column("'due'")
_unblocked = ~sa.exists().where(
    _elder.c.lane == delivery.c.lane,
    _elder.c.order_key == delivery.c.order_key,
    _elder.c.state == sa.literal_column("'due'"),
    _elder.c.id < delivery.c.id,
)
_of_target = sa.and_(delivery.c.lane == sa.bindparam("of_lane"), delivery.c.target == sa.bindparam("of_target"))
_HEAD: Final[sa.Select[Any]] = (
    sa.select(delivery)
    .where(
        _of_target,
        _is_due,
        delivery.c.not_before <= sa.bindparam("at"),
        sa.or_(delivery.c.lease_until.is_(None), delivery.c.lease_until < sa.bindparam("at")),
        _unblocked,
    )
    .order_by(delivery.c.not_before, delivery.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_leased = sa.and_(delivery.c.lease_until.is_not(None), delivery.c.lease_until >= sa.bindparam("at"))
_ready_at = sa.case((_leased, delivery.c.lease_until), else_=delivery.c.not_before)
_EARLIEST: Final = sa.select(sa.func.min(_ready_at)).where(_of_target, _is_due, _unblocked)
#: The lesser of two times: when the first that nobody works on is ready, and when the first lease ends, as its holder
#: may have died. A lease counts only where its row stands before the first free one: any other row is ready no earlier
#: than that. So the rows that are looked at are those held and one more, however many wait; what an elder blocks is
#: looked at in vain once, and corrected then.
_free = (
    sa.select(delivery.c.not_before)
    .where(_of_target, _is_due, sa.or_(delivery.c.lease_until.is_(None), delivery.c.lease_until < sa.bindparam("at")))
    .order_by(delivery.c.not_before, delivery.c.id)
    .limit(1)
    .scalar_subquery()
)
_first = sa.select(_free.label("ready")).subquery("first")
_free_at = sa.case((_first.c.ready < sa.bindparam("at"), sa.bindparam("at")), else_=_first.c.ready)
_held = sa.select(sa.func.min(delivery.c.lease_until).label("ready")).where(
    _of_target, _is_due, _leased, delivery.c.not_before < sa.func.coalesce(_free, sa.literal_column("1e300"))
)
_ready = sa.union_all(sa.select(_free_at.label("ready")), _held).subquery("ready")  # least() of SQLite minds NULL
_next = sa.select(sa.func.min(_ready.c.ready)).scalar_subquery()
_row = sa.and_(target.c.lane == sa.bindparam("of_lane"), target.c.name == sa.bindparam("of_target"))
_NEXT: Final = target.update().where(_row).values(due_at=_next)
_LOCK: Final = sa.select(target.c.name).where(_row).with_for_update()


def settle(connection: sa.Connection, lane: str, name: str, now: float) -> None:
    """Set ``due_at`` of a target one of whose deliveries has ended or waits; nothing to do for another lane."""
    if lane not in LANES:
        return
    here = {"of_lane": lane, "of_target": name}
    if connection.dialect.name == "postgresql":  # what is posted meanwhile is seen by the statement behind the lock
        connection.execute(_LOCK, here)
    connection.execute(_NEXT, {**here, "at": now})


def _settle(connection: sa.Connection, lane: str, name: str, now: float) -> None:
    """Correct ``due_at`` of a target that had nothing to give. What an elder blocks is opened by the elder's end."""
    earliest = connection.execute(_EARLIEST, {"of_lane": lane, "of_target": name, "at": now}).scalar()
    if earliest is None or earliest > now:
        connection.execute(target.update().where(target.c.lane == lane, target.c.name == name).values(due_at=earliest))
