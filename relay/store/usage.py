"""How much a number sent: what its limits are held against."""

from __future__ import annotations

import sqlalchemy as sa

from policies import Usage
from relay.fax import Direction
from relay.store.tables import fax

_HOUR, _DAY = 3600.0, 86400.0


def of_number(connection: sa.Connection, number: str, now: float) -> Usage:
    """Return what a number sent: faxes that were to be dialled, not those that were refused at once."""
    sent = sa.and_(
        fax.c.number == number,
        fax.c.created_at > now - _DAY,
        fax.c.direction == Direction.OUTBOUND.value,
        fax.c.document_id.is_not(None),
    )
    last_hour = sa.func.count().filter(fax.c.created_at > now - _HOUR)
    row = connection.execute(sa.select(last_hour, sa.func.count()).select_from(fax).where(sent)).one()
    return Usage(last_hour=row[0], last_day=row[1])
