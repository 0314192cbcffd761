"""Housekeeping: once a day, what nobody needs any more is deleted.

Blobs that no row names, traces of old calls, what was noted of messages that have left their mailboxes, and what has
been kept for as long as the policy's ``retention`` says.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from relay.store import callback_log, erasure, faxes, mailboxes, traces
from relay.store.tables import attachment, attempt, document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from policies import Policy
    from relay.ids import IdSource
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store

log = structlog.get_logger()

#: Seconds between two rounds, and the age at which a blob without a row is a stray: its row follows within seconds.
DAY = 86400.0
#: How long a message that has left its mailbox is known, in seconds: one that comes back is no second fax. As long
#: the log of callbacks is kept.
MEMORY = 90 * DAY
#: The age at which the blob of an erased fax goes at once: nobody is about to name it.
HOUR = 3600.0
#: Who the audit says erased a fax.
BY_POLICY = "the policy"
_NAMING = (attachment.c.blob, document.c.blob, document.c.pdf, attempt.c.transmitted)
_AT_ONCE = 500  # names of one query
_BATCH = 100  # faxes of one transaction: bounds how long it keeps other writers waiting


async def run(
    store: Store,
    blobs: LocalBlobs,
    clock: Callable[[], float],
    policy: Callable[[], Policy],
    ids: IdSource,
    *,
    trace_days: float,
    forget: Callable[[str], None] | None = None,
) -> None:
    """Keep house until cancelled. ``forget``: deletes the journal of a call, where there is a line."""
    while True:
        try:
            await store.write(traces.drop, clock() - trace_days * DAY)
            await store.write(mailboxes.drop, clock() - MEMORY)
            await store.write(callback_log.drop, clock() - MEMORY)
            await erase_old(store, blobs, clock, policy(), ids, forget=forget)
            dropped = await asyncio.to_thread(blobs.drop_strays, _named_in(store), clock() - DAY)
            if dropped:
                log.info("blobs without a row deleted", count=dropped)
        except (sa.exc.SQLAlchemyError, OSError):
            log.exception("housekeeping failed; it is tried again tomorrow")
        await asyncio.sleep(DAY)


async def erase_old(
    store: Store,
    blobs: LocalBlobs,
    clock: Callable[[], float],
    policy: Policy,
    ids: IdSource,
    *,
    forget: Callable[[str], None] | None = None,
) -> int:
    """Erase what the policy does not keep any longer; return how many faxes lost something."""
    count = 0
    for number in await store.read(erasure.numbers):
        kept = policy.retention_of(number)
        if kept.traces is not None:
            await store.write(erasure.drop_traces, number, clock() - kept.traces.total_seconds())
        for time, erase in ((kept.rows, erasure.rows), (kept.documents, erasure.documents)):
            if time is None:
                continue
            before = clock() - time.total_seconds()
            while batch := await store.read(_due(number, before, rows=erase is erasure.rows)):
                for one in await store.write(_erase, erase, ids, batch, clock()):
                    await clear(store, blobs, one, clock() - HOUR, forget)
                count += len(batch)
    if count:
        log.info("faxes erased as the policy asks", count=count)
    return count


async def erase_one(
    store: Store, blobs: LocalBlobs, fax_id: int, now: float, ids: IdSource, *, who: str
) -> erasure.Erased:
    """Erase one fax but for its line in the audit.

    Raises :class:`relay.errors.NotFound`, and :class:`relay.errors.IllegalMove` for one that is still needed.
    """
    erased = await store.write(_erase_checked, ids, fax_id, now, who)
    await clear(store, blobs, erased, now - HOUR, None)
    return erased


def named(connection: sa.Connection, names: list[str]) -> set[str]:
    """Return which of ``names`` a row names."""
    found: set[str] = set()
    for at in range(0, len(names), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        for column in _NAMING:
            found.update(connection.execute(sa.select(column).where(column.in_(some))).scalars())
    return found


def _named_in(store: Store) -> Callable[[list[str]], set[str]]:
    return lambda names: store.read_now(named, names)


def _due(number: str, before: float, *, rows: bool) -> Callable[[sa.Connection], list[int]]:
    return lambda connection: erasure.due(connection, number, before, _BATCH, rows=rows)


def _erase(
    connection: sa.Connection,
    erase: Callable[[sa.Connection, IdSource, int, float, str], erasure.Erased],
    ids: IdSource,
    batch: Iterable[int],
    now: float,
) -> list[erasure.Erased]:
    return [erase(connection, ids, fax_id, now, BY_POLICY) for fax_id in batch]


def _erase_checked(connection: sa.Connection, ids: IdSource, fax_id: int, now: float, who: str) -> erasure.Erased:
    erasure.check(connection, faxes.get(connection, fax_id, lock=True))
    return erasure.rows(connection, ids, fax_id, now, who)


async def clear(
    store: Store, blobs: LocalBlobs, erased: erasure.Erased, before: float, forget: Callable[[str], None] | None
) -> None:
    """Delete what the rows had named, after their transaction: a crash between the two leaves strays."""
    await asyncio.to_thread(blobs.drop, sorted(erased.blobs), _named_in(store), before)
    if erased.call is not None and forget is not None:
        forget(erased.call)
