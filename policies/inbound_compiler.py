"""``inbound`` of the files to an :class:`Inbound`: what must hold between it, the numbers and the devices.

Invariants that the checks establish: the numbers that entries name are those of the policy that receive faxes, the
devices those that get them; no value of a list stands twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.inbound import ANONYMOUS, Block, Callers, Inbound, InboundRoute, Selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from policies.inbound_schema import BlockEntry, InboundEntry, RouteEntry
    from policies.lines_compiler import LinesCompiler
    from policies.policy import Number
    from policies.scope import Scope


class InboundCompiler:
    """Compiles the section. ``lost``: the sections of which an entry had an error of its own."""

    def __init__(self, numbers: Mapping[str, Number], lines: LinesCompiler, lost: frozenset[str]) -> None:
        self._numbers = numbers
        self._lines = lines
        self._lost = lost

    def compile(self, scope: Scope, entry: InboundEntry) -> Inbound:
        """Return what the section says; tell what is wrong with it."""
        blocks = []
        for index, each in enumerate(entry.block):
            here = scope.at("block", index)
            selector = Selector(frozenset(each.called), _callers(each.caller), tuple(each.csid))
            self._check(here, each, ("called", "caller", "csid"))
            blocks.append(Block(selector, each.junk or entry.junk, index, here.source()))
        routes = [self._route(scope.at("routes", index), index, each) for index, each in enumerate(entry.routes)]
        by_called: dict[str, list[InboundRoute]] = {}
        for route in routes:
            for called in route.selector.called:
                by_called.setdefault(called, []).append(route)
        return Inbound(
            tuple(sorted(blocks, key=lambda block: block.selector.needs_ident)),
            {called: tuple(found) for called, found in by_called.items()},
            tuple(route for route in routes if not route.selector.called),
        )

    def _route(self, scope: Scope, index: int, entry: RouteEntry) -> InboundRoute:
        self._check(scope, entry, ("called", "caller", "csid", "subaddress", "deliver_to", "deliver_to_devices"))
        self._lines.check_named(scope, entry.deliver_to_devices, "deliver_to_devices")
        selector = Selector(
            frozenset(entry.called), _callers(entry.caller), tuple(entry.csid), frozenset(entry.subaddress)
        )
        return InboundRoute(selector, tuple(entry.deliver_to), tuple(entry.deliver_to_devices), index, scope.source())

    def _check(self, scope: Scope, entry: BlockEntry | RouteEntry, lists: tuple[str, ...]) -> None:
        for name in lists:
            scope.no_repeats(name, getattr(entry, name))
        for index, called in enumerate(entry.called):
            number = self._numbers.get(called)
            if number is None and "numbers" not in self._lost:
                message = f"{called} is none of the relay's numbers (section numbers)"
                scope.tell(message, "add it there first", "called", index)
            elif number is not None and not number.receives:
                where = f"{number.source.file}:{number.source.line}"
                remedy = f"add fax_to_mail to its features in {where}, or remove it here"
                scope.tell(f"{called} receives no faxes", remedy, "called", index)


def _callers(texts: Sequence[str]) -> Callers | None:
    if not texts:
        return None
    prefixes = tuple(text.removesuffix("*") for text in texts if text.endswith("*"))
    exact = frozenset(text for text in texts if text != ANONYMOUS and not text.endswith("*"))
    return Callers(exact, prefixes, ANONYMOUS in texts)
