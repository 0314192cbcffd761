"""What a number and one of its senders sent: what the limits are held against.

:func:`of_number` and :func:`of_sender` are asked in the transaction that uses the quota up, after :func:`serialise`:
two submissions of one number wait for each other, so that both cannot be the last one.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from policies import Usage
from relay.fax import Direction, Outbound
from relay.store.tables import fax, hold, submission

_HOUR, _DAY = 3600.0, 86400.0
#: The advisory locks that submissions take on PostgreSQL, one for each number.
_COUNTING = 0x666179


def serialise(connection: sa.Connection, number: str) -> None:
    """Let no other transaction count what ``number`` sent before this one ends (SQLite has one writer anyway)."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_COUNTING, sa.func.hashtext(number))))


def of_number(connection: sa.Connection, number: str, now: float) -> Usage:
    """Return what a number sent: faxes that were to be dialled, not those that were refused at once.

    Nor those whose sender has not confirmed them: strangers must not use up what a number may send.
    """
    return _usage(connection, sa.select(*_counts(now)).select_from(fax).where(_sent(number, now)))


def of_sender(connection: sa.Connection, number: str, sender: str | None, now: float) -> Usage:
    """Return what one sender sent as ``number``; nothing where nobody is known."""
    if sender is None:
        return Usage()
    both = fax.join(submission, submission.c.id == fax.c.submission_id)
    query = sa.select(*_counts(now)).select_from(both).where(_sent(number, now), submission.c.sender == sender)
    return _usage(connection, query)


def _sent(number: str, now: float) -> sa.ColumnElement[bool]:
    return sa.and_(
        fax.c.number == number,
        fax.c.created_at > now - _DAY,
        fax.c.direction == Direction.OUTBOUND.value,
        sa.or_(fax.c.document_id.is_not(None), fax.c.state == Outbound.HELD.value),
        ~sa.exists().where(hold.c.fax_id == fax.c.id, hold.c.kind == "confirm", hold.c.verdict.is_(None)),
    )


def _counts(now: float) -> tuple[sa.ColumnElement[Any], ...]:
    pages, recent = sa.func.coalesce(fax.c.pages, 1), fax.c.created_at > now - _HOUR
    return (
        sa.func.count().filter(recent),
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(pages).filter(recent), 0),
        sa.func.coalesce(sa.func.sum(pages), 0),
    )


def _usage(connection: sa.Connection, query: sa.Select[Any]) -> Usage:
    hour, day, pages_hour, pages_day = connection.execute(query).one()
    return Usage(int(hour), int(day), int(pages_hour), int(pages_day))
