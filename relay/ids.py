"""Identifiers that leave the relay: 19-digit, time-ordered integers (two callback dialects need them so).

Layout of the 63 bits: milliseconds since 1970 (43), the process's own random mark (8), a counter (12). The first
19-digit value lies in 2000, the last in 2248. Programs read them as text: they exceed the 53 bits of a JavaScript
number.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNTER_BITS = 12
_MARK_BITS = 8


class IdSource:
    """Gives ids that only grow within this process, from any thread."""

    def __init__(self, clock: Callable[[], float] = time.time, mark: int | None = None) -> None:
        self._clock = clock
        self._mark = secrets.randbits(_MARK_BITS) if mark is None else mark
        self._lock = threading.Lock()
        self._tick = 0  # milliseconds and counter as one number, so that a burst borrows from the next millisecond

    def __call__(self) -> int:
        """Return the next id.

        >>> source = IdSource(lambda: 1_790_000_000.0, mark=5)
        >>> first, second = source(), source()
        >>> len(str(first)), second > first
        (19, True)
        """
        with self._lock:
            self._tick = max(self._tick + 1, int(self._clock() * 1000) << _COUNTER_BITS)
            milliseconds, counter = self._tick >> _COUNTER_BITS, self._tick & ((1 << _COUNTER_BITS) - 1)
        return (milliseconds << (_COUNTER_BITS + _MARK_BITS)) | (self._mark << _COUNTER_BITS) | counter
