"""Routes of faxes that have not ended, made again when the trunks change: at the start, and with each new policy.

A fax that no trunk serves any more waits and says so; the next policy that has a trunk for it sends it on. A fax that
is pinned (to one of our own machines, or to the trunk that it tests) fails when what it is pinned to is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.fax import Direction, Outbound, terminal
from relay.store import faxes, routes
from relay.store.engine import Topic, announce
from relay.store.tables import fax

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.ids import IdSource
    from relay.policy import PolicyHolder
    from relay.store.engine import Store

_GOING = [state.value for state in Outbound if not terminal(state)]
_AT_ONCE = 500  # faxes of one look


async def reroute(store: Store, policy: PolicyHolder, ids: IdSource, clock: Callable[[], float]) -> int:
    """Give every fax that has not ended the route that the policy has for it now; return how many were changed."""
    changed, last = 0, 0
    while batch := await store.read(_going, last):
        last = batch[-1].id
        for row in batch:
            trunks: list[str] = row.settings.get("trunks", [])
            if row.settings.get("pinned"):
                if not policy.has_trunk(trunks[0]):
                    changed += await store.write(_fail, ids, row.id, trunks[0], clock())
            elif (now := policy.trunks(row.number, row.peer)) != trunks:
                changed += await store.write(_write, row.id, now)
    return changed


def _going(connection: sa.Connection, after: int) -> list[sa.Row[Any]]:
    query = sa.select(fax.c.id, fax.c.number, fax.c.peer, fax.c.settings).where(
        fax.c.direction == Direction.OUTBOUND.value, fax.c.state.in_(_GOING), fax.c.id > after
    )
    return list(connection.execute(query.order_by(fax.c.id).limit(_AT_ONCE)))


def _write(connection: sa.Connection, fax_id: int, trunks: list[str]) -> int:
    """Change the route of a fax; what its call that is going on leads to will read it, too."""
    row = faxes.get(connection, fax_id, lock=True)
    if row.state not in _GOING:
        return 0
    values = {"route": routes.written(connection, trunks), "settings": {**row.settings, "trunks": trunks}}
    if trunks == [routes.NOWHERE]:
        values["reason"] = "it waits: no trunk of the policy serves this number"
    connection.execute(fax.update().where(fax.c.id == fax_id).values(values))
    announce(connection, Topic.DIAL)
    return 1


def _fail(connection: sa.Connection, ids: IdSource, fax_id: int, trunk: str, now: float) -> int:
    row = faxes.get(connection, fax_id, lock=True)
    if row.state not in _GOING:
        return 0
    reason = f"the policy has no {trunk.replace(':', ' ')} any more"
    if row.state == Outbound.DIALING.value:  # its call ends as it ends, and then no other follows
        connection.execute(fax.update().where(fax.c.id == fax_id).values(settings={**row.settings, "gone": reason}))
        return 1
    faxes.move(connection, ids, fax_id, Outbound.FAILED, at=now, reason=reason)
    return 1
