"""Proof confirm: what is held until its sender has clicked, and what an explanation says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies import Facts, Proof, as_json, decide, explain, once_confirmed

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText

POLICY = """
domains:
  - {name: fax.example.com, default_region: IL}
numbers:
  - number: +97231234567
    features: [mail_to_fax]
    senders:
      - {match: "@example.com", proof: confirm}
      - {match: "@example.com", proof: dmarc}
      - {match: "@example.org", proof: auth}
    confirm_within: 1h30m
"""


@pytest.mark.parametrize(
    ("sender", "proofs", "held"),
    [
        ("user@example.com", {}, True),
        ("user@example.com", {Proof.NETWORK}, True),
        ("user@example.com", {Proof.DMARC}, False),
        ("user@example.com", {Proof.CONFIRM}, False),
        ("user@example.org", {}, False),
        ("user@example.net", {}, False),
    ],
)
def test_only_what_nothing_else_lets_through_is_held(
    load_text: LoadText, sender: str, proofs: set[Proof], *, held: bool
) -> None:
    """Lost otherwise: a proven sender is asked to click, or one is asked whose click would not help."""
    policy = load_text(POLICY)
    facts = Facts(sender, ("+12025550123",), "fax.example.com", frozenset(proofs))
    now = decide(policy, facts)
    later = once_confirmed(policy, facts, now)
    assert (later is not None) is held
    if later is not None:
        assert later.accepted
        assert not now.accepted


def test_an_explanation_shows_both_decisions(load_text: LoadText) -> None:
    """Lost otherwise: `policy explain` says 550 of a mail that is taken and held."""
    policy = load_text(POLICY)
    facts = Facts("user@example.com", ("+12025550123",), "fax.example.com")
    now = decide(policy, facts)
    later = once_confirmed(policy, facts, now)
    words = explain(now, later)
    assert "Sender: may not send" in words
    assert "a link is mailed to its From address, and for 1h30m the click counts as proof confirm:" in words
    assert words.endswith("Reply to the mail: 250 2.0.0 The mail is accepted.")
    told = as_json(now, later)
    assert told["accepted"] is False
    assert isinstance(told["once_confirmed"], dict)
    assert told["once_confirmed"]["sender"] == "+97231234567"
    assert as_json(now)["once_confirmed"] is None
