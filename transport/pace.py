"""How late media are: when a tick's packets had left, less when they were due. Pure.

Counted in classes of milliseconds, for a call has fifty ticks a second and a worker dozens of calls. The first seconds
after a call's begin are counted apart as well, for it is then that calls that start together are in each other's way.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Any

#: Upper ends of the classes, seconds; what is later counts in one more.
CLASSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: Ticks after a call's begin that are counted apart: five seconds.
FIRST = 250


@dataclass(slots=True)
class Pace:
    """The lateness of ticks, each counted for every call that was in it; ``first``: those soon after a call began."""

    ticks: list[int] = field(default_factory=lambda: [0] * (len(CLASSES) + 1))
    first: list[int] = field(default_factory=lambda: [0] * (len(CLASSES) + 1))
    worst: float = 0.0

    def count(self, late: float, calls: int = 1, *, first: bool = False) -> None:
        """Count a tick whose last packet left ``late`` seconds after it was due."""
        place = bisect.bisect_left(CLASSES, late)
        self.ticks[place] += calls
        if first:
            self.first[place] += calls
        if late > self.worst:  # noqa: PLR1730  max() is a call, fifty times a second
            self.worst = late

    def add(self, other: Pace) -> None:
        """Count others too."""
        for place in range(len(self.ticks)):
            self.ticks[place] += other.ticks[place]
            self.first[place] += other.first[place]
        self.worst = max(self.worst, other.worst)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"ticks": self.ticks, "first": self.first, "worst": round(self.worst, 4)}

    @classmethod
    def of_json(cls, values: object) -> Pace:
        """Return what :meth:`to_json` said; what has no meaning counts nothing."""
        match values:
            case {"ticks": [*ticks], "first": [*first], "worst": float(worst)} if _counts(ticks) and _counts(first):
                return cls(ticks, first, worst)
        return cls()


def percentile(counts: list[int], share: float) -> float:
    """Return the class's upper end in seconds below which ``share`` of the ticks lie, infinity beyond the last.

    >>> percentile([98, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], 0.99)
    0.005
    """
    wanted, total = share * sum(counts), 0
    for place, end in enumerate(CLASSES):
        total += counts[place]
        if total >= wanted:
            return end
    return float("inf")


def _counts(values: list[object]) -> bool:
    return len(values) == len(CLASSES) + 1 and all(isinstance(value, int) and value >= 0 for value in values)
