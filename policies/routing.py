"""By which trunks a fax goes: route = f(trunks, number, destination), with a reason for each trunk. Pure.

A trunk serves a call if its ``numbers`` and its ``prefixes`` admit it. Those that do are tried by priority, then by
cost, then as they stand in the files. Neither what is up nor what is free counts here: the line knows that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.decision import Reason, reason
from policies.lines import Route, Trunk

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Trunks of one route. More would only make a fax that cannot be sent wait longer for its failure.
MOST: Final = 16


def route(trunks: Iterable[Trunk], number: str, destination: str) -> Route:
    """Return the route of a fax from ``number`` (one of the relay's own) to ``destination``, both E.164."""
    serving: list[tuple[Trunk, str]] = []
    excluded: list[Reason] = []
    for trunk in trunks:
        miss = _miss(trunk, number, destination)
        if miss is not None:
            excluded.append(_reason(trunk, miss, matched=False))
        else:
            serving.append((trunk, _serves(trunk, destination)))
    serving.sort(key=lambda each: (each[0].priority, each[0].cost))  # the sort is stable: files' order decides last
    taken = [_reason(trunk, f"choice {at}: {why}", matched=True) for at, (trunk, why) in enumerate(serving[:MOST], 1)]
    rest = [_reason(trunk, f"{why}, but {MOST} others come before", matched=False) for trunk, why in serving[MOST:]]
    names = tuple(trunk.name for trunk, _ in serving[:MOST])
    return Route(number, destination, names, (*taken, *rest, *excluded))


def _miss(trunk: Trunk, number: str, destination: str) -> str | None:
    """Return what keeps the trunk from the call, None if it serves it."""
    if trunk.numbers and number not in trunk.numbers:
        return f"{number} is none of its numbers"
    if trunk.prefixes and not destination.startswith(trunk.prefixes):
        return f"{destination} begins with none of its prefixes"
    return None


def _serves(trunk: Trunk, destination: str) -> str:
    longest = max((prefix for prefix in trunk.prefixes if destination.startswith(prefix)), key=len, default="")
    cost = f", cost {trunk.cost:f}" if trunk.cost else ""
    return f"serves {longest or 'every number'}, priority {trunk.priority}{cost}"


def _reason(trunk: Trunk, text: str, *, matched: bool) -> Reason:
    return reason(f"trunks.{trunk.name}", trunk.source, text, matched=matched)
