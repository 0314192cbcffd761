"""What an admin does with users: who may log in to send mail, and as whom.

Answers are JSON values as ``docs/json.md`` documents them; no answer holds a hash.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from policies import BadAddress, UserRole, parse_pattern
from policies.people_schema import NAME
from relay.errors import Conflict, RelayError
from relay.passwords import BadPassword, Passwords
from relay.store import users

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from policies import DeclaredUser
    from relay.store.engine import Store

Json = dict[str, Any]


class BadUser(RelayError):
    """The user cannot be made or changed so; the message says why."""


class UserOperations:
    """The operations on a store's users. ``declared``: gives those of the policy files, which are only shown."""

    def __init__(
        self, store: Store, clock: Callable[[], float], declared: Callable[[], Mapping[str, DeclaredUser]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._declared = declared
        self._passwords = Passwords()

    async def user_add(self, name: str, password: str, addresses: list[str]) -> Json:
        """Make a user who may send as ``addresses``; raises :class:`BadUser`, :class:`relay.errors.Conflict`."""
        if not NAME.fullmatch(name):
            raise BadUser(f"{name!r} is no user name: up to 64 letters, digits and . _ @ + -")
        self._check_not_declared(name)
        known = await self._hashed(password), _addresses(addresses)
        await self._store.write(users.add, name, *known, self._clock())
        return {"name": name}

    async def user_list(self) -> list[Json]:
        """Return every user, by name; one of the policy files hides one of the database."""
        declared = self._declared()
        shown = [
            {
                "name": one.name,
                "addresses": list(one.addresses),
                "disabled": one.disabled,
                "created_at": _time(one.created_at),
                "changed_at": _time(one.changed_at),
                "role": UserRole.USER.value,
                "declared": None,
            }
            for one in await self._store.read(users.listing)
            if one.name not in declared
        ]
        shown += [
            {
                "name": one.name,
                "addresses": [str(pattern) for pattern in one.addresses],
                "disabled": one.disabled,
                "created_at": None,
                "changed_at": None,
                "role": one.role.value,
                "declared": f"{one.source.file}:{one.source.line}",
            }
            for one in declared.values()
        ]
        return sorted(shown, key=lambda one: str(one["name"]))

    async def user_password(self, name: str, password: str) -> Json:
        """Give a user a new password; raises :class:`relay.errors.NotFound`."""
        self._check_not_declared(name)
        return await self._change(name, password_hash=await self._hashed(password))

    async def user_addresses(self, name: str, addresses: list[str]) -> Json:
        """Say anew as whom a user may send; raises :class:`relay.errors.NotFound`."""
        return await self._change(name, addresses=_addresses(addresses))

    async def user_disable(self, name: str) -> Json:
        """Let a user log in no more; raises :class:`relay.errors.NotFound`."""
        return await self._change(name, disabled=True)

    async def user_enable(self, name: str) -> Json:
        """Let a user log in again; raises :class:`relay.errors.NotFound`."""
        return await self._change(name, disabled=False)

    async def user_remove(self, name: str) -> Json:
        """Forget a user; raises :class:`relay.errors.NotFound`."""
        self._check_not_declared(name)
        await self._store.write(users.remove, name)
        return {"name": name}

    async def _change(self, name: str, **values: Any) -> Json:
        self._check_not_declared(name)
        await self._store.write(users.change, name, self._clock(), **values)
        return {"name": name}

    def _check_not_declared(self, name: str) -> None:
        """Raise :class:`relay.errors.Conflict` for a user of the policy files."""
        declared = self._declared().get(name)
        if declared is not None:
            where = f"{declared.source.file}:{declared.source.line}"
            raise Conflict(f"the user {name} is declared in {where}, and is changed there alone")

    async def _hashed(self, password: str) -> str:
        try:
            return await self._passwords.made(password)
        except BadPassword as bad:
            raise BadUser(str(bad)) from None


def _addresses(texts: Sequence[str]) -> list[str]:
    """Return the patterns in their one spelling; a user without any could send nothing."""
    found = sorted({_pattern(text) for text in texts})
    if not found:
        raise BadUser("a user sends as at least one address: user@example.com, @example.com or @*.example.com")
    return found


def _pattern(text: str) -> str:
    try:
        return str(parse_pattern(text))
    except BadAddress as bad:
        raise BadUser(f"{text!r} names no sender: {bad}") from None


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
