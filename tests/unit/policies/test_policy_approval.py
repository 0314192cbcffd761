"""Approval: which faxes wait until a person has said yes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from policies import Facts, Proof, as_json, decide, explain

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText, Mistakes

POLICY = """
domains:
  - {{name: fax.example.com, default_region: IL}}
numbers:
  - number: +97231234567
    features: [mail_to_fax]
    senders: [{{match: "@example.com", proof: none}}]
    approval: {approval}
"""
TO = ("+12025550123", "+97237654321")


def facts() -> Facts:
    """A mail to a number abroad and one at home."""
    return Facts("user@example.com", TO, "fax.example.com", frozenset({Proof.NONE}))


@pytest.mark.parametrize(
    ("approval", "abroad", "at_home"),
    [
        ("{by: [boss@example.com]}", "always", "always"),
        ("{by: [boss@example.com], over_pages: 5}", 5, 5),
        ("{by: [boss@example.com], destinations: {country: US}}", "always", "never"),
        ("{by: [boss@example.com], destinations: {prefix: +1202}, over_pages: 5}", "always", 5),
    ],
)
def test_what_waits_for_approval(load_text: LoadText, approval: str, abroad: object, at_home: object) -> None:
    """Lost otherwise: an expensive fax goes without anybody's word, or every page asks the boss."""
    decision = decide(load_text(POLICY.format(approval=approval)), facts())
    assert decision.accepted
    needs = ["never" if (a := one.approval) is None else a.over_pages or "always" for one in decision.recipients]
    assert needs == [abroad, at_home]


def test_an_explanation_names_who_has_to_approve(load_text: LoadText) -> None:
    """Lost otherwise: nobody can tell why a fax waits, or for whom."""
    policy = load_text(POLICY.format(approval="{by: [a@example.com, b@example.com], over_pages: 3, within: 4h}"))
    decision = decide(policy, facts())
    words = explain(decision)
    assert "dialled as +12025550123 once a@example.com or b@example.com has approved it if it has more than 3" in words
    assert "numbers.+97231234567.approval: waits for approval by a@example.com, b@example.com" in words
    recipients = as_json(decision)["recipients"]
    assert isinstance(recipients, list)
    assert [one["approval"] for one in recipients] == [
        {"by": ["a@example.com", "b@example.com"], "within_seconds": 14400, "over_pages": 3}
    ] * 2
    first = decision.recipients[0].approval
    assert first is not None
    assert first.within == timedelta(hours=4)


def test_mistakes_in_an_approval_are_told(mistakes: Mistakes) -> None:
    """Lost otherwise: a rule that never takes effect looks as if it did."""
    text = POLICY.format(approval="{by: [a@example.com, a@example.com], over_pages: 9, within: 1s}")
    found = mistakes(text + "    limits: {pages: 9}\n")
    assert len(found) == 3
    assert any("no fax has more than the 9 pages of limits.pages" in one for one in found)
    assert mistakes(POLICY.format(approval="{by: []}"))
    (told,) = mistakes(POLICY.format(approval="{by: [a@example.com]}") + "    confirm_within: 5s\n")
    assert "nobody can answer in less than a minute" in told
