"""What goes wrong on the line, said to the operator on standard error: one line each, and few of them."""

from __future__ import annotations

import sys
import traceback

_EVERY = 60.0  # seconds between two lines
_LONGEST = 400


class Complaints:
    """Says one line a minute at most; the next one tells how many were left out."""

    def __init__(self) -> None:
        self._said: float | None = None
        self._left_out = 0

    def note(self, sentence: str, now: float) -> None:
        """Say it, if it is time. ``now``: seconds of a monotonic clock."""
        if self._said is not None and now - self._said < _EVERY:
            self._left_out += 1
            return
        say(sentence[:200] + (f" (and {self._left_out} more before)" if self._left_out else ""))
        self._said, self._left_out = now, 0

    def fault(self, fault: Exception, now: float) -> None:
        """Say that a fault of ours was survived."""
        at = traceback.extract_tb(fault.__traceback__)[-1]
        self.note(f"SIP: a fault of ours: {type(fault).__name__}: {fault} ({at.name}, line {at.lineno})", now)


def say(sentence: str) -> None:
    """Write one line, printable whatever came in it."""
    text = "".join(one if one.isprintable() else "?" for one in sentence)
    print(text[:_LONGEST], file=sys.stderr, flush=True)  # noqa: T201  the line's log
