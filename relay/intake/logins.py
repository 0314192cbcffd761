"""SMTP AUTH against our users (RFC 4954): PLAIN (RFC 4616) and LOGIN, and what guessing costs.

Every wrong login is answered alike, whoever was named; an address from which too many come is not asked any more for a
while. The bytes that a client sends never reach the log.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Final

import structlog

from policies import Proof, parse_pattern
from relay.intake.identity import Identity
from relay.passwords import Passwords
from relay.store import users
from transport.sip.guard import Guard, Misdeed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from policies import DeclaredUser
    from relay.store.engine import Store

log = structlog.get_logger()

MECHANISMS: Final = ("PLAIN", "LOGIN")
#: So many wrong logins of one address in so many seconds, and it is not heard for the third, at most the fourth.
_FAILURES, _WINDOW, _BAN, _LONGEST = 10, 600.0, 600.0, 86400.0
_MAX_RESPONSE: Final = 2048
#: Passwords that are checked at the same time; each has a thread.
_AT_ONCE: Final = 2


class BadResponse(ValueError):
    """What the client said is no answer to the challenge."""


class Logins:
    """Checks names and passwords. ``clock``: monotonic seconds.

    ``declared``: gives the users of the policy in force, who come before those of the database.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float], declared: Callable[[], Mapping[str, DeclaredUser]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._declared = declared
        self._passwords = Passwords()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._guard = Guard(_FAILURES, _WINDOW, _BAN, _LONGEST, ())

    def banned(self, client: str) -> bool:
        """Return whether an address has guessed too often."""
        return self._guard.banned(client, self._clock())

    async def check(self, name: str, password: str, client: str) -> Identity | None:
        """Return who logs in from an address; ``None``: nobody, and it counts as a guess."""
        known: DeclaredUser | users.User | None = self._declared().get(name)
        if known is None:
            known = await self._store.read(users.find, name)
        usable = known is not None and not known.disabled
        hashed = known.password_hash if usable and known else None
        if not await self._right(name, password, hashed, client) or not known:
            log.warning("login refused", client=client)
            return None
        self._guard.succeeded(client, self._clock(), name)
        return Identity(known.name, Proof.AUTH, tuple(parse_pattern(str(one)) for one in known.addresses))

    async def _right(self, name: str, password: str, known: str | None, client: str) -> bool:
        """Return whether a password is that of a hash, and count what it is otherwise.

        Guesses on many connections at once wait for each other, so that the ban meets those that are behind it. A
        client that goes away before it hears the answer has guessed: its work was done.
        """
        async with self._turns:
            if self.banned(client):
                return False
            right = False
            try:
                right = await self._passwords.right(password, known)
            finally:
                if not right:
                    self._guard.failed(client, Misdeed.PASSWORD, self._clock(), name)
            return right

    def close(self) -> None:
        """End the threads."""
        self._passwords.close()


def plain(response: bytes) -> tuple[str, str]:
    r"""Return name and password of a PLAIN response; raises :class:`BadResponse`.

    Somebody else's identity (authzid) cannot be asked for.

    >>> plain(b"\0alice\0secret")
    ('alice', 'secret')
    """
    try:
        authorise, name, password = response.decode().split("\0")
    except ValueError:
        raise BadResponse("the response of PLAIN is [authzid] NUL name NUL password") from None
    if authorise not in ("", name):
        raise BadResponse("nobody here may act as somebody else")
    return name, password


def decoded(text: str) -> bytes:
    """Return what base64 says; ``=`` alone is the empty response (RFC 4954 section 4). Raises :class:`BadResponse`."""
    if len(text) > _MAX_RESPONSE:
        raise BadResponse("the response is too long")
    try:
        return b"" if text == "=" else base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadResponse("the response is no base64") from None
