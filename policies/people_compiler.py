"""Users and API keys of all files: what must hold between them, and between them and the numbers.

Invariants that the checks establish: a user's and a key's name stand once, and so does a key's hash; the numbers that
they name are those of the policy; each key that is given has an effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.people import ApiKey, DeclaredUser, UserRole

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from policies.people_schema import ApiKeyEntry, UserEntry
    from policies.policy import Source
    from policies.scope import Scope

#: Who sees every number, so that naming some says nothing.
_SEES_ALL = frozenset({UserRole.ADMIN, UserRole.AUDITOR})


class PeopleCompiler:
    """Gathers users and API keys. ``numbers``: the policy's; ``complete``: there are no others that had an error."""

    def __init__(self, numbers: Collection[str], *, complete: bool) -> None:
        self.users: dict[str, DeclaredUser] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self._numbers = numbers
        self._complete = complete
        self._digests: dict[str, Source] = {}

    def user(self, scope: Scope, entry: UserEntry) -> None:
        """Take a user, or tell what is wrong."""
        first = self.users.get(entry.name)
        if first is not None:
            scope.twice("user", entry.name, first.source, "name")
            return
        scope.no_repeats("addresses", entry.addresses)
        self._check_numbers(scope, entry.numbers)
        if entry.numbers and entry.role in _SEES_ALL:
            remedy = "write 'role: manager' or 'role: user', or remove the key"
            scope.tell(f"numbers have no effect with role {entry.role.value}", remedy, "numbers", key=True)
        self.users[entry.name] = DeclaredUser(
            name=entry.name,
            password_hash=entry.password_hash,
            addresses=tuple(entry.addresses),
            role=entry.role,
            numbers=frozenset(entry.numbers),
            disabled=entry.disabled,
            source=scope.source("name"),
        )

    def api_key(self, scope: Scope, entry: ApiKeyEntry) -> None:
        """Take an API key, or tell what is wrong."""
        first = self.api_keys.get(entry.name)
        if first is not None:
            scope.twice("API key", entry.name, first.source, "name")
            return
        at = scope.source("key_hash")
        taken = self._digests.setdefault(entry.key_hash, at)
        if taken is not at:
            scope.twice("hash", "of a key", taken, "key_hash")
        scope.no_repeats("scopes", entry.scopes)
        self._check_numbers(scope, entry.numbers)
        self.api_keys[entry.name] = ApiKey(
            name=entry.name,
            digest=entry.key_hash,
            scopes=frozenset(entry.scopes),
            numbers=frozenset(entry.numbers),
            disabled=entry.disabled,
            source=scope.source("name"),
        )

    def _check_numbers(self, scope: Scope, numbers: Sequence[str]) -> None:
        scope.no_repeats("numbers", numbers)
        for index, number in enumerate(numbers):
            if number not in self._numbers and self._complete:
                message = f"{number} is none of the relay's numbers (section numbers)"
                scope.tell(message, "add it there first", "numbers", index)
