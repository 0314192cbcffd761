"""What another policy would change: object by object, field by field. Pure.

A policy is laid out as plain values first (:func:`layout`), so that one end of the comparison may come from another
process. Where something is written (file, line) is no part of it: a rule that moves to another file changes nothing.
Order counts only where it decides: of rules, rewrites, routes and blocks.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from policies.addresses import Pattern
from policies.hours import DAYS, Hours, Window
from policies.secrets import SecretReference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from policies.policy import Policy, SenderRule

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"
#: Objects by their names, each with its fields by theirs.
Layout: TypeAlias = "dict[str, dict[str, Json]]"

_SKIPPED: Final = frozenset({"source", "position"})
#: What of a secret's hash is shown: that it changed, and not what it is.
_HIDDEN: Final = frozenset({"password_hash", "digest"})


class Kind(Enum):
    """What becomes of an object."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: its values before and after; None where the object or the field is not there.

    ``removed`` and ``added``: the entries in which two lists differ; empty where only their order does.
    """

    name: str
    before: Json
    after: Json
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs; ``name`` such as ``numbers.+97231234567``. ``fields`` are those of a changed one."""

    name: str
    kind: Kind
    fields: tuple[FieldChange, ...] = ()


def layout(policy: Policy) -> Layout:
    """Return all that a policy says as JSON values."""
    found: Layout = {}
    for section in ("domains", "numbers", "trunks", "devices", "users", "api_keys", "callbacks"):
        for name, entry in getattr(policy, section).items():
            found[f"{section}.{name}"] = _fields(entry)
    for number, lists in _senders(policy).items():
        found[f"numbers.{number}"] |= lists
    found["senders"] = {"block": list[Json](sorted(map(str, policy.senders.blocked)))}
    destinations = policy.destinations
    found["destinations"] = {
        "rules": [str(rule) for rule in destinations.rules],
        "otherwise": "allow" if destinations.otherwise_allow else "deny",
        "rewrite": [f"{rewrite.pattern.pattern} -> {rewrite.to}" for rewrite in destinations.rewrites],
    }
    for prefix, override in destinations.overrides.items():
        found[f"destinations.overrides.{prefix}"] = _fields(override)
    found["retries"] = _fields(policy.retries)
    found["retention"] = _fields(policy.retention)
    inbound = policy.inbound
    routes = {route.position: route for named in inbound.by_called.values() for route in named}
    routes |= {route.position: route for route in inbound.anywhere}
    found["inbound"] = {
        "block": [_text(block) for block in sorted(inbound.blocks, key=lambda block: block.position)],
        "routes": [_text(routes[position]) for position in sorted(routes)],
    }
    return found


def differences(before: Layout, after: Layout) -> list[Change]:
    """Return what differs, in the order of the newer layout; what was removed comes last."""
    changes = []
    for name, fields in after.items():
        if name not in before:
            changes.append(Change(name, Kind.ADDED, tuple(_changed({}, fields))))
        elif fields != before[name] and (found := tuple(_changed(before[name], fields))):
            changes.append(Change(name, Kind.CHANGED, found))
    removed = [Change(name, Kind.REMOVED, tuple(_changed(before[name], {}))) for name in before if name not in after]
    return changes + removed


def as_text(changes: Sequence[Change]) -> str:
    """Return the changes for people: ``+`` added, ``-`` removed, ``~`` changed."""
    if not changes:
        return "nothing would change"
    lines = []
    for change in changes:
        lines.append(f"{_SIGNS[change.kind]} {change.name}")
        if change.kind is Kind.CHANGED:
            lines += [line for field in change.fields for line in _field_lines(field)]
    counts = [(kind, sum(change.kind is kind for change in changes)) for kind in Kind]
    return "\n".join([*lines, "", ", ".join(f"{count} {kind.value}" for kind, count in counts)])


def as_json(changes: Sequence[Change]) -> list[Json]:
    """Return the changes as JSON data; the keys are stable."""
    return [
        {
            "name": change.name,
            "change": change.kind.value,
            "fields": [
                {"name": one.name, "before": one.before, "after": one.after,
                 "removed": list(one.removed), "added": list(one.added)}
                for one in change.fields
            ],
        }
        for change in changes
    ]  # fmt: skip


_SIGNS: Final = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CHANGED: "~"}


def _field_lines(field: FieldChange) -> Iterator[str]:
    if isinstance(field.before, list) and isinstance(field.after, list):
        yield f"    {field.name}:" + ("" if field.removed or field.added else " the same in another order")
        yield from (f"      - {one}" for one in field.removed)
        yield from (f"      + {one}" for one in field.added)
    else:
        yield f"    {field.name}: {_shown(field.before)} -> {_shown(field.after)}"


def _shown(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_shown(inner)}" for name, inner in value.items()) or "none"
    return ", ".join(map(_shown, value)) or "none" if isinstance(value, list) else str(value) or "none"


def _changed(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[FieldChange]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            had, has = set(map(_shown, old)), set(map(_shown, new))
            gone = tuple(one for one in map(_shown, old) if one not in has)
            come = tuple(one for one in map(_shown, new) if one not in had)
            yield FieldChange(name, old, new, gone, come)
        else:
            yield FieldChange(name, old, new)


def _senders(policy: Policy) -> dict[str, dict[str, Json]]:
    """Return each number's sender rules and the senders whose default it is, as a file writes them."""
    rules: dict[str, list[Json]] = {number: [] for number in policy.numbers}
    index = policy.senders
    for subjects in (index.addresses, index.domains, index.subdomains):
        for found in subjects.values():
            for rule in found:
                if not rule.own_address:
                    rules[rule.number].append(_sender(rule))
    defaults: dict[str, list[Json]] = {number: [] for number in policy.numbers}
    for pattern, (number, _) in index.defaults.items():
        defaults[number].append(str(pattern))
    return {
        number: {"senders": sorted(rules[number], key=str), "default_for": sorted(defaults[number], key=str)}
        for number in policy.numbers
    }


def _sender(rule: SenderRule) -> str:
    networks = f" from {', '.join(map(str, rule.networks))}" if rule.networks else ""
    return f"{rule.pattern} by {rule.proof.value}{networks}"


def _fields(entry: Any) -> dict[str, Json]:
    """Return the fields of an object; those of the objects in it by dotted names."""
    found: dict[str, Json] = {}
    for field in dataclasses.fields(entry):
        if field.name in _SKIPPED:
            continue
        value = getattr(entry, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, (Pattern, SecretReference, Hours)):
            found |= {f"{field.name}.{name}": inner for name, inner in _fields(value).items()}
        elif field.name in _HIDDEN:
            found[field.name] = f"...{value[-8:]}"
        else:
            found[field.name] = _plain(value)
    return found


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _text(entry: Any) -> str:
    """Return an object of a list in one line: its fields that say something."""
    said = {name: value for name, value in _fields(entry).items() if value not in (None, False, "", [])}
    return "; ".join(f"{name.removeprefix('selector.')}: {_shown(value)}" for name, value in said.items())


def _plain(value: Any) -> Json:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (frozenset, set)):
        return list[Json](sorted(str(_plain(each)) for each in value))
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in sorted(value.items())}
    if dataclasses.is_dataclass(value) and not isinstance(value, (Pattern, SecretReference, Window)):
        return {name: inner for name, inner in _fields(value).items() if inner is not None}
    return _word(value)


def _word(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds())}s"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Window):
        days = ", ".join(DAYS[day] for day in sorted(value.days))
        return f"{days} {_clock(value.opens)} to {_clock(value.closes)}"
    return str(value)
