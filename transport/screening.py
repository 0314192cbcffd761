"""Who is refused while it rings: what main publishes of the policy's block list, decided in the line. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Screen:
    """Some callers of some of our numbers, all E.164: refused, or else answered whatever later screens say.

    ``called``: empty for all. ``prefixes``: first digits. ``anonymous``: those whose number is withheld, too.
    """

    refuse: bool = True
    called: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    anonymous: bool = False


class Screening:
    """Looks at calls; the first screen that means one decides. A caller's number proves nothing: it is the caller's."""

    def __init__(self, screens: Iterable[Screen] = ()) -> None:
        self._screens = [(screen, frozenset(screen.called), frozenset(screen.callers)) for screen in screens]

    def refuses(self, number: str, caller: str) -> bool:
        """Return whether a call to one of our numbers is refused; ``caller`` may be empty."""
        for screen, called, callers in self._screens:
            if called and number not in called:
                continue
            if (caller in callers or caller.startswith(screen.prefixes)) if caller else screen.anonymous:
                return screen.refuse
        return False


def cut(screen: Screen, most: int) -> Iterator[Screen]:
    """Yield screens that mean the same together, none with more than ``most`` numbers of a kind."""
    for called, callers, prefixes in product(*(_pieces(one, most) for one in _lists(screen))):
        yield replace(screen, called=called, callers=callers, prefixes=prefixes)


def _lists(screen: Screen) -> tuple[Sequence[str], ...]:
    return screen.called, screen.callers, screen.prefixes


def _pieces(items: Sequence[str], most: int) -> list[tuple[str, ...]]:
    return [tuple(items[at : at + most]) for at in range(0, len(items), most)] or [()]
