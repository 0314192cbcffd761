"""A name server that is a dictionary, for tests of what asks the DNS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.auth.resolver import NO_DATA, NO_SUCH_NAME, TEMPERROR, Answer, Kind, Status, labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Stands for the records of a name whose server does not answer.
BROKEN: Final = ("!temporary error!",)


class ZoneResolver:
    """Answers from ``zone``: name -> kind -> records, as :class:`relay.auth.resolver.Answer` spells them.

    :data:`BROKEN` as the records of a kind is a temporary error. A name above a known one exists, as in the DNS (RFC
    8020). ``asked`` keeps the questions in their order.
    """

    def __init__(self, zone: Mapping[str, Mapping[Kind, Sequence[str]]] | None = None) -> None:
        self.zone: dict[str, dict[Kind, Sequence[str]]] = {}
        self.asked: list[tuple[str, Kind]] = []
        for name, kinds in (zone or {}).items():
            for kind, records in kinds.items():
                self.add(name, kind, *records)

    def add(self, name: str, kind: Kind, *records: str) -> None:
        """Publish records beside those that the name has."""
        kinds = self.zone.setdefault(name.lower(), {})
        kinds[kind] = (*kinds.get(kind, ()), *records)

    def lookup(self, name: str, kind: Kind) -> Answer:
        """See :class:`relay.auth.resolver.Resolver`."""
        self.asked.append((name, kind))
        if labels(name) is None:
            return NO_SUCH_NAME
        name = name.lower()
        records = self.zone.get(name, {}).get(kind)
        if records == BROKEN:
            return TEMPERROR
        if records:
            return Answer(Status.FOUND, tuple(records))
        exists = name in self.zone or any(known.endswith("." + name) for known in self.zone)
        return NO_DATA if exists else NO_SUCH_NAME
