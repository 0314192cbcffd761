"""Calls that come in: who is blocked, when, and who gets the faxes of the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import CallFacts, InboundDecision, Junk, Policy, call_as_json, decide_call, explain_call
from policies.inbound import fits

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText

OURS, SECOND, FAR = "+97231234567", "+97237654321", "+12025550123"
NUMBERS = """\
numbers:
  - {number: +97231234567, deliver_to: [front@example.com]}
  - {number: +97237654321, deliver_to: [back@example.com]}
  - {number: +97235550100, features: [mail_to_fax], senders: [{match: a@example.com}]}
"""
RULES = """\
inbound:
  block:
    - {csid: "*blast*", junk: quarantine}
    - {caller: [+1900*, "+12025550199"]}
    - {called: +97237654321, caller: anonymous, junk: deliver}
    - {csid: "SPAM ?", notes: they call at night}
  routes:
    - {called: +97231234567, subaddress: "204", deliver_to: [room204@example.com]}
    - {caller: +1202*, deliver_to: [america@example.com]}
    - {called: +97231234567, csid: "*bank*", deliver_to: [accounts@example.com]}
"""


@pytest.fixture
def policy(load_text: LoadText) -> Policy:
    """A policy with blocks and routes."""
    return load_text(NUMBERS, RULES)


def ask(policy: Policy, caller: str = FAR, csid: str | None = None, sub: str | None = None) -> InboundDecision:
    """Return the decision on a call to the first number."""
    return decide_call(policy, CallFacts(OURS, caller, csid, sub))


@pytest.mark.parametrize("caller", ["+19005550100", "+12025550199"])
def test_a_blocked_caller_is_refused_while_it_rings(policy: Policy, caller: str) -> None:
    """Lost otherwise: junk costs paper, and its senders learn that a machine answers."""
    found = ask(policy, caller)
    assert (found.unanswered, found.junk, found.deliver_to) == (True, Junk.REFUSE, ())
    (taken,) = [reason for reason in found.reasons if reason.matched]
    assert (taken.rule, taken.line) == ("inbound.block[1]", 4)


def test_a_number_that_only_begins_alike_is_answered(policy: Policy) -> None:
    """Lost otherwise: one blocked number blocks its neighbours."""
    assert not ask(policy, "+120255501990").unanswered
    assert ask(policy, "").junk is None  # anonymous is blocked for the other number alone


def test_an_anonymous_caller_may_be_marked(policy: Policy) -> None:
    """Lost otherwise: a withheld number can only be refused or trusted."""
    found = decide_call(policy, CallFacts(SECOND, ""))
    assert (found.unanswered, found.junk, found.deliver_to) == (False, Junk.DELIVER, ("back@example.com",))


def test_an_ident_counts_once_it_is_known(policy: Policy) -> None:
    """Lost otherwise: a caller is refused for what nobody has heard yet."""
    assert ask(policy).junk is None
    found = ask(policy, "+4420", "The Fax Blast Co")
    assert (found.junk, found.unanswered, found.deliver_to) == (Junk.QUARANTINE, False, ())
    assert found.meant_for == (("front@example.com",), ())
    refused = ask(policy, "+4420", "spam7")
    assert (refused.junk, refused.unanswered) == (Junk.REFUSE, False)
    assert ask(policy, "+4420", "").junk is None


def test_the_first_route_that_fits_says_who_gets_the_fax(policy: Policy) -> None:
    """Lost otherwise: a fax lies in a mailbox that nobody reads for it."""
    assert ask(policy, FAR, "x", "204").deliver_to == ("room204@example.com",)
    assert ask(policy, FAR, "x", " 2 04").deliver_to == ("room204@example.com",)
    assert ask(policy, FAR, "x", "205").deliver_to == ("america@example.com",)
    assert ask(policy, "+4420", "First Bank").deliver_to == ("accounts@example.com",)
    assert ask(policy, "+4420", "x").deliver_to == ("front@example.com",)
    assert decide_call(policy, CallFacts(SECOND, FAR, "bank")).deliver_to == ("america@example.com",)


def test_a_number_that_receives_nothing_is_not_answered(policy: Policy) -> None:
    """Lost otherwise: a route opens a number that its owner closed."""
    for called in ("+97235550100", "+97230000000"):
        found = decide_call(policy, CallFacts(called, FAR))
        assert (found.unanswered, found.number, found.deliver_to) == (True, None, ())


def test_what_is_explained_names_the_rules(policy: Policy) -> None:
    """Lost otherwise: an admin guesses which entry let a caller through."""
    call = CallFacts(OURS, "+4420", "The Fax Blast Co")
    told = explain_call(call, decide_call(policy, call))
    assert told.startswith("Call from +4420 to +97231234567: answered; the fax is kept in quarantine")
    assert "b.yaml:3: inbound.block[0]: what comes is kept" in told
    assert "inbound.block[1]: means other callers than +4420" in told
    data = json.loads(json.dumps(call_as_json(ask(policy, "+19005550100"))))
    assert (data["answered"], data["junk"]) == (False, "refuse")
    assert "SIP 603" in data["fate"]


def test_many_rules_are_counted_and_not_listed(load_text: LoadText) -> None:
    """Lost otherwise: an explanation of ten thousand lines."""
    block = "".join(f"    - {{caller: +4420{n:06d}}}\n" for n in range(80))
    found = ask(load_text(NUMBERS, f"inbound:\n  block:\n{block}"))
    assert "30 more do not fit" in [reason.text for reason in found.reasons]
    assert len(found.reasons) == 52


@pytest.mark.parametrize(
    ("glob", "ident", "expected"),
    [
        ("*", "x", True),
        ("+1 202 555 0123", "+12025550123", True),
        ("a*b*c", "aXbYbZc", True),
        ("a*b*c", "aXbYbZ", False),
        ("?", "ab", False),
        ("[a]", "a", False),
        ("**x", "yyx", True),
    ],
)
def test_an_ident_is_compared_as_people_write_it(glob: str, ident: str, expected: bool) -> None:
    """Lost otherwise: a space that a machine pads its ident with lets it through."""
    assert fits(glob, ident) is expected


@given(st.text("ab ", max_size=20), st.text("ab", min_size=1, max_size=20))
def test_a_part_with_stars_around_it_is_found_anywhere(part: str, ident: str) -> None:
    """Lost otherwise: a glob misses what stands in the middle."""
    assert fits(f"*{part}*", ident) == (part.replace(" ", "") in ident)
