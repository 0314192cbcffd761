"""Traces: what was said on the wire in one call, as text; kept beside the fax until housekeeping drops it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.store.tables import trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transport.seam import TraceEntry


def keep(
    connection: sa.Connection, fax_id: int, ordinal: int, call: str, entries: Sequence[TraceEntry], now: float
) -> None:
    """Keep the trace of one call; ``ordinal`` of the attempt, 0 for an inbound call. A second one is not kept."""
    here = sa.and_(trace.c.fax_id == fax_id, trace.c.attempt == ordinal)
    if connection.execute(sa.select(trace.c.fax_id).where(here)).first() is None:
        rows = [[entry.at, entry.arrow, entry.layer, entry.text] for entry in entries]
        connection.execute(
            trace.insert().values(fax_id=fax_id, attempt=ordinal, call=call, entries=rows, created_at=now)
        )


def of_fax(connection: sa.Connection, fax_id: int) -> list[sa.Row[Any]]:
    """Return the traces of a fax, the first call first."""
    return list(connection.execute(sa.select(trace).where(trace.c.fax_id == fax_id).order_by(trace.c.attempt)))


def drop(connection: sa.Connection, before: float) -> int:
    """Delete the traces that were made before a time; return how many."""
    return connection.execute(trace.delete().where(trace.c.created_at < before)).rowcount
