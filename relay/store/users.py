"""Users: who logs in, and as whom they may send. A password is kept as its Argon2id hash alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.errors import Conflict, NotFound
from relay.store.tables import user

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class User:
    """One user. ``addresses`` as policies write senders: ``user@example.com``, ``@example.com``, ``@*.example.com``."""

    name: str
    password_hash: str
    addresses: tuple[str, ...]
    disabled: bool
    created_at: float
    changed_at: float


def add(connection: sa.Connection, name: str, password_hash: str, addresses: Sequence[str], now: float) -> None:
    """Make a user; raises :class:`relay.errors.Conflict` where there is one of this name."""
    if _row(connection, name) is not None:
        raise Conflict(f"there is a user {name} already; `faxrelay user password {name}` changes the password")
    values = {"name": name, "password_hash": password_hash, "addresses": list(addresses)}
    connection.execute(user.insert().values(**values, created_at=now, changed_at=now))


def find(connection: sa.Connection, name: str) -> User | None:
    """Return a user, ``None`` where there is none of this name."""
    row = _row(connection, name)
    return _user(row) if row is not None else None


def listing(connection: sa.Connection) -> list[User]:
    """Return every user, by name."""
    return [_user(row) for row in connection.execute(sa.select(user).order_by(user.c.name))]


def change(connection: sa.Connection, /, name: str, now: float, **values: Any) -> None:
    """Change columns of a user; raises :class:`relay.errors.NotFound`."""
    done = connection.execute(user.update().where(user.c.name == name).values(**values, changed_at=now))
    if not done.rowcount:
        raise NotFound(f"there is no user {name}; `faxrelay user list` shows who there is")


def remove(connection: sa.Connection, name: str) -> None:
    """Forget a user; raises :class:`relay.errors.NotFound`."""
    if not connection.execute(user.delete().where(user.c.name == name)).rowcount:
        raise NotFound(f"there is no user {name}; `faxrelay user list` shows who there is")


def _row(connection: sa.Connection, name: str) -> sa.Row[Any] | None:
    return connection.execute(sa.select(user).where(user.c.name == name)).first()


def _user(row: sa.Row[Any]) -> User:
    return User(row.name, row.password_hash, tuple(row.addresses), row.disabled, row.created_at, row.changed_at)
