"""Users and API keys that the files declare: by the hash of their secret alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policies.addresses import Pattern
    from policies.policy import Source


class UserRole(Enum):
    """What a user may do beside sending mail as their addresses."""

    ADMIN = "admin"
    MANAGER = "manager"
    USER = "user"
    AUDITOR = "auditor"


class KeyScope(Enum):
    """What an API key may be used for."""

    READ = "read"
    SEND = "send"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class DeclaredUser:
    """A user of the files. ``numbers``: those that a manager or user sees; empty for an admin or auditor: all."""

    name: str
    password_hash: str
    addresses: tuple[Pattern, ...]
    role: UserRole
    numbers: frozenset[str]
    disabled: bool
    source: Source


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key of the files. ``digest``: SHA-256 of the key, hex; ``numbers``: those that it is for; empty: all."""

    name: str
    digest: str
    scopes: frozenset[KeyScope]
    numbers: frozenset[str]
    disabled: bool
    source: Source
