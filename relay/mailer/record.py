"""The rows that a mail is made of, read in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from relay.store import faxes
from relay.store.tables import attempt, document, submission


@dataclass(frozen=True, slots=True)
class Record:
    """One fax with all that its history holds; attempts by their ordinal, events by their ``seq``."""

    fax: sa.Row[Any]
    submission: sa.Row[Any] | None
    document: sa.Row[Any] | None
    attempts: tuple[sa.Row[Any], ...]
    events: tuple[sa.Row[Any], ...]


def read(connection: sa.Connection, fax_id: int) -> Record:
    """Return a fax's record; raises :class:`relay.errors.NotFound`."""
    row = faxes.get(connection, fax_id)
    calls = sa.select(attempt).where(attempt.c.fax_id == fax_id).order_by(attempt.c.ordinal)
    return Record(
        fax=row,
        submission=connection.execute(sa.select(submission).where(submission.c.id == row.submission_id)).first(),
        document=connection.execute(sa.select(document).where(document.c.id == row.document_id)).first(),
        attempts=tuple(connection.execute(calls)),
        events=tuple(faxes.history(connection, fax_id)),
    )
