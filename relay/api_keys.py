"""Keys of the API: how one is made, and whose a presented one is.

A key is 256 random bits, so that its SHA-256 is enough to know it by: nobody can guess what hashes to it, and no slow
hash is needed to keep guessers away. Invariant: no key is kept anywhere, and none reaches a log.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from policies import ApiKey

#: What every key begins with, so that a scanner of leaked secrets can find it.
PREFIX: Final = "frk_"
_BYTES: Final = 32
#: Longer than any key: what is longer is not hashed.
_LONGEST: Final = 200


def new_key() -> str:
    """Return a new key, to be shown once."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, hex, as policy files hold it behind ``sha256:``."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


class ApiKeys:
    """Looks keys up. ``declared``: gives those of the policy in force, by name."""

    def __init__(self, declared: Callable[[], Mapping[str, ApiKey]]) -> None:
        self._declared = declared
        self._indexed: Mapping[str, ApiKey] = {}
        self._by_digest: dict[str, ApiKey] = {}

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that was presented; ``None`` for one that is unknown or disabled.

        Takes the same time for each: what is compared is a hash, of which a guesser learns nothing.
        """
        if len(presented) > _LONGEST:
            return None
        declared = self._declared()
        if declared is not self._indexed:
            self._indexed, self._by_digest = declared, {one.digest: one for one in declared.values()}
        found = self._by_digest.get(digest_of(presented))
        return None if found is None or found.disabled else found
