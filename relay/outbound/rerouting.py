"""Routes of faxes that wait, made again when the trunks change: at the start, and with each change of the policy.

A fax whose every trunk is gone waits and says so; the next policy that has a trunk for it sends it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.fax import Direction, Outbound, terminal
from relay.store import routes
from relay.store.engine import Topic, announce
from relay.store.tables import fax
from transport.accounts import DEVICE

if TYPE_CHECKING:
    from relay.policy import PolicyHolder
    from relay.store.engine import Store

_WAITING = [state.value for state in Outbound if not terminal(state) and state is not Outbound.DIALING]
_AT_ONCE = 500  # faxes of one transaction


async def reroute(store: Store, policy: PolicyHolder) -> int:
    """Give every waiting fax the route that the policy has for it now; return how many got another one."""
    changed, last = 0, 0
    while batch := await store.read(_waiting, last):
        last = batch[-1].id
        wanted = [(row, trunks) for row in batch if (trunks := _trunks(policy, row)) != row.settings.get("trunks", [])]
        if wanted:
            await store.write(_write, wanted)
        changed += len(wanted)
    return changed


def _trunks(policy: PolicyHolder, row: sa.Row[Any]) -> list[str]:
    now: list[str] = row.settings.get("trunks", [])
    return now if now and now[0].startswith(DEVICE) else policy.trunks(row.number, row.peer)


def _waiting(connection: sa.Connection, after: int) -> list[sa.Row[Any]]:
    query = sa.select(fax.c.id, fax.c.number, fax.c.peer, fax.c.settings).where(
        fax.c.direction == Direction.OUTBOUND.value, fax.c.state.in_(_WAITING), fax.c.id > after
    )
    return list(connection.execute(query.order_by(fax.c.id).limit(_AT_ONCE)))


def _write(connection: sa.Connection, wanted: list[tuple[sa.Row[Any], list[str]]]) -> None:
    for row, trunks in wanted:
        values = {"route": routes.written(connection, trunks), "settings": {**row.settings, "trunks": trunks}}
        still = sa.and_(fax.c.id == row.id, fax.c.state.in_(_WAITING))
        connection.execute(fax.update().where(still).values(values))
    announce(connection, Topic.DIAL)
