"""Endpoints that the policy suspends: their rows say so too, so that what is held goes out paced when it ends.

Without a row, whatever was kept would be due in the moment in which the file changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from relay.outbox import resume, suspend
from relay.store.callback_log import LANE
from relay.store.tables import target

if TYPE_CHECKING:
    from collections.abc import Collection

#: Held callbacks that leave in a second once their endpoint is resumed.
RESUMED_PER_SECOND: Final = 10.0
_WHY: Final = "suspended by its policy file"


def follow(connection: sa.Connection, held: Collection[str], now: float) -> list[str]:
    """Hold what is for the endpoints that the policy suspends, let go what it held; return whose was let go."""
    for name in sorted(held):
        suspend(connection, LANE, name, _WHY, now)
    by_policy = sa.and_(target.c.lane == LANE, target.c.suspended_why == _WHY)
    found = connection.execute(sa.select(target.c.name).where(by_policy).order_by(target.c.name)).scalars()
    freed = [name for name in found if name not in held]
    for name in freed:
        resume(connection, LANE, name, now, RESUMED_PER_SECOND)
    return freed
