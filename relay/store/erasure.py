"""Erasure: what a fax leaves behind goes in two steps, its documents and then its rows; a line in the audit stays.

All functions run inside a caller's transaction. Invariants:

* nothing goes of a fax that has not ended (one in quarantine may never), of a received one that no mailbox took (unless
  no page of it came), or while a delivery, an event or a machine of ours still waits for it;
* a document that several faxes share goes with the last of them, a submission's files with its last document;
* no blob is deleted here: what no row names any more goes by :meth:`relay.store.blobs.LocalBlobs.drop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.errors import IllegalMove
from relay.fax import Direction, Inbound, Outbound, terminal
from relay.store import faxes
from relay.store.tables import (
    RECEIVED_FAX,
    attachment,
    attempt,
    audit,
    callback_call,
    delivery,
    document,
    event,
    fax,
    hold,
    submission,
    submission_key,
    trace,
)

if TYPE_CHECKING:
    from relay.ids import IdSource

_ENDED_OUT = [state.value for state in Outbound if terminal(state)]
_GOING_OUT = [state.value for state in Outbound if not terminal(state)]
_ENDED_IN = [state.value for state in Inbound if terminal(state) or state is Inbound.QUARANTINED]


@dataclass(frozen=True, slots=True)
class Erased:
    """Blobs that were named by what is gone, and the line's name of the call whose journal may hold pages, too."""

    blobs: frozenset[str]
    call: str | None


def _waited_for() -> sa.ColumnElement[bool]:
    """Whether something still waits for a fax."""
    due = sa.exists().where(delivery.c.fax_id == fax.c.id, delivery.c.state == sa.literal_column("'due'"))
    unrouted = sa.exists().where(event.c.fax_id == fax.c.id, event.c.routed.is_(sa.false()))
    onward = fax.alias("onward")
    passing = sa.exists().where(onward.c.passes_on == fax.c.id, onward.c.state.in_(_GOING_OUT))
    return sa.or_(due, unrouted, passing)


def _came_back() -> sa.ColumnElement[bool]:
    """Whether a received fax with pages was mailed, and every mail of it came back, and no machine of ours has it."""
    mails = sa.and_(delivery.c.fax_id == fax.c.id, delivery.c.kind == RECEIVED_FAX)
    onward = fax.alias("printed")
    return sa.and_(
        fax.c.document_id.is_not(None),
        sa.exists().where(mails, delivery.c.state == sa.literal_column("'failed'")),
        ~sa.exists().where(mails, delivery.c.state == sa.literal_column("'done'")),
        ~sa.exists().where(onward.c.passes_on == fax.c.id, onward.c.state == Outbound.SENT.value),
    )


def _safe() -> sa.ColumnElement[bool]:
    """Whether a fax may be erased without asking anybody."""
    wanted_by_nobody = fax.c.state.in_([Inbound.DELIVERED.value, Inbound.QUARANTINED.value])
    taken = sa.or_(wanted_by_nobody, fax.c.document_id.is_(None))
    outbound = sa.and_(fax.c.direction == Direction.OUTBOUND.value, fax.c.state.in_(_ENDED_OUT))
    inbound = sa.and_(fax.c.direction == Direction.INBOUND.value, fax.c.state.in_(_ENDED_IN), taken, ~_came_back())
    return sa.and_(sa.or_(outbound, inbound), ~_waited_for())


def numbers(connection: sa.Connection) -> list[str]:
    """Return the numbers of ours that have faxes."""
    return list(connection.execute(sa.select(fax.c.number).distinct()).scalars())


def due(connection: sa.Connection, number: str, before: float, limit: int, *, rows: bool) -> list[int]:
    """Return faxes of ``number`` that ended before a time and may be erased; those with documents unless ``rows``."""
    query = sa.select(fax.c.id).where(fax.c.number == number, fax.c.updated_at < before, _safe())
    if not rows:
        query = query.where(fax.c.document_id.is_not(None))
    return list(connection.execute(query.order_by(fax.c.id).limit(limit)).scalars())


def drop_traces(connection: sa.Connection, number: str, before: float) -> int:
    """Delete the traces of a number's calls that were made before a time; return how many."""
    of_number = sa.select(fax.c.id).where(fax.c.number == number)
    done = connection.execute(trace.delete().where(trace.c.created_at < before, trace.c.fax_id.in_(of_number)))
    return done.rowcount


def check(connection: sa.Connection, row: sa.Row[Any]) -> None:
    """Raise :class:`IllegalMove` unless a person may erase the fax: it has ended, and nothing waits for it."""
    if row.state not in _ENDED_OUT + _ENDED_IN:
        raise IllegalMove(f"fax {row.id} is {row.state}: it can be erased when it has ended")
    if connection.execute(sa.select(fax.c.id).where(fax.c.id == row.id, _waited_for())).first() is not None:
        raise IllegalMove(f"mails or machines still wait for fax {row.id}; `faxrelay fax show {row.id}` tells which")


def documents(connection: sa.Connection, ids: IdSource, fax_id: int, now: float, who: str) -> Erased:
    """Take a fax's documents from it, once its line stands in the audit."""
    row = faxes.get(connection, fax_id, lock=True)
    made = connection.execute(sa.select(document).where(document.c.id == row.document_id)).first()
    sent = connection.execute(sa.select(attempt.c.transmitted).where(attempt.c.fax_id == fax_id)).scalars()
    transmitted = [blob for blob in sent if blob]
    names = {*transmitted, *((made.blob, made.pdf) if made is not None else ())} - {None}
    digests = {"document": made.blob if made is not None else None, "transmitted": transmitted}
    _note_in_audit(connection, row, digests, now, who)
    connection.execute(attempt.update().where(attempt.c.fax_id == fax_id).values(transmitted=None))
    connection.execute(trace.delete().where(trace.c.fax_id == fax_id))
    connection.execute(fax.update().where(fax.c.id == fax_id).values(document_id=None))
    if made is not None:
        names |= _drop_document(connection, made)
        faxes.note(connection, ids, fax_id, faxes.ERASED, at=now, reason=f"its documents were erased by {who}")
    call = row.line_call if made is not None and (made.report or {}).get("spoilt") else None
    return Erased(frozenset(names), call)


def rows(connection: sa.Connection, ids: IdSource, fax_id: int, now: float, who: str) -> Erased:
    """Delete a fax with all that is stored of it, but for its line in the audit."""
    row = faxes.get(connection, fax_id, lock=True)
    erased = documents(connection, ids, fax_id, now, who)
    connection.execute(audit.update().where(audit.c.fax_id == fax_id).values(rows_erased_at=now, erased_by=who))
    for table in (trace, hold, callback_call, delivery, event, attempt, submission_key):
        connection.execute(table.delete().where(table.c.fax_id == fax_id))
    connection.execute(fax.update().where(fax.c.resend_of == fax_id).values(resend_of=None))
    connection.execute(fax.delete().where(fax.c.id == fax_id))
    last = row.submission_id is not None and not _exists(connection, fax, fax.c.submission_id == row.submission_id)
    if not last:
        return erased
    of_submission = attachment.c.submission_id == row.submission_id
    files = connection.execute(sa.select(attachment.c.blob).where(of_submission)).scalars().all()
    connection.execute(attachment.delete().where(of_submission))
    connection.execute(document.delete().where(document.c.submission_id == row.submission_id))
    connection.execute(submission.delete().where(submission.c.id == row.submission_id))
    return Erased(erased.blobs | frozenset(files), erased.call)


def _note_in_audit(connection: sa.Connection, row: sa.Row[Any], digests: dict[str, Any], now: float, who: str) -> None:
    if _exists(connection, audit, audit.c.fax_id == row.id):
        return
    connection.execute(
        audit.insert().values(
            fax_id=row.id,
            direction=row.direction,
            number=row.number,
            outcome=row.state,
            pages=row.pages,
            pages_confirmed=row.pages_confirmed,
            digests=digests,
            created_at=row.created_at,
            ended_at=row.updated_at,
            documents_erased_at=now,
            erased_by=who,
        )
    )


def _drop_document(connection: sa.Connection, made: sa.Row[Any]) -> set[str]:
    """Delete a document that no fax has any more, and its submission's files with the last; return those' blobs."""
    if _exists(connection, fax, fax.c.document_id == made.id):
        return set()
    connection.execute(document.delete().where(document.c.id == made.id))
    same = document.c.submission_id == made.submission_id
    if made.submission_id is None or _exists(connection, document, same):
        return set()
    of_submission = attachment.c.submission_id == made.submission_id
    files = set(connection.execute(sa.select(attachment.c.blob).where(of_submission)).scalars())
    connection.execute(attachment.delete().where(of_submission))
    return files


def _exists(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> bool:
    return connection.execute(sa.select(sa.literal(1)).select_from(table).where(which).limit(1)).first() is not None
