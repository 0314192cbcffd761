"""The rows of the outbox: deliveries and their targets, written inside a caller's transaction.

A received fax becomes ``delivered`` or ``undeliverable`` here, in the transaction that ends the delivery which
decides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from relay.errors import LostClaim, NotFound
from relay.fax import Inbound, Outbound, terminal
from relay.outbox import mails
from relay.outbox.lane import Deferred, Delivered, Outcome, Post, Skipped, State, Verdict
from relay.store import faxes, queue, targets
from relay.store.engine import Topic, announce
from relay.store.tables import RECEIVED_FAX, delivery, event, fax, target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relay.ids import IdSource

_POST: Final = delivery.insert()
_CONCLUDE: Final = (
    delivery.update()
    .where(delivery.c.id == sa.bindparam("one"), delivery.c.fence == sa.bindparam("held"))
    .values(
        lease_owner=None, lease_until=None, state=sa.bindparam("to_state"), answer=sa.bindparam("said"),
        not_before=sa.bindparam("due"), ended_at=sa.bindparam("at"),
    )
)  # fmt: skip
_named = sa.and_(target.c.lane == sa.bindparam("of_lane"), target.c.name == sa.bindparam("of_name"))
_WELL: Final = target.update().where(_named, target.c.failures > 0).values(failures=0, warned_at=None)
_FAILED: Final = target.update().where(_named).values(failures=target.c.failures + 1)


@dataclass(frozen=True, slots=True)
class LaneState:
    """How a lane stands.

    ``oldest``: when the oldest delivery that is due was made; ``suspended``: targets that are held.
    """

    lane: str
    due: int
    oldest: float | None
    failed: int
    suspended: int


def post(
    connection: sa.Connection,
    ids: IdSource,
    lane: str,
    fax_id: int | None,
    event_id: int | None,
    posts: Iterable[Post],
    now: float,
) -> None:
    """Write deliveries that are due at once, or after the time that they name."""
    write(connection, [row_of(ids, lane, fax_id, event_id, one, now) for one in posts])


def row_of(ids: IdSource, lane: str, fax_id: int | None, event_id: int | None, one: Post, now: float) -> dict[str, Any]:
    """Return the row of a delivery, to be written by :func:`write`."""
    due = now + one.after
    return {
        "id": ids(), "lane": lane, "target": one.target, "order_key": one.order_key, "kind": one.kind,
        "fax_id": fax_id, "event_id": None if one.twin else event_id, "payload": dict(one.payload),
        "state": State.DUE.value, "not_before": due, "created_at": due,
    }  # fmt: skip


def write(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write deliveries in the order of their ids, with two statements for all."""
    if not rows:
        return
    connection.execute(_POST, rows)
    targets.open_targets(connection, ((row["lane"], row["target"], row["not_before"]) for row in rows))
    announce(connection, Topic.OUTBOX)


def withdraw(connection: sa.Connection, fax_id: int, now: float) -> None:
    """End what was made ahead of its time for a fax that has ended: nobody waits to hear that it takes long."""
    ahead = sa.and_(
        delivery.c.fax_id == fax_id, delivery.c.state == State.DUE.value, delivery.c.created_at > now,
        delivery.c.attempts == 0,
    )  # fmt: skip
    ended = {"state": State.DONE.value, "answer": "not sent: the fax has ended", "ended_at": now}
    connection.execute(delivery.update().where(ahead).values(ended))


def conclude(connection: sa.Connection, ids: IdSource, claim: queue.Claim, verdict: Verdict, now: float) -> None:
    """Write what an attempt came to; raises :class:`relay.errors.LostClaim` where the row is no longer ours."""
    ended = verdict.state is not State.DUE
    done = connection.execute(
        _CONCLUDE,
        {
            "one": claim.id, "held": claim.fence, "to_state": verdict.state.value, "said": verdict.answer,
            "due": now + verdict.pause, "at": now if ended else None,
        },
    )  # fmt: skip
    if done.rowcount != 1:
        raise LostClaim(f"delivery {claim.id} is in other hands")
    targets.settle(connection, claim.row.lane, claim.row.target, now)
    if ended:
        announce(connection, Topic.OUTBOX)  # its younger brothers of the same order key may go now
        if claim.row.kind == RECEIVED_FAX:
            detail = mails.told(claim.row.target, verdict.answer, claim.id)
            kind = mails.DELIVERED if verdict.state is State.DONE else mails.BOUNCED
            faxes.note(connection, ids, claim.row.fax_id, kind, at=now, detail=detail, outside=True)
            settle(connection, ids, claim.row.fax_id, now)


def count(connection: sa.Connection, lane: str, name: str, outcome: Outcome, limit: int | None, now: float) -> bool:
    """Count a target's failures in a row; suspend it at ``limit``, or where it asked for it.

    Return whether that happened now.
    """
    here = sa.and_(target.c.lane == lane, target.c.name == name)
    named = {"of_lane": lane, "of_name": name}
    if isinstance(outcome, Skipped):
        return False
    if isinstance(outcome, Delivered):
        connection.execute(_WELL, named)
        return False
    if connection.execute(_FAILED, named).rowcount == 0:
        try:
            with connection.begin_nested():
                connection.execute(target.insert().values(lane=lane, name=name, failures=1))
        except sa.exc.IntegrityError:  # another node has just made the row
            connection.execute(_FAILED, named)
    if limit is None and not (isinstance(outcome, Deferred) and outcome.terms is not None and outcome.terms.gone):
        return False
    gone = isinstance(outcome, Deferred) and outcome.terms is not None and outcome.terms.gone
    reached = sa.true() if gone else target.c.failures >= limit if limit is not None else sa.false()
    suspend = target.update().where(here, reached, target.c.suspended_at.is_(None))
    return connection.execute(suspend.values(suspended_at=now, suspended_why=outcome.reason)).rowcount == 1


def suspended(lane: str) -> sa.Select[tuple[str]]:
    """Select the names of the lane's targets whose deliveries are held."""
    return sa.select(target.c.name).where(target.c.lane == lane, target.c.suspended_at.is_not(None))


def suspend(connection: sa.Connection, lane: str, name: str, why: str, now: float) -> bool:
    """Hold what is for a target until somebody resumes it; return ``False`` where it is held already."""
    targets.open_target(connection, lane, name, now)
    here = sa.and_(target.c.lane == lane, target.c.name == name, target.c.suspended_at.is_(None))
    return connection.execute(target.update().where(here).values(suspended_at=now, suspended_why=why)).rowcount == 1


def resume(connection: sa.Connection, lane: str, name: str, now: float, per_second: float | None = None) -> int:
    """Let a suspended target's deliveries go, the oldest first; return how many were held. Raises :class:`NotFound`.

    ``per_second``: how many; all at once unless given.
    """
    here = sa.and_(target.c.lane == lane, target.c.name == name, target.c.suspended_at.is_not(None))
    values = {"failures": 0, "suspended_at": None, "suspended_why": None, "warned_at": None}
    if connection.execute(target.update().where(here).values(values)).rowcount == 0:
        raise NotFound(f"{lane} to {name} is not suspended")
    held = sa.and_(delivery.c.lane == lane, delivery.c.target == name, delivery.c.state == State.DUE.value)
    released = connection.execute(delivery.update().where(held).values(not_before=now)).rowcount
    if per_second is not None and released:
        waiting = connection.execute(sa.select(delivery.c.id).where(held).order_by(delivery.c.id)).scalars()
        paced = [{"one": one, "due": now + place / per_second} for place, one in enumerate(waiting)]
        by_id = delivery.update().where(delivery.c.id == sa.bindparam("one"))
        connection.execute(by_id.values(not_before=sa.bindparam("due")), paced)
    targets.open_target(connection, lane, name, now)
    announce(connection, Topic.OUTBOX)
    return released


def replay(connection: sa.Connection, ids: IdSource, delivery_id: int, now: float) -> int:
    """Deliver again what has ended, as a new delivery with the same payload; return its id. Raises :class:`NotFound`.

    It belongs to no event: an event is delivered once, a replay is a person's wish.
    """
    ended = sa.select(delivery).where(delivery.c.id == delivery_id, delivery.c.state != State.DUE.value)
    row = connection.execute(ended).first()
    if row is None:
        raise NotFound(f"there is no delivery {delivery_id} that has ended")
    new = ids()
    connection.execute(
        delivery.insert().values(
            id=new, lane=row.lane, target=row.target, order_key=row.order_key, kind=row.kind, fax_id=row.fax_id,
            payload=row.payload, state=State.DUE.value, not_before=now, created_at=now,
        )
    )  # fmt: skip
    targets.open_target(connection, row.lane, row.target, now)
    announce(connection, Topic.OUTBOX)
    return new


def settle(connection: sa.Connection, ids: IdSource, fax_id: int, now: float) -> None:
    """Move a received fax on: a mailbox or a machine of ours took it, or none is left that might."""
    row = faxes.get(connection, fax_id, lock=True)
    if row.state != Inbound.RECEIVED.value:
        return
    query = sa.select(delivery.c.state, delivery.c.target, delivery.c.answer).order_by(delivery.c.id)
    posts = list(connection.execute(query.where(delivery.c.fax_id == fax_id, delivery.c.kind == RECEIVED_FAX)))
    taken = [one.target for one in posts if one.state == State.DONE.value]
    passed = list(connection.execute(sa.select(fax.c.state, fax.c.peer_written).where(fax.c.passes_on == fax_id)))
    printed = [one.peer_written for one in passed if one.state == Outbound.SENT.value]
    if taken or printed:
        reason = f"mailed to {taken[0]}" if taken else f"printed by {printed[0]}"
        faxes.move(connection, ids, fax_id, Inbound.DELIVERED, at=now, reason=reason)
    elif any(not terminal(Outbound(one.state)) for one in passed):
        return
    elif passed and not posts:
        reason = f"the machine {passed[-1].peer_written} did not take it; its pages stay in the store"
        faxes.move(connection, ids, fax_id, Inbound.UNDELIVERABLE, at=now, reason=reason)
    elif not posts:
        reason = f"no mailbox is named for {row.number} (deliver_to); its pages stay in the store"
        faxes.move(connection, ids, fax_id, Inbound.UNDELIVERABLE, at=now, reason=reason)
    elif all(one.state == State.FAILED.value for one in posts):
        reason = f"no mailbox took it; {posts[-1].target} was answered: {posts[-1].answer}"
        faxes.move(connection, ids, fax_id, Inbound.UNDELIVERABLE, at=now, reason=reason)


def states(connection: sa.Connection) -> list[LaneState]:
    """Return how each lane stands, for metrics and health."""
    due, failed = delivery.c.state == State.DUE.value, delivery.c.state == State.FAILED.value
    waiting = {
        lane: (count, oldest)
        for lane, count, oldest in connection.execute(
            sa.select(delivery.c.lane, sa.func.count(), sa.func.min(delivery.c.created_at))
            .where(due)
            .group_by(delivery.c.lane)
        )
    }
    lost = _by_lane(connection, sa.select(delivery.c.lane, sa.func.count()).where(failed).group_by(delivery.c.lane))
    held = _by_lane(
        connection,
        sa.select(target.c.lane, sa.func.count()).where(target.c.suspended_at.is_not(None)).group_by(target.c.lane),
    )
    return [
        LaneState(lane, *waiting.get(lane, (0, None)), lost.get(lane, 0), held.get(lane, 0))
        for lane in sorted(waiting.keys() | lost.keys() | held.keys())
    ]


def oldest_unrouted(connection: sa.Connection) -> tuple[int, float | None]:
    """Return how many events have no deliveries yet, and when the oldest of them happened."""
    query = sa.select(sa.func.count(), sa.func.min(event.c.at)).where(event.c.routed.is_(sa.false()))
    count, oldest = connection.execute(query).one()
    return count, oldest


def _by_lane(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, int]:
    return {lane: count for lane, count in connection.execute(query)}  # noqa: C416  rows are not tuples to a type checker
