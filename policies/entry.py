"""What every mapping of a policy file is made of: the model's base, its fields, and the way around in them."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from policies.fields import SINGLE, UNIT

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class Entry(BaseModel):
    """A mapping in a policy file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def key(doc: str, *, unit: str = "", single: bool = False, **constraints: Any) -> Any:
    """Return a key with its meaning and unit; ``single``: a list that may be written as one value."""
    notes: dict[str, Any] = {UNIT: unit} if unit else {}
    return Field(description=doc, json_schema_extra=notes | ({SINGLE: True} if single else {}), **constraints)


def fields_of(model: type[Entry]) -> dict[str, FieldInfo]:
    """Return a model's fields by the key that files write."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def entry_in(annotation: Any) -> type[Entry] | None:
    """Return the model inside ``list[Model]``, ``Model | None`` or ``Model``; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        return annotation
    return next(filter(None, map(entry_in, typing.get_args(annotation))), None)
