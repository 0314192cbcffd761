"""What calls taught about destinations: the rung that worked, the finest resolution that a machine takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from relay.store.tables import destination

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How long a lesson counts unless the policy says otherwise, seconds.
LIFE = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is known of a destination; ``None``: nothing."""

    rung: str | None = None
    resolution: str | None = None


def recall(connection: sa.Connection, peer: str, settings: Mapping[str, Any], now: float) -> Lesson:
    """Return what is known of a destination and fresh enough by the fax's ``settings``."""
    life = settings.get("retries", {}).get("remember", LIFE)
    here = sa.and_(destination.c.peer == peer, destination.c.learnt_at > now - life)
    row = connection.execute(sa.select(destination).where(here)).first()
    return Lesson(row.rung, row.resolution) if row is not None else Lesson()


def learn(connection: sa.Connection, peer: str, lesson: Lesson, now: float) -> None:
    """Keep a lesson; a part of it that is ``None`` leaves what was known."""
    values = {name: value for name in ("rung", "resolution") if (value := getattr(lesson, name)) is not None}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(destination).values(peer=peer, learnt_at=now, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["peer"], set_={"learnt_at": now, **values}))
