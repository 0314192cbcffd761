"""The OpenAPI page of our own events says what is sent, and its examples are such."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from relay.callbacks.dialects import standard
from relay.callbacks.event import Name

from .events import EVENTS, NOW, OPENAPI, rendered

PAGE: dict[str, Any] = yaml.safe_load(OPENAPI.read_text("utf-8"))


def strict(node: Any) -> Any:
    """Return a schema that takes no key which it does not name."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if node.get("type") == "object" and "properties" in node else {}
    return {key: strict(value) for key, value in node.items()} | closed


VALIDATOR = Draft202012Validator(
    {**strict(copy.deepcopy(PAGE)), "$ref": "#/components/schemas/Event"}, format_checker=FormatChecker()
)


def examples(name: Name) -> dict[str, Any]:
    """Return the examples of an event."""
    body = PAGE["webhooks"][name.value]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Event"}
    return {key: example["value"] for key, example in body["examples"].items()}


def test_the_page_is_openapi() -> None:
    """Lost otherwise: generators of receivers refuse it."""
    validate(PAGE)
    assert PAGE["openapi"].startswith("3.1")


def test_every_event_is_described() -> None:
    """Lost otherwise: a receiver meets an event that no page names."""
    assert list(PAGE["webhooks"]) == [name.value for name in Name]
    assert PAGE["components"]["schemas"]["Event"]["properties"]["type"]["enum"] == [name.value for name in Name]


@pytest.mark.parametrize("name", Name)
def test_an_example_is_what_is_sent(name: Name) -> None:
    """Lost otherwise: a receiver is written after an example that never comes."""
    shown = examples(name)
    assert shown
    for key, value in shown.items():
        VALIDATOR.validate(value)
        assert value == standard.payload(EVENTS[key])
        assert value["type"] == name.value


@pytest.mark.parametrize("name", EVENTS)
def test_every_call_is_as_described(name: str) -> None:
    """Lost otherwise: a receiver that validates what comes refuses true calls."""
    VALIDATOR.validate(standard.payload(EVENTS[name]))


def test_the_headers_are_as_described() -> None:
    """Lost otherwise: receivers look for a signature under another name."""
    request = rendered("standard", EVENTS["sent"])
    assert request is not None
    for parameter in PAGE["components"]["parameters"].values():
        Draft202012Validator(parameter["schema"]).validate(request.header(parameter["name"]))
    assert request.header("webhook-timestamp") == str(int(NOW))


def test_the_schema_is_no_sieve() -> None:
    """Lost otherwise: a test that validates everything proves nothing."""
    value = standard.payload(EVENTS["sent"])
    spoils: list[dict[str, Any]] = [{"type": "fax.lost"}, {"data": {}}, {"timestamp": 7}, {"more": 1}]
    for spoil in spoils:
        assert not VALIDATOR.is_valid({**value, **spoil})
