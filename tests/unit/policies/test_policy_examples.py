"""The files that an admin starts from, and the documents made from the schema."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import policies
from policies import CallFacts, Facts, Junk, Proof, decide, decide_call, explain, json_schema, load
from policies.document import Data, read
from policies.endpoints import CallbackEvent, Trigger
from policies.reference import render

EXAMPLES = Path(policies.__file__).parent / "examples"
DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("files", "sender", "proof", "recipient", "expected"),
    [
        (
            "first",
            "alice@example.com",
            Proof.NONE,
            "+97237654321",
            ["sends as +97231234567", "dialled as +97237654321"],
        ),
        ("first", "bob@example.com", Proof.NONE, "03-1234567", ["sends as +97237654321", "dialled as +97231234567"]),
        ("first", "carol@example.com", Proof.NONE, "+97237654321", ["+97231234567 is the default of @example.com"]),
        ("first", "alice@example.com", Proof.DMARC, "+97237654321", ["needs proof none", "550 5.7.1"]),
        (
            "office",
            "dana@example.com",
            Proof.AUTH,
            "202-555-0199",
            ["sends as +97237654321", "dialled as +12025550199"],
        ),
        ("office", "x@branch.example.com", Proof.DMARC, "+12025550199", ["sends as +97231234567"]),
        ("office", "x@partner.example", Proof.CONFIRM, "+12025550199", ["sends as +97231234567"]),
        ("office", "dana@example.com", Proof.AUTH, "202-555-0199", ["once dana@example.com or head@example.com has"]),
        ("first destinations", "alice@example.com", Proof.NONE, "+97235551234", ["becomes +97225551234", "250 2.0.0"]),
        ("first destinations", "alice@example.com", Proof.NONE, "+33142685300", ["no rule fits", "550 5.7.1"]),
        ("office retries", "x@example.com", Proof.DMARC, "+12025550199", ["sends as +97231234567"]),
        ("office register-trunk", "x@example.com", Proof.DMARC, "+12025550199", ["by trunk: carrier"]),
        ("office ip-trunk", "x@example.com", Proof.DMARC, "03-5550199", ["by trunk: domestic, then worldwide"]),
        ("office ip-trunk", "x@example.com", Proof.DMARC, "+12025550199", ["by trunk: worldwide"]),
        ("office kamailio-or-sbc", "x@example.com", Proof.DMARC, "+12025550199", ["by trunk: border"]),
        ("rules", "accounts@example.com", Proof.DMARC, "+12025550199", ["sends as +97235550300", "hours: closed now"]),
        ("first devices", "reception@example.com", Proof.DMARC, "+97231234567", ["sends as +97235550100"]),
        (
            "office destinations retries register-trunk ip-trunk kamailio-or-sbc devices",
            "x@example.com",
            Proof.DMARC,
            "+12025550199",
            ["by trunk: worldwide, then border, then carrier"],
        ),
    ],
)
def test_examples_load_and_decide(
    tmp_path: Path, files: str, sender: str, proof: Proof, recipient: str, expected: list[str]
) -> None:
    """The files that everybody starts from would not do what their comments say."""
    for name in files.split():
        shutil.copy(EXAMPLES / f"{name}.yaml", tmp_path)
    monday = 1_790_000_000.0
    facts = Facts(sender, (recipient,), "fax.example.com", frozenset({proof}), now=monday)
    text = explain(decide(load(tmp_path), facts))
    for part in expected:
        assert part in text


def test_no_example_is_left_out() -> None:
    """An example that no test reads would rot."""
    assert {path.name for path in EXAMPLES.iterdir()} == {
        "first.yaml",
        "office.yaml",
        "destinations.yaml",
        "retries.yaml",
        "register-trunk.yaml",
        "ip-trunk.yaml",
        "kamailio-or-sbc.yaml",
        "devices.yaml",
        "rules.yaml",
        "inbound.yaml",
        "people.yaml",
        "callbacks.yaml",
    }


def test_the_example_of_callbacks_does_what_its_comments_say(tmp_path: Path) -> None:
    """Who starts from the example would tell the wrong programs, or call what must not be called."""
    for name in ("office", "callbacks"):
        shutil.copy(EXAMPLES / f"{name}.yaml", tmp_path)
    crm, archive = load(tmp_path).callbacks.values()
    assert (crm.trigger, len(crm.delays), sum(crm.delays) > 30 * 3600) == (Trigger.STEP, 7, True)
    assert (crm.networks, crm.tell, [str(one) for one in crm.secrets]) == (
        frozenset(),
        "admin@example.com",
        ["env:CRM_SECRET"],
    )
    assert archive.events == {CallbackEvent.RECEIVED}
    assert archive.delays == (60.0,) * 9
    assert {str(network) for network in archive.networks} == {"192.168.10.0/24"}


def test_the_example_of_calls_that_come_in_does_what_its_comments_say(tmp_path: Path) -> None:
    """Who starts from the example would lose faxes that are wanted."""
    for name in ("office", "inbound", "people"):
        shutil.copy(EXAMPLES / f"{name}.yaml", tmp_path)
    policy = load(tmp_path)
    calls = {
        CallFacts("+97231234567", "+12025550166"): (Junk.REFUSE, ()),
        CallFacts("+97231234567", "+442071838750", "THE FAX BLAST", ""): (Junk.QUARANTINE, ()),
        CallFacts("+97231234567", "+442071838750", "", "204"): (None, ("room204@example.com",)),
        CallFacts("+97231234567", "+12025550123", "", ""): (None, ("america@example.com",)),
        CallFacts("+97231234567", "+442071838750", "", ""): (None, ("reception@example.com",)),
    }
    found = {call: decide_call(policy, call) for call in calls}
    assert {call: (each.junk, each.deliver_to) for call, each in found.items()} == calls
    assert not decide(policy, Facts("x@junk.example.net", ("+12025550199",), proofs=frozenset(Proof))).accepted
    assert policy.users["dana"].password_hash.startswith("$argon2id$")


def test_the_example_of_devices_says_what_each_machine_may_do(tmp_path: Path) -> None:
    """Who starts from the example would have a machine that does something else than its comment says."""
    shutil.copy(EXAMPLES / "devices.yaml", tmp_path)
    policy = load(tmp_path)
    hall, warehouse, spare = policy.devices.values()
    assert (hall.region, warehouse.username, warehouse.receipts_to_device) == ("IL", "201", True)
    assert (spare.allow_inbound, spare.allow_outbound) == (True, False)
    assert [number.receives for number in policy.numbers.values()] == [True, True]
    assert policy.numbers["+97235550101"].deliver_to_devices == ("warehouse", "warehouse-spare")


def test_the_reference_is_that_of_the_schema() -> None:
    """The documentation would describe keys that do not exist (write it anew with policies.reference.render)."""
    assert (DOCS / "policies.md").read_text(encoding="utf-8") == render()


def test_every_key_is_in_the_reference() -> None:
    """An admin would not learn about a key."""
    reference = render()
    for definition in json_schema()["$defs"].values():
        for key, schema in definition.get("properties", {}).items():
            assert f"| `{key}` |" in reference
            assert schema.get("description"), key


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_json_schema_knows_what_the_loader_takes(path: Path) -> None:
    """An editor would underline a correct file."""
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert not {"x-value", "x-unit", "x-single"} & set(re.findall(r"x-\w+", str(schema)))
    assert fits(read(path.read_bytes()).data, schema, schema["$defs"])


def fits(data: Data, schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """Return whether ``data`` has the shape of ``schema``: its keys, lists, mappings and enumerations."""
    if "$ref" in schema:
        return fits(data, definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return any(fits(data, each, definitions) for each in schema["anyOf"])
    if isinstance(data, dict):
        known = schema.get("properties", {})
        other = schema.get("additionalProperties", False)
        wanted = [(value, known.get(key, other)) for key, value in data.items()]
        return schema.get("type") == "object" and all(each and fits(value, each, definitions) for value, each in wanted)
    if isinstance(data, list):
        return schema.get("type") == "array" and all(fits(each, schema["items"], definitions) for each in data)
    if "enum" in schema:
        return data in map(str, schema["enum"])
    return bool(
        set(schema["type"] if isinstance(schema["type"], list) else [schema["type"]]) - {"object", "array", "null"}
    )
