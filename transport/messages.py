"""The values of the seam as JSON and back, for channels between processes and for journals.

Invariant: decoding is strict. A worker may have been taken over by a hostile fax, so a field that is missing, too
many or of another type is :class:`BadMessage`, never an object with odd values in it.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")


class BadMessage(Exception):
    """Another process said something that has no meaning; the remedy is to end it."""


def encode(value: Any) -> dict[str, Any]:
    """Return a dataclass of plain fields as JSON values.

    >>> from transport.seam import PageConfirmed
    >>> encode(PageConfirmed("7", 1, None))
    {'call': '7', 'page': 1, 'pages': None}
    """
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def decode(kind: type[Value], message: object) -> Value:
    """Return the dataclass that :func:`encode` wrote; raises :class:`BadMessage`."""
    hints: dict[str, Any] = _hints(kind)
    if not isinstance(message, dict) or not set(message) <= set(hints):
        raise BadMessage(f"this is no {kind.__name__}")
    try:
        return kind(**{name: _typed(hints[name], value, name) for name, value in message.items()})
    except TypeError as fault:
        raise BadMessage(f"this is no whole {kind.__name__}") from fault


def encode_event(happened: Any) -> dict[str, Any]:
    """Return an event with its kind.

    >>> from transport.seam import Ringing
    >>> encode_event(Ringing("7"))
    {'kind': 'Ringing', 'event': {'call': '7'}}
    """
    return {"kind": type(happened).__name__, "event": encode(happened)}


def decode_event(kinds: Iterable[type[Any]], message: Mapping[str, Any]) -> Any:
    """Return the event that :func:`encode_event` wrote, if it is one of ``kinds``; raises :class:`BadMessage`."""
    for kind in kinds:
        if kind.__name__ == message.get("kind"):
            return decode(kind, message.get("event"))
    raise BadMessage("an event of no known kind")


def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind, localns={"Path": Path, "Mapping": Mapping})


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        return encode(value)
    return value


def _typed(hint: Any, value: Any, name: str) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None and types.NoneType in hint.__args__:
            return None
        return _typed(next(kind for kind in hint.__args__ if kind is not types.NoneType), value, name)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_typed(hint.__args__[0], item, name) for item in value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if (hint is int and isinstance(value, int) and not isinstance(value, bool)) or (
        hint in (bool, str) and isinstance(value, hint)
    ):
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    return _composed(hint, value, name)


def _composed(hint: Any, value: Any, name: str) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError as fault:
            raise BadMessage(f"{name} is none of the words it may be") from fault
    raise BadMessage(f"{name} has the wrong type")
