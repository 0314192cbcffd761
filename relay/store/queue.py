"""Claims: who works on which row, until when, and how a successor is kept apart from a worker that was too slow.

A claim is a lease with a fencing number. The holder renews it; when the lease runs out another may claim the row,
whose ``fence`` grows, and the first holder's commit then raises :class:`LostClaim`. A call's lease that ran out is
never a reason to dial again: :mod:`relay.outbound.recovery` reads the call's journal first.

Rows are chosen with ``FOR UPDATE SKIP LOCKED`` (PostgreSQL); on SQLite, whose only writer is one thread, SQLAlchemy
leaves that out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from relay import hours
from relay.errors import LostClaim
from relay.fax import Inbound, Outbound
from relay.store import faxes, lanes, routes
from relay.store.tables import attempt, channel, delivery, document, fax, target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.ids import IdSource
    from relay.store.engine import Store

log = structlog.get_logger()


#: The advisory lock that claims of calls take on PostgreSQL.
_CLAIMING = 0x666178
#: Faxes of one lane that one claim puts off when their hours end: bounds how long it keeps other writers waiting.
POSTPONED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of ours until the lease ends: its id, the fencing number, and the row as it was claimed."""

    id: int
    fence: int
    row: sa.Row[Any]


@dataclass(frozen=True, slots=True)
class Lease:
    """Who claims, and for how many seconds."""

    owner: str
    seconds: float = 60.0

    def values(self, now: float) -> dict[str, Any]:
        """Return the columns of a claim made at ``now``."""
        return {"lease_owner": self.owner, "lease_until": now + self.seconds}


@dataclass(frozen=True, slots=True)
class CallClaim:
    """A fax that may be dialled now, on a channel that is reserved for it; its attempt is written already."""

    fax: Claim
    attempt: int
    ordinal: int
    trunk: str
    position: int


def claim_document(connection: sa.Connection, lease: Lease, now: float) -> Claim | None:
    """Claim the oldest document that is still to be made."""
    unmade = sa.and_(document.c.blob.is_(None), document.c.refusal.is_(None))
    return _claim(connection, document, sa.and_(unmade, document.c.not_before <= now), document.c.id, lease, now)


def claim_reading(connection: sa.Connection, lease: Lease, now: float) -> Claim | None:
    """Claim the oldest document of a received fax whose words are to be read."""
    waiting = sa.select(fax.c.document_id).where(fax.c.state == Inbound.READING.value)
    ready = sa.and_(document.c.id.in_(waiting), document.c.not_before <= now)
    return _claim(connection, document, ready, document.c.id, lease, now)


def claim_delivery(
    connection: sa.Connection, lane: str, lease: Lease, now: float, suspended: sa.Select[Any]
) -> Claim | None:
    """Claim the first delivery of ``lane`` that is due, whose elders of the same order key are gone.

    ``suspended``: selects the targets whose deliveries are held.
    """
    elder = delivery.alias("elder")
    blocked = sa.exists().where(
        elder.c.lane == delivery.c.lane,
        elder.c.order_key == delivery.c.order_key,
        elder.c.state == sa.literal_column("'due'"),
        elder.c.id < delivery.c.id,
    )
    due = sa.and_(
        delivery.c.lane == lane,
        delivery.c.state == sa.literal_column("'due'"),
        delivery.c.not_before <= now,
        delivery.c.target.not_in(suspended),
        ~blocked,
    )
    return _claim(connection, delivery, due, delivery.c.not_before, lease, now)


def claim_call(
    connection: sa.Connection, ids: IdSource, lease: Lease, trunks: Mapping[str, float], now: float
) -> CallClaim | None:
    """Claim the next fax to dial with a free channel for it, and write its attempt; ``None`` if nothing can start now.

    ``trunks``: name -> seconds until the next try, written before the call, should this process die in it.
    """
    if connection.dialect.name == "postgresql":  # one claim at a time: two that lock lanes in turn would meet crosswise
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CLAIMING)))
    idle = sa.and_(channel.c.fax_id.is_(None), channel.c.enabled, channel.c.trunk.in_(list(trunks)))
    free = set(connection.execute(sa.select(channel.c.trunk).where(idle).distinct()).scalars())
    if not free:
        return None
    may_go = routes.may_go(connection, free)
    for lane in lanes.due_lanes(connection, now):
        chosen = _head(connection, ids, lane, now, may_go)
        if chosen is None:
            lanes.settle(connection, lane, now)
            continue
        trunk = routes.first_open(chosen.route, free)
        place = connection.execute(
            sa.select(channel)
            .where(idle, channel.c.trunk == trunk)
            .order_by(channel.c.position)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).first()
        if place is None:
            continue
        try:
            with connection.begin_nested():
                started = _start(connection, ids, lease, chosen, place, now + trunks[place.trunk], now)
        except sa.exc.IntegrityError:
            continue  # another node has just taken the peer's last slot: the unique index is the judge
        if started is not None:
            lanes.charge(connection, lane, float(chosen.settings.get("share_of_line", 1.0)))
            return started
    return None


def _head(
    connection: sa.Connection, ids: IdSource, lane: sa.Row[Any], now: float, may_go: sa.ColumnElement[bool]
) -> sa.Row[Any] | None:
    """Return the lane's first fax that may be dialled; those whose hours of sending have ended wait for the next."""
    for _ in range(POSTPONED_AT_ONCE):
        chosen = lanes.head(connection, lane, now, may_go)
        if chosen is None or (until := hours.opening(chosen.settings, now)) <= now:
            return chosen
        faxes.postpone(connection, ids, chosen, until, at=now)
    return None


def renew(connection: sa.Connection, table: sa.Table, claim: Claim, lease: Lease, now: float) -> None:
    """Extend a lease; raises :class:`LostClaim`."""
    done = connection.execute(
        table.update().where(table.c.id == claim.id, table.c.fence == claim.fence).values(**lease.values(now))
    )
    if done.rowcount != 1:
        raise LostClaim(f"{table.name} {claim.id} is in other hands")


async def keep_lease(store: Store, table: sa.Table, claim: Claim, lease: Lease, clock: Callable[[], float]) -> None:
    """Renew a lease until cancelled, or until it is lost: the holder finds out when it commits."""
    while True:
        await asyncio.sleep(lease.seconds / 3)
        try:
            await store.write(renew, table, claim, lease, clock())
        except LostClaim:
            return
        except sa.exc.SQLAlchemyError:
            log.warning("a lease could not be renewed; trying again", table=table.name, id=claim.id)


def keep(connection: sa.Connection, table: sa.Table, claim: Claim, **changes: Any) -> None:
    """Write a claimed row's result and end the lease; raises :class:`LostClaim` and writes nothing if it is lost."""
    done = connection.execute(
        table.update()
        .where(table.c.id == claim.id, table.c.fence == claim.fence)
        .values(lease_owner=None, lease_until=None, **changes)
    )
    if done.rowcount != 1:
        raise LostClaim(f"{table.name} {claim.id} is in other hands")


def free_channel(connection: sa.Connection, fax_id: int) -> None:
    """Give back the channel that a call held."""
    connection.execute(channel.update().where(channel.c.fax_id == fax_id).values(fax_id=None))


def release_leases(connection: sa.Connection, owner: str) -> None:
    """End the leases on documents and deliveries that a predecessor of the same name left; calls are recovery's."""
    for table in (document, delivery):
        connection.execute(
            table.update().where(table.c.lease_owner == owner).values(lease_owner=None, lease_until=None)
        )
    # A target whose deliveries were leased is looked at again at once.
    connection.execute(target.update().where(target.c.due_at.is_not(None)).values(due_at=0.0))


def set_channels(connection: sa.Connection, channels: Mapping[str, int]) -> None:
    """Make the channel rows match the lines' capacities; a channel that went stays, disabled, until its call ends."""
    known = {(row.trunk, row.position) for row in connection.execute(sa.select(channel))}
    wanted = {(trunk, position) for trunk, count in channels.items() for position in range(count)}
    for trunk, position in sorted(wanted - known):
        connection.execute(channel.insert().values(trunk=trunk, position=position))
    for trunk, position in sorted(wanted & known):
        _enable(connection, trunk, position, enabled=True)
    for trunk, position in sorted(known - wanted):
        _enable(connection, trunk, position, enabled=False)


def _enable(connection: sa.Connection, trunk: str, position: int, *, enabled: bool) -> None:
    here = sa.and_(channel.c.trunk == trunk, channel.c.position == position)
    connection.execute(channel.update().where(here).values(enabled=enabled))


def _claim(
    connection: sa.Connection,
    table: sa.Table,
    ready: sa.ColumnElement[bool],
    order: sa.ColumnElement[Any],
    lease: Lease,
    now: float,
) -> Claim | None:
    free = sa.or_(table.c.lease_until.is_(None), table.c.lease_until < now)
    row = connection.execute(
        sa.select(table).where(ready, free).order_by(order, table.c.id).limit(1).with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    fence = row.fence + 1
    connection.execute(
        table.update()
        .where(table.c.id == row.id)
        .values(fence=fence, attempts=table.c.attempts + 1, **lease.values(now))
    )
    return Claim(row.id, fence, row)


def _start(
    connection: sa.Connection,
    ids: IdSource,
    lease: Lease,
    chosen: sa.Row[Any],
    place: sa.Row[Any],
    retry_at: float,
    now: float,
) -> CallClaim | None:
    taken = set(
        connection.execute(
            sa.select(fax.c.slot).where(fax.c.peer == chosen.peer, fax.c.state == sa.literal_column("'dialing'"))
        ).scalars()
    )
    slot = next((number for number in range(chosen.peer_slots) if number not in taken), None)
    if slot is None:
        return None
    ordinal, fence = chosen.attempts + 1, chosen.fence + 1
    faxes.move(
        connection,
        ids,
        chosen.id,
        Outbound.DIALING,
        at=now,
        reason=f"call {ordinal}",
        detail={"attempt": ordinal, "trunk": place.trunk},
        changes={"slot": slot, "attempts": ordinal, "fence": fence, "not_before": retry_at} | lease.values(now),
    )
    attempt_id = ids()
    connection.execute(
        attempt.insert().values(id=attempt_id, fax_id=chosen.id, ordinal=ordinal, trunk=place.trunk, started_at=now)
    )
    here = sa.and_(channel.c.trunk == place.trunk, channel.c.position == place.position)
    connection.execute(channel.update().where(here).values(fax_id=chosen.id))
    return CallClaim(Claim(chosen.id, fence, chosen), attempt_id, ordinal, place.trunk, place.position)
