"""Whether the other end answers OPTIONS (RFC 3261 11), since when, and how fast. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass

_SICK = (408, 503)
_AGAIN = 5.0  # seconds after which an end that did not answer is asked again, if it was up


@dataclass
class Keepalive:
    """The state of one end. ``every``: seconds between two questions, 0: never asked. Times are monotonic."""

    every: float
    due: float = 0.0
    up: bool | None = None
    since: float = 0.0
    latency: float = 0.0
    trouble: str = ""
    last_code: int | None = None
    misses: int = 0

    def answered(self, now: float, code: int, fault: str, took: float) -> None:
        """Take the final answer; any is a sign of life, but those that say that it cannot serve.

        ``fault``: nobody answered; a sentence. ``took``: seconds.
        """
        alive = not fault and code not in _SICK
        self.last_code = None if fault else code
        self.misses = 0 if alive else self.misses + 1
        if alive:
            self.latency, self.trouble = took, ""
        else:
            self.trouble = fault or f"{code} to OPTIONS"
        state = alive or (self.misses == 1 and self.up is True)  # one lost question is no outage
        if state is not self.up:
            self.up, self.since = state, now
        self.due = now + (min(_AGAIN, self.every) if self.misses == 1 else self.every)
