"""Passwords: Argon2id by pwdlib, in threads of their own, for one takes 0.2 s of a core and 64 MiB.

A password that nobody has is checked as long as one that somebody has, so that the time tells no names.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError

#: At once: more would only make each slower, and take its memory.
_THREADS: Final = 2
#: Shorter ones are guessed; longer ones only cost time (OWASP asks for at least 64 to be taken).
LEAST, MOST = 10, 256


class BadPassword(ValueError):
    """The password cannot be taken; the message is for its owner."""


class Passwords:
    """Makes and checks hashes."""

    def __init__(self) -> None:
        self._hasher = PasswordHash.recommended()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash("nobody has this password")

    async def made(self, password: str) -> str:
        """Return the hash of a new password; raises :class:`BadPassword`."""
        if not LEAST <= len(password) <= MOST:
            raise BadPassword(f"a password has {LEAST} to {MOST} characters; this one has {len(password)}")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def right(self, password: str, known: str | None) -> bool:
        """Return whether a password is that of a hash; ``None``: nobody's, which takes as long."""
        if len(password) > MOST:
            return False
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._check, password, known)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, password: str, known: str | None) -> bool:
        try:
            return self._hasher.verify(password, known or self._nobody) and known is not None
        except PwdlibError:  # what the row holds is no hash: nobody logs in with it
            return False
