"""How often senders were asked to confirm a mail, whatever became of it: rows that outlive the faxes they were for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from relay.store.tables import confirmation

if TYPE_CHECKING:
    from relay.ids import IdSource

#: How long a question is counted, in seconds.
MEMORY: Final = 86400.0


def count(connection: sa.Connection, whom: str, since: float) -> int:
    """Return how many questions ``whom`` stands for (a claimed sender, or a client) since a time."""
    here = sa.and_(confirmation.c.whom == whom, confirmation.c.asked_at > since)
    return connection.execute(sa.select(sa.func.count()).where(here)).scalar_one()


def note(connection: sa.Connection, ids: IdSource, whom: str, now: float) -> None:
    """Count one question."""
    connection.execute(confirmation.insert().values(id=ids(), whom=whom, asked_at=now))


def drop(connection: sa.Connection, now: float) -> None:
    """Forget what is counted no more."""
    connection.execute(confirmation.delete().where(confirmation.c.asked_at <= now - MEMORY))
