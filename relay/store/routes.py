"""Routes: by which trunks a fax may go, in order, as ``fax.route`` holds it: names with commas between them.

Each route that some fax has stands in ``trunk_route`` too, so that a claim knows which routes have a free channel
without looking at the backlog. An empty route is any trunk; devices are named or not called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from relay.fax import Outbound, terminal
from relay.store.tables import fax, trunk_route
from transport.accounts import DEVICE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


#: The route of a fax that nothing serves: no trunk is called so.
NOWHERE = "-"


def written(connection: sa.Connection, trunks: Sequence[str]) -> str:
    """Return a route as it is stored, and see to it that claims know it."""
    route = ",".join(trunks)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(trunk_route).values(trunks=route).on_conflict_do_nothing())
    return route


def stranded(connection: sa.Connection) -> int:
    """Return how many faxes wait for a trunk that the policy does not have."""
    waiting = sa.and_(
        fax.c.route == NOWHERE, fax.c.state.in_([state.value for state in Outbound if not terminal(state)])
    )
    return connection.execute(sa.select(sa.func.count()).select_from(fax).where(waiting)).scalar_one()


def first_open(route: str, free: Collection[str]) -> str | None:
    """Return the first trunk of a route that is among the ``free``.

    >>> first_open("a,b", ["b", "c"]), first_open("", ["device:x", "c"]), first_open("a", ["b"])
    ('b', 'c', None)
    """
    if not route:
        return next((trunk for trunk in sorted(free) if not trunk.startswith(DEVICE)), None)
    return next((trunk for trunk in route.split(",") if trunk in free), None)


def may_go(connection: sa.Connection, free: Collection[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a queued fax's route has a trunk among the ``free``."""
    known = list(connection.execute(sa.select(trunk_route.c.trunks)).scalars())
    opened = [route for route in known if first_open(route, free) is not None]
    anywhere = first_open("", free) is not None
    if anywhere and len(opened) == len(known):
        return sa.true()
    return fax.c.route.in_([*opened, ""] if anywhere else opened)
