"""Routes: by which trunks a fax may go, in order, as ``fax.route`` holds it: names with commas between them.

Each route that some fax has stands in ``trunk_route`` too, so that a claim knows which routes have a free channel
without looking at the backlog. An empty route is any trunk; devices are named or not called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from relay.store.tables import fax, trunk_route
from transport.accounts import DEVICE

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence


def written(connection: sa.Connection, trunks: Sequence[str]) -> str:
    """Return a route as it is stored, and see to it that claims know it."""
    route = ",".join(trunks)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(trunk_route).values(trunks=route).on_conflict_do_nothing())
    return route


def first_open(route: str, free: Iterable[str]) -> str | None:
    """Return the first trunk of a route that is among the ``free``.

    >>> first_open("a,b", ["b", "c"]), first_open("", ["device:x", "c"]), first_open("a", ["b"])
    ('b', 'c', None)
    """
    if not route:
        return next((trunk for trunk in sorted(free) if not trunk.startswith(DEVICE)), None)
    there = set(free)
    return next((trunk for trunk in route.split(",") if trunk in there), None)


def open_routes(connection: sa.Connection, free: Container[str]) -> list[str] | None:
    """Return the routes that have a free trunk; ``None``: all there are."""
    known = list(connection.execute(sa.select(trunk_route.c.trunks)).scalars())
    opened = [route for route in known if any(trunk in free for trunk in route.split(","))]
    return None if len(opened) == len(known) else opened


def may_go(opened: list[str] | None) -> sa.ColumnElement[bool]:
    """Return the condition that a queued fax's route is open."""
    return sa.true() if opened is None else sa.or_(fax.c.route == sa.literal_column("''"), fax.c.route.in_(opened))
