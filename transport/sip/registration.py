"""Our registration with a trunk (RFC 3261 10.2): when to send the next REGISTER, and what its answer means. Sans-I/O.

Invariants: it is refreshed before it ends; failures wait longer each time, so that a wrong password does not become an
attack; what the registrar grants counts, not what was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_REFUSED_PAUSE = 60.0  # after 401, 403, 407: what is wrong stays wrong until somebody mends it
_REFUSED = (401, 403, 404, 407)
_INTERVAL_TOO_BRIEF = 423
_SHORTEST, _LONGEST = 30, 86400
_MARGIN = 32.0  # seconds before the end: a whole transaction's time (64*T1)


@dataclass
class Registration:
    """One registration. ``expires``: seconds to ask for. Times are of one monotonic clock, given by the caller."""

    expires: int
    rng: random.Random
    due: float = 0.0
    until: float = 0.0
    trouble: str = "not registered yet"
    last_code: int | None = None
    _failures: int = field(default=0)

    def registered(self, now: float) -> bool:
        """Return whether the registrar has our address now."""
        return now < self.until

    def answered(
        self,
        now: float,
        code: int,
        reason: str,
        *,
        granted: int | None = None,
        wait: int | None = None,
        least: int | None = None,
    ) -> None:
        """Take the final answer to a REGISTER.

        ``granted``: seconds that a 200 gives; ``wait``: Retry-After; ``least``: Min-Expires of a 423, seconds.
        """
        self.last_code = code
        if code == 200:  # noqa: PLR2004
            seconds = float(granted if granted is not None else self.expires)
            self._failures, self.trouble = 0, ""
            self.until = now + seconds
            early = min(_MARGIN, seconds / 2) + self.rng.uniform(0, seconds * 0.05)
            self.due = now + max(seconds - early, 1.0)
            return
        if code == _INTERVAL_TOO_BRIEF and least is not None and self.expires < least <= _LONGEST:
            self.expires = max(least, _SHORTEST)
            self.due = now
            return
        self.failed(now, f"{code} {reason}", slow=code in _REFUSED, wait=wait)

    def failed(self, now: float, why: str, *, slow: bool = False, wait: int | None = None) -> None:
        """Note that there was no registration this time; ``why`` is a sentence."""
        self._failures += 1
        self.trouble = why
        pause = min(_FIRST_PAUSE * 2 ** min(self._failures - 1, 10), _LONGEST_PAUSE)
        if slow:
            pause = max(pause, _REFUSED_PAUSE)
        if wait is not None:
            pause = max(pause, float(min(wait, _LONGEST)))
        self.due = now + pause * self.rng.uniform(0.9, 1.1)
