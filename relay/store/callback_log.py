"""The log of callbacks: a line for each call, written in the transaction that ends it; searched, and dropped by age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from relay.store.tables import callback_call, delivery, target

if TYPE_CHECKING:
    from relay.ids import IdSource

LANE: Final = "callback"
#: Bytes of an answer that the log keeps.
KEPT: Final = 4096

#: What a result adds to the calls that were taken and to those that were not.
_COUNTS: Final = {"done": (1, 0), "retry": (0, 1), "failed": (0, 1)}
_WRITE: Final = callback_call.insert()
_COUNT: Final = (
    target.update()
    .where(target.c.lane == LANE, target.c.name == sa.bindparam("of_name"))
    .values(
        sent=target.c.sent + sa.bindparam("good"),
        failed=target.c.failed + sa.bindparam("bad"),
        seconds=target.c.seconds + sa.bindparam("took"),
    )
)


@dataclass(frozen=True, slots=True)
class Called:
    """One call: what the log keeps of it. ``seconds``: how long it took; ``status``: ``None`` where no answer came."""

    status: int | None
    seconds: float
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are looked for: each that is given must fit. ``since`` and ``until``: seconds since 1970."""

    endpoint: str | None = None
    kind: str | None = None
    result: str | None = None
    fax_id: int | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint stands. ``held``: deliveries that wait; ``oldest``: when the oldest of them was made.

    ``sent`` and ``failed`` count calls, ``seconds`` is how long they took together.
    """

    name: str
    failures: int
    suspended_at: float | None
    suspended_why: str
    sent: int
    failed: int
    seconds: float
    held: int
    oldest: float | None


def write(
    connection: sa.Connection, ids: IdSource, row: Any, attempt: int, called: Called, result: str, now: float
) -> int:
    """Write a line, and count it for its endpoint; return its id. ``row``: of the delivery; ``result``: done, ..."""
    text = called.body[:KEPT].decode("utf-8", "replace").replace("\x00", "\ufffd")
    call_id = ids()
    line = {
        "id": call_id, "delivery_id": row.id, "endpoint": row.target, "kind": row.kind, "fax_id": row.fax_id,
        "attempt": attempt, "at": now, "seconds": called.seconds, "status": called.status, "reason": called.reason,
        "body": text, "result": result,
    }  # fmt: skip
    connection.execute(_WRITE, line)
    counts = _COUNTS.get(result)
    if counts is not None:  # a test counts for nothing
        good, bad = counts
        connection.execute(_COUNT, {"of_name": row.target, "good": good, "bad": bad, "took": called.seconds})
    return call_id


def search(connection: sa.Connection, wanted: Wanted, limit: int) -> list[sa.Row[Any]]:
    """Return lines, the newest first."""
    query = sa.select(callback_call).order_by(callback_call.c.id.desc()).limit(limit)
    for column, value in (
        (callback_call.c.endpoint, wanted.endpoint),
        (callback_call.c.kind, wanted.kind),
        (callback_call.c.result, wanted.result),
        (callback_call.c.fax_id, wanted.fax_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(callback_call.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(callback_call.c.at < wanted.until)
    return list(connection.execute(query))


def standings(connection: sa.Connection) -> list[Standing]:
    """Return how each endpoint stands that was ever told something, by its name."""
    due = sa.and_(delivery.c.lane == LANE, delivery.c.state == "due")
    waiting = sa.select(delivery.c.target, sa.func.count(), sa.func.min(delivery.c.created_at)).where(due)
    held = {name: (count, oldest) for name, count, oldest in connection.execute(waiting.group_by(delivery.c.target))}
    rows = connection.execute(sa.select(target).where(target.c.lane == LANE).order_by(target.c.name))
    return [
        Standing(
            one.name, one.failures, one.suspended_at, one.suspended_why or "", one.sent, one.failed, one.seconds,
            *held.get(one.name, (0, None)),
        )
        for one in rows
    ]  # fmt: skip


def report(connection: sa.Connection, since: float, until: float) -> list[sa.Row[Any]]:
    """Return the calls of a time, counted by endpoint, event and result, with their mean seconds."""
    columns = (callback_call.c.endpoint, callback_call.c.kind, callback_call.c.result)
    query = sa.select(*columns, sa.func.count().label("calls"), sa.func.avg(callback_call.c.seconds).label("seconds"))
    within = sa.and_(callback_call.c.at >= since, callback_call.c.at < until)
    return list(connection.execute(query.where(within).group_by(*columns).order_by(*columns)))


def drop(connection: sa.Connection, before: float) -> int:
    """Delete the lines from before a time; return how many."""
    return connection.execute(callback_call.delete().where(callback_call.c.at < before)).rowcount
