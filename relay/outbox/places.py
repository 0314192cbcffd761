"""How many deliveries go on side by side, and how many of them to one target: a pure account.

A target that has not answered yet, or whose last delivery failed, gets one place; so does one whose delivery has been
going on for longer than :data:`SLOW` seconds. 500 targets that hang hold 500 places, whatever waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds after which a delivery that goes on makes its target slow.
SLOW: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One delivery that goes on, since when (``clock``'s seconds)."""

    target: str
    since: float


class Places:
    """The places of one lane: ``most`` in all, ``each`` to one target that answers."""

    def __init__(self, most: int, each: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._each = each
        self._clock = clock
        self._taken: dict[str, list[Place]] = {}
        self._answers: set[str] = set()
        self._count = 0

    @property
    def free(self) -> int:
        """How many further deliveries may begin."""
        return self._most - self._count

    def full(self) -> frozenset[str]:
        """Return the targets to which none may."""
        slow = self._clock() - SLOW
        return frozenset(
            target
            for target, places in self._taken.items()
            if target not in self._answers or len(places) >= self._each or places[0].since < slow
        )

    def take(self, target: str) -> Place:
        """Begin a delivery."""
        place = Place(target, self._clock())
        self._taken.setdefault(target, []).append(place)
        self._count += 1
        return place

    def leave(self, place: Place, *, answered: bool) -> None:
        """End a delivery; ``answered``: its target took it."""
        places = self._taken[place.target]
        places.remove(place)
        self._count -= 1
        if not places:
            del self._taken[place.target]
        if answered:
            self._answers.add(place.target)
        else:
            self._answers.discard(place.target)
