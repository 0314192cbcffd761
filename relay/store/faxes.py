"""A fax's rows: how it comes into being, how it moves, what is told of it.

:func:`move` is the only writer of ``fax.state``. Each change leaves an ``event`` row in the same transaction: the
events of a fax, in the order of their ``seq``, are its history, and the unrouted ones among them feed the outbox.
All functions run inside a caller's transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from relay import fax as life
from relay import hours
from relay.errors import Erased, IllegalMove, LostClaim, NotFound
from relay.fax import Direction, Inbound, Outbound
from relay.store import lanes
from relay.store.engine import Topic, announce
from relay.store.tables import audit, event, fax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.ids import IdSource

#: Moves that the relay's own vocabulary has an event for, beside ``fax.<state>``.
_SPECIAL: dict[tuple[life.State, life.State], str] = {
    (Outbound.DIALING, Outbound.QUEUED): "fax.attempt_failed",
    (Outbound.HELD, Outbound.PREPARING): "fax.released",
    (Outbound.HELD, Outbound.QUEUED): "fax.released",
    (Outbound.HELD, Outbound.FAILED): "fax.refused",
}
#: The kind of the event that tells that a fax's documents were erased.
ERASED: Final = "fax.erased"
#: Events that nobody outside is told of.
_INTERNAL = frozenset({"fax.preparing", "fax.receiving", "fax.reading"})

_ONE: Final = sa.select(fax).where(fax.c.id == sa.bindparam("one"))
_LOCKED: Final = _ONE.with_for_update()
_HISTORY: Final = sa.select(event).where(event.c.fax_id == sa.bindparam("of_fax")).order_by(event.c.seq)


def get(connection: sa.Connection, fax_id: int, *, lock: bool = False) -> sa.Row[Any]:
    """Return a fax's row; raises :class:`NotFound`, its kind :class:`Erased` for one that was here.

    ``lock``: until the transaction ends.
    """
    row = connection.execute(_LOCKED if lock else _ONE, {"one": fax_id}).first()
    if row is None:
        left = connection.execute(sa.select(audit).where(audit.c.fax_id == fax_id)).first()
        if left is not None:
            raise Erased(_told_of_erased(left))
        raise NotFound(f"there is no fax {fax_id}; `faxrelay fax list` shows those there are")
    return row


def _told_of_erased(left: sa.Row[Any]) -> str:
    ended, erased = (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") for at in (left.ended_at, left.rows_erased_at)
    )
    return f"fax {left.fax_id} was erased on {erased} by {left.erased_by}; it ended as {left.outcome} on {ended}"


def create(connection: sa.Connection, ids: IdSource, values: Mapping[str, Any], *, reason: str) -> int:
    """Insert a fax in its first state and return its id. ``values``: columns of ``fax``, ``created_at`` among them."""
    fax_id = ids()
    create_all(connection, ids, [{**values, "id": fax_id, "reason": reason}])
    return fax_id


def create_all(connection: sa.Connection, ids: IdSource, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert faxes of the same columns, ``id``, ``reason`` and ``created_at`` among them, in their first state."""
    if not rows:
        return
    firsts = [Outbound.ACCEPTED if row["direction"] == Direction.OUTBOUND.value else Inbound.RECEIVING for row in rows]
    connection.execute(
        fax.insert(),
        [
            {**row, "state": first.value, "updated_at": row["created_at"]}
            for row, first in zip(rows, firsts, strict=True)
        ],
    )
    events = [
        _event(ids, row["id"], row["created_at"], f"fax.{first.value}", after=first.value, reason=row["reason"])
        for row, first in zip(rows, firsts, strict=True)
    ]
    connection.execute(event.insert(), [{**one, "seq": 1} for one in events])
    _announce(connection, routed=all(one["routed"] for one in events))


def move(
    connection: sa.Connection,
    ids: IdSource,
    fax_id: int,
    after: life.State,
    *,
    at: float,
    reason: str,
    fence: int | None = None,
    detail: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Move a fax to ``after`` and write its event; ``changes`` are further columns to set with it.

    A fax that is queued is due no earlier than its sender asked for (``settings.earliest``) and than its hours of
    sending begin, whoever queues it.
    Raises :class:`IllegalMove` and changes nothing where the table has no such move, :class:`LostClaim` where
    ``fence`` is given and no longer the row's.
    """
    row = get(connection, fax_id, lock=True)
    before = life.state(Direction(row.direction), row.state)
    life.check(before, after)
    if fence is not None and row.fence != fence:
        raise LostClaim(f"fax {fax_id} is in other hands")
    changed = dict(changes or {})
    if after is Outbound.QUEUED:
        asked = changed.get("not_before", row.not_before)
        due = changed["not_before"] = hours.opening(row.settings, max(asked, row.settings.get("earliest", 0.0)))
        if due > max(asked, at):
            reason = "; ".join(filter(None, (reason, hours.told(row.settings, due))))
            detail = {**(detail or {}), "waits_until": due}
    done = connection.execute(
        fax.update()
        .where(fax.c.id == fax_id, fax.c.state == before.value)
        .values({**_left(before), **changed, "state": after.value, "reason": reason, "updated_at": at})
    )
    if done.rowcount != 1:
        raise IllegalMove(f"fax {fax_id} has left {before.value} meanwhile")
    if after is Outbound.QUEUED:
        lanes.open_lane(connection, row.number, row.priority, changed["not_before"])
        announce(connection, Topic.DIAL)
    kind = _SPECIAL.get((before, after), f"fax.{after.value}")
    _tell(connection, ids, fax_id, at, kind, before=before.value, after=after.value, reason=reason, detail=detail)


def postpone(connection: sa.Connection, ids: IdSource, row: sa.Row[Any], until: float, *, at: float) -> None:
    """Let a queued fax wait whose hours of sending ended before there was a channel for it."""
    reason = hours.told(row.settings, until)
    still = sa.and_(fax.c.id == row.id, fax.c.state == Outbound.QUEUED.value)
    connection.execute(fax.update().where(still).values(not_before=until, reason=reason, updated_at=at))
    note(connection, ids, row.id, "fax.waiting", at=at, reason=reason, detail={"waits_until": until})


def note(
    connection: sa.Connection,
    ids: IdSource,
    fax_id: int,
    kind: str,
    *,
    at: float,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
    outside: bool = False,
) -> None:
    """Write an event that is no move (``fax.ringing``, ``fax.page_confirmed``): history, told to nobody ``outside``."""
    _tell(connection, ids, fax_id, at, kind, reason=reason, detail=detail, routed=not outside)


def history(connection: sa.Connection, fax_id: int) -> list[sa.Row[Any]]:
    """Return a fax's events in order."""
    return list(connection.execute(_HISTORY, {"of_fax": fax_id}))


def request_cancel(connection: sa.Connection, ids: IdSource, fax_id: int, *, at: float, who: str) -> bool:
    """Cancel a fax, or ask for it where a call is going on; return whether it is cancelled already.

    Raises :class:`IllegalMove` where the fax has ended.
    """
    row = get(connection, fax_id, lock=True)
    where = life.state(Direction(row.direction), row.state)
    if life.terminal(where) or isinstance(where, Inbound):
        raise IllegalMove(f"fax {fax_id} is {where.value}: there is nothing left to cancel")
    if where is Outbound.DIALING:
        connection.execute(fax.update().where(fax.c.id == fax_id).values(cancel_requested=True, updated_at=at))
        announce(connection, Topic.CANCEL)
        return False
    move(connection, ids, fax_id, Outbound.CANCELLED, at=at, reason=f"cancelled by {who}")
    return True


def _left(before: life.State) -> dict[str, Any]:
    """Return what a fax gives back when it leaves ``before``: a lease belongs to one state."""
    if before is Outbound.DIALING:
        return {"slot": None, "lease_owner": None, "lease_until": None}
    return {"lease_owner": None, "lease_until": None}


def _tell(connection: sa.Connection, ids: IdSource, fax_id: int, at: float, kind: str, **told: Any) -> None:
    row = _event(ids, fax_id, at, kind, **told)
    connection.execute(_NEXT_EVENT, {**row, "of_fax": fax_id})
    _announce(connection, routed=row["routed"])


def _event(
    ids: IdSource,
    fax_id: int,
    at: float,
    kind: str,
    *,
    before: str | None = None,
    after: str | None = None,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
    routed: bool = False,
) -> dict[str, Any]:
    """Return an event's row without its ``seq``."""
    return {
        "id": ids(), "fax_id": fax_id, "at": at, "kind": kind, "before": before, "after": after, "reason": reason,
        "detail": detail and dict(detail), "routed": routed or kind in _INTERNAL,
    }  # fmt: skip


def _announce(connection: sa.Connection, *, routed: bool) -> None:
    announce(connection, Topic.PROGRESS)
    if not routed:
        announce(connection, Topic.OUTBOX)


#: An event behind those that its fax (``of_fax``) has.
_NEXT_EVENT: Final = event.insert().values(
    seq=sa.select(sa.func.coalesce(sa.func.max(event.c.seq), 0) + 1)
    .where(event.c.fax_id == sa.bindparam("of_fax"))
    .scalar_subquery()
)


def check_resend(row: sa.Row[Any]) -> None:
    """Raise :class:`IllegalMove` unless the fax is one that a person may send again."""
    if row.direction != Direction.OUTBOUND.value:
        raise IllegalMove(f"fax {row.id} was received: only a fax that was sent from here can be sent again")
    if not life.terminal(Outbound(row.state)):
        raise IllegalMove(f"fax {row.id} is {row.state}: it can be sent again when it has ended")
    if row.document_id is None:
        raise IllegalMove(f"fax {row.id} was refused before it had a document: send it anew")
