"""One file's data against the schema: what fits, and an error with place and remedy for each thing that does not.

An entry with a mistake is left out of the result while its neighbours stay, so that the checks between entries and
files run over all that is sound and an admin sees every mistake of a folder at once.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from policies.entry import Entry, entry_in, fields_of
from policies.errors import PolicyError
from policies.fields import TOLD
from policies.schema import DestinationsEntry, DomainEntry, NumberEntry, PolicyFile, RetriesEntry, SendersEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from policies.cover_schema import CoverEntry
    from policies.document import Branch, Data, Document, Place
    from policies.endpoints_schema import CallbacksEntry
    from policies.inbound_schema import InboundEntry
    from policies.lines_schema import DeviceEntry, TrunkEntry
    from policies.people_schema import ApiKeyEntry, UserEntry
    from policies.retention_schema import RetentionEntry

Path = tuple[str | int, ...]
E = TypeVar("E", bound=Entry)

#: The sections whose entries are sound or not one by one.
_LISTS = frozenset({"domains", "numbers", "trunks", "devices", "users", "api_keys"})
#: pydantic's error types that a policy file can cause, as message and remedy; ``{...}`` are pydantic's own figures.
_SENTENCES = {
    "missing": ("the key is missing", "add it"),
    "list_type": ("this must be a list", "write each entry on a line of its own, after '- '"),
    "dict_type": ("this must be a mapping", "write 'key: value' lines below the key"),
    "model_type": ("this must be a mapping", "write 'key: value' lines below the key"),
    "too_short": ("the list is empty", "name at least one"),
    "too_long": ("the list is too long", "name {max_length} at most"),
    "less_than_equal": ("the figure is too large", "write {le} at most"),
    "greater_than_equal": ("the figure is too small", "write {ge} at least"),
}


@dataclass(frozen=True, slots=True)
class Sections:
    """The sound entries of one file, each with its key and its places.

    ``lost``: the sections of which something is not here, so that what refers to it may be right.
    """

    file: str
    domains: list[tuple[DomainEntry, str, Branch]]
    numbers: list[tuple[NumberEntry, str, Branch]]
    senders: tuple[SendersEntry, str, Branch] | None
    destinations: tuple[DestinationsEntry, str, Branch] | None
    inbound: tuple[InboundEntry, str, Branch] | None
    retries: tuple[RetriesEntry, str, Branch] | None
    retention: tuple[RetentionEntry, str, Branch] | None
    cover: tuple[CoverEntry, str, Branch] | None
    callbacks: tuple[CallbacksEntry, str, Branch] | None
    trunks: list[tuple[TrunkEntry, str, Branch]]
    devices: list[tuple[DeviceEntry, str, Branch]]
    users: list[tuple[UserEntry, str, Branch]]
    api_keys: list[tuple[ApiKeyEntry, str, Branch]]
    lost: frozenset[str]


def validate(file: str, document: Document, languages: frozenset[str]) -> tuple[Sections, list[PolicyError]]:
    """Return what is sound in ``document`` and the errors of the rest. ``languages`` are those the relay speaks."""
    errors = [
        PolicyError(file, *problem.place, dotted(problem.path), problem.message, problem.remedy)
        for problem in document.problems
    ]
    context = {"languages": languages}
    kept: dict[str, list[int]] = {}
    data = document.data
    lost = frozenset() if data or not errors else _LISTS  # a text that breaks off leaves nothing
    try:
        model = PolicyFile.model_validate(data, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=True)
        told = {(each.line, each.column) for each in errors}
        found = (_translate(file, document.places, detail) for detail in details)
        # An empty value or a "yes" is already told as such; that it is no number either would only hide it.
        errors += [each for each in found if (each.line, each.column) not in told]
        lost = frozenset(str(detail["loc"][0]) for detail in details)
        data, kept = _without(data, [detail["loc"] for detail in details])
        model = PolicyFile.model_validate(data, context=context)
    places = _Located(document.places, kept)
    sections = Sections(
        file,
        places.entries("domains", model.domains),
        places.entries("numbers", model.numbers),
        places.section("senders", model.senders),
        places.section("destinations", model.destinations),
        places.section("inbound", model.inbound),
        places.section("retries", model.retries),
        places.section("retention", model.retention),
        places.section("cover", model.cover),
        places.section("callbacks", model.callbacks),
        places.entries("trunks", model.trunks),
        places.entries("devices", model.devices),
        places.entries("users", model.users),
        places.entries("api_keys", model.api_keys),
        lost,
    )
    return sections, errors


def dotted(path: Path) -> str:
    """Return a path as people write it.

    >>> dotted(("numbers", 0, "senders", 2, "match"))
    'numbers[0].senders[2].match'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _without(data: dict[str, Data], bad: list[Path]) -> tuple[dict[str, Data], dict[str, list[int]]]:
    """Return ``data`` less the entries that hold an error, and the original indices of the entries that stay."""
    sound: dict[str, Data] = {}
    kept: dict[str, list[int]] = {}
    for section, value in data.items():
        steps = {path[1] if len(path) > 1 else None for path in bad if path[0] == section}
        if not steps:
            sound[section] = value
        elif section in _LISTS and isinstance(value, list) and None not in steps:
            kept[section] = [index for index in range(len(value)) if index not in steps]
            sound[section] = [value[index] for index in kept[section]]
    return sound, kept


class _Located:
    """Joins entries to their places. ``kept`` are the original indices where a list lost entries with errors."""

    def __init__(self, places: Branch, kept: dict[str, list[int]]) -> None:
        self._places = places
        self._kept = kept

    def entries(self, name: str, entries: Sequence[E]) -> list[tuple[E, str, Branch]]:
        indices = self._kept.get(name, range(len(entries)))
        return [
            (entry, f"{name}[{index}]", self._places.branch(name, index))
            for entry, index in zip(entries, indices, strict=True)
        ]

    def section(self, name: str, entry: E | None) -> tuple[E, str, Branch] | None:
        return None if entry is None else (entry, name, self._places.branch(name))


def _translate(file: str, places: Branch, detail: ErrorDetails) -> PolicyError:
    """Return pydantic's error as one of ours, at its place."""
    kind, context = detail["type"], detail.get("ctx", {})
    path, at_key = detail["loc"], kind == "extra_forbidden"
    if path and path[-1] == "[key]":
        path, at_key = path[:-1], True
    if kind == TOLD:
        message, remedy = str(context["message"]), str(context["remedy"])
    elif kind == "extra_forbidden":
        name = str(path[-1])
        message, remedy = f"unknown key {name!r}", _nearest(name, _keys_at(path[:-1]))
    elif kind in {"enum", "literal_error"}:
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        message = f"{_shown(detail['input'])} is none of the possible values"
        remedy = _nearest(str(detail["input"]), allowed)
    else:
        message, remedy = _SENTENCES.get(kind, (detail["msg"], "see docs/policies.md"))
        remedy = remedy.format_map(context) if context else remedy
    place: Place = places.find(*path, key=at_key)
    return PolicyError(file, place.line, place.column, dotted(path), message, remedy)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else "this"
    return repr(text[:50])


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(known)}"


def _keys_at(path: Path) -> list[str]:
    """Return the keys that the schema has for the mapping at ``path``."""
    model: type[Entry] = PolicyFile
    for step in path:
        if isinstance(step, str):
            model = entry_in(fields_of(model)[step].annotation) or model
    return list(fields_of(model))
