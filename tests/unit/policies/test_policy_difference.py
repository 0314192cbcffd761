"""What a new folder would change, told before it does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import policies
from policies import load
from policies.difference import Kind, as_json, as_text, differences, layout

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText

BEFORE = """\
domains: [{name: fax.example.com, default_region: IL}]
numbers:
  - {number: +97231234567, deliver_to: [a@example.com], senders: [{match: "@example.com"}], limits: {pages: 10}}
  - {number: +97237654321, deliver_to: [b@example.com]}
destinations:
  rules: [{deny: {prefix: +1876}}, {allow: {country: IL}}]
  overrides: [{prefix: +9724, ecm: false}]
"""
AFTER = """\
domains: [{name: fax.example.com, default_region: IL}]
numbers:
  - number: +97231234567
    deliver_to: [a@example.com, c@example.com]
    senders: [{match: "@example.com", proof: auth}]
    limits: {pages: 20}
    hours: {zone: Asia/Jerusalem, open: [{days: [sun, mon], from: 08:30, to: 17:00}]}
  - {number: +97235550100, deliver_to: [d@example.com]}
destinations:
  rules: [{allow: {country: IL}}, {deny: {prefix: +1876}}]
  overrides: [{prefix: +9724, ecm: false, notes: an old machine}]
inbound:
  block: [{caller: +1900*, junk: quarantine}]
users:
  - name: alice
    password_hash: '$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo'
"""


def test_what_differs_is_told_object_by_object_and_field_by_field(load_text: LoadText) -> None:
    """Lost otherwise: an admin puts a folder in force and learns by complaints what it changed."""
    before, after = layout(load_text(BEFORE)), layout(load_text(AFTER))
    changes = {change.name: change for change in differences(before, after)}
    assert {name: change.kind for name, change in changes.items()} == {
        "numbers.+97231234567": Kind.CHANGED,
        "numbers.+97235550100": Kind.ADDED,
        "numbers.+97237654321": Kind.REMOVED,
        "destinations": Kind.CHANGED,
        "destinations.overrides.+9724": Kind.CHANGED,
        "inbound": Kind.CHANGED,
        "users.alice": Kind.ADDED,
    }
    told = as_text(list(changes.values()))
    for line in (
        "~ numbers.+97231234567",
        "    deliver_to:\n      + c@example.com",
        "    limits.pages: 10 -> 20",
        "    settings.hours: none -> zone: Asia/Jerusalem; windows: mon, sun 08:30 to 17:00; holidays: none",
        "    senders:\n      - @example.com by dmarc\n      + @example.com by auth",
        "    rules: the same in another order",
        "    notes: none -> an old machine",
        "      + callers.prefixes: +1900; junk: quarantine",
        "2 added, 1 removed, 4 changed",
    ):
        assert line in told
    assert "aGFzaGhhc2" not in json.dumps(as_json(list(changes.values())))


def test_a_rule_that_moves_to_another_file_changes_nothing(load_text: LoadText, tmp_path: Path) -> None:
    """Lost otherwise: a folder that was only tidied up seems to change everything."""
    one = layout(load_text(BEFORE))
    shutil.move(tmp_path / "a.yaml", tmp_path / "b.yaml")
    (tmp_path / "b.yaml").write_text("# tidied up\n\n" + BEFORE)
    assert differences(one, layout(load(tmp_path))) == []
    assert as_text([]) == "nothing would change"


def test_every_example_is_laid_out_as_json(tmp_path: Path) -> None:
    """Lost otherwise: the service cannot tell another process what is in force."""
    for name in ("office", "destinations", "retries", "register-trunk", "inbound", "people"):
        shutil.copy(Path(policies.__file__).parent / "examples" / f"{name}.yaml", tmp_path)
    found = layout(load(tmp_path))
    assert json.loads(json.dumps(found)) == found
    assert differences({}, found)[0].kind is Kind.ADDED
