"""The end of waiting: faxes that nobody approved in time fail, those whose senders did not confirm them are erased.

What is remembered of the senders who were asked goes after a day.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from relay import housekeeping
from relay.store import confirmations, holds

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.ids import IdSource
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store

log = structlog.get_logger()

#: Seconds between two looks: a fax may wait so much longer than the policy says.
PAUSE = 20.0


async def run(store: Store, blobs: LocalBlobs, ids: IdSource, clock: Callable[[], float]) -> None:
    """End what has waited too long, until cancelled."""
    while True:
        try:
            while await step(store, blobs, ids, clock()):
                pass
        except (sa.exc.SQLAlchemyError, OSError):
            log.exception("the end of holds cannot be written now; it is tried again")
        await asyncio.sleep(PAUSE)


async def step(store: Store, blobs: LocalBlobs, ids: IdSource, now: float) -> int:
    """End some holds; return how many."""
    await store.write(confirmations.drop, now)
    ended, erased = await store.write(holds.expire, ids, now)
    if erased.blobs:
        await housekeeping.clear(store, blobs, erased, now - housekeeping.HOUR, None)
    if ended:
        log.info("holds ended", count=ended)
    return ended
