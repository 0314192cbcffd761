"""What calls taught about destinations: the rung that worked, the finest resolution that a machine takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from relay.store.tables import destination
from transport.accounts import DEVICE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: How long a lesson counts unless the policy says otherwise, seconds.
LIFE = 30 * 86400.0
_LESSONS: Final = sa.select(destination).where(destination.c.peer.in_(sa.bindparam("peers", expanding=True)))


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is known of a destination; ``None``: nothing."""

    rung: str | None = None
    resolution: str | None = None


def taught_by(peer: str, settings: Mapping[str, Any]) -> str:
    """Return whose lessons a fax's calls are: the far number's, or those of the machine of ours that it is for."""
    (first, *_) = settings.get("trunks") or [""]
    return first if settings.get("pinned") and first.startswith(DEVICE) else peer


def recall(connection: sa.Connection, peer: str, settings: Mapping[str, Any], now: float) -> Lesson:
    """Return what is known of a destination; each part of it grows old by itself, by the fax's ``settings``."""
    peer = taught_by(peer, settings)
    return still(lessons(connection, {peer}).get(peer), settings, now)


def lessons(connection: sa.Connection, peers: Collection[str]) -> dict[str, sa.Row[Any]]:
    """Return the rows of ``peers`` (see :func:`taught_by`) that calls taught something about."""
    return {row.peer: row for row in connection.execute(_LESSONS, {"peers": list(peers)})}


def still(row: sa.Row[Any] | None, settings: Mapping[str, Any], now: float) -> Lesson:
    """Return what of a destination's row is not too old for a fax with ``settings``."""
    if row is None:
        return Lesson()
    since = now - settings.get("retries", {}).get("remember", LIFE)
    return Lesson(
        row.rung if (row.rung_at or 0.0) > since else None,
        row.resolution if (row.resolution_at or 0.0) > since else None,
    )


def learn(connection: sa.Connection, peer: str, settings: Mapping[str, Any], lesson: Lesson, now: float) -> None:
    """Keep a lesson of a fax with ``settings``; a part of it that is ``None`` leaves what was known."""
    peer = taught_by(peer, settings)
    values: dict[str, Any] = {}
    for name in ("rung", "resolution"):
        if (value := getattr(lesson, name)) is not None:
            values |= {name: value, f"{name}_at": now}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(destination).values(peer=peer, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["peer"], set_=values))
