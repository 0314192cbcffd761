"""The schema of the policy files as JSON Schema (draft 2020-12), for editors that complete and check while typing.

The loader is the authority: it also checks what stands between entries and files.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from policies.fields import SINGLE, UNIT, VALUE
from policies.schema import PolicyFile


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of one policy file."""
    schema = _plain(PolicyFile.model_json_schema(by_alias=True))
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "faxrelay policy file"}


def _plain(node: Any) -> Any:
    """Return ``node`` without our own notes, and with the single values that the loader takes for lists."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _plain(value) for key, value in node.items() if key not in {SINGLE, UNIT, VALUE}}
    if node.get(SINGLE):
        outer = {key: kept.pop(key) for key in ("description", "title") if key in kept}
        return {**outer, "anyOf": [kept, kept["items"]]}
    return kept
