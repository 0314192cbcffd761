"""``docs/settings.md``, made from the settings themselves: each key with its type, default and doc."""

from __future__ import annotations

import enum
import types
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from relay.settings import Settings

_HEAD = """\
# faxrelay.yaml

Made from `relay/settings.py` by `make docs`. What needs a restart stands here; what reloads while the service runs
stands in the policy folder ([policies.md](policies.md)). Every key may be left out. Paths count from the file's folder.
An unknown key is fatal.
"""


def render() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_section(Settings, "")]) + "\n"


def _section(model: type[BaseModel], prefix: str) -> list[str]:
    title = f"## `{prefix}`" if prefix else "## At the top"
    lines = [
        title,
        "",
        (model.__doc__ or "").strip(),
        "",
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    below: list[str] = []
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            below += ["", *_section(inner, f"{prefix}.{name}".removeprefix("."))]
        kind = "section below" if inner else _kind(field.annotation)
        default = _default(field.get_default(call_default_factory=True), inner)
        lines.append(f"| `{name}` | {kind} | {default} | {field.description} |")
    return lines + below


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return f"list of {_kind(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    if isinstance(annotation, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in get_args(annotation) if one is not types.NoneType))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(
        annotation,
        {"Path": "path", "IPv4Network": "network", "IPv6Network": "network"}.get(
            getattr(annotation, "__name__", ""), "text"
        ),
    )


def _default(value: Any, inner: type[BaseModel] | None) -> str:
    if value is PydanticUndefined:
        return "must be given"
    if inner is not None:
        return "none" if value in (None, ()) else "as below"
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(_default(one, None) for one in value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.value if isinstance(value, enum.Enum) else value}`"
