"""Housekeeping: once a day, what nobody needs any more is deleted.

That is: blobs that no row names, traces of old calls, and what was noted of messages that have left their mailboxes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from relay.store import mailboxes, traces
from relay.store.tables import attachment, attempt, document

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store

log = structlog.get_logger()

#: Seconds between two rounds, and the age at which a blob without a row is a stray: its row follows within seconds.
DAY = 86400.0
#: How long a message that has left its mailbox is known, in seconds: one that comes back is no second fax.
MEMORY = 90 * DAY
_NAMING = (attachment.c.blob, document.c.blob, document.c.pdf, attempt.c.transmitted)
_AT_ONCE = 500  # names of one query


async def run(store: Store, blobs: LocalBlobs, clock: Callable[[], float], *, trace_days: float) -> None:
    """Keep house until cancelled."""
    while True:
        await store.write(traces.drop, clock() - trace_days * DAY)
        await store.write(mailboxes.drop, clock() - MEMORY)
        dropped = await asyncio.to_thread(blobs.drop_strays, lambda names: store.read_now(named, names), clock() - DAY)
        if dropped:
            log.info("blobs without a row deleted", count=dropped)
        await asyncio.sleep(DAY)


def named(connection: sa.Connection, names: list[str]) -> set[str]:
    """Return which of ``names`` a row names."""
    found: set[str] = set()
    for at in range(0, len(names), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        for column in _NAMING:
            found.update(connection.execute(sa.select(column).where(column.in_(some))).scalars())
    return found
