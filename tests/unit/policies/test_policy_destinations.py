"""Where a fax may go, and as which digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies import T38, RefusalKind, check_destination, check_recipient

if TYPE_CHECKING:
    from policies import Policy
    from tests.unit.policies.conftest import LoadText

PREMIUM_US, PREMIUM_GB, SHARED_IL, FREE_GB = "+19005551234", "+449012345678", "+9721700123456", "+448001111111"


def rules(load_text: LoadText, *lines: str, otherwise: str = "allow") -> Policy:
    """Return a policy with these rules."""
    listed = "\n".join(f"    - {line}" for line in lines)
    return load_text(f"destinations:\n  otherwise: {otherwise}\n" + (f"  rules:\n{listed}" if lines else ""))


@pytest.mark.parametrize(
    ("number", "allowed"),
    [
        ("+97231234567", True),
        ("+972312345678", True),  # possible, though in no plan: the simulated network has such numbers
        ("+12025550199", True),
        (FREE_GB, True),
        (PREMIUM_US, False),
        (PREMIUM_GB, False),
        (SHARED_IL, False),
        ("+870772001234", False),
        ("+8821612345678", False),
        ("+883510012345", False),
    ],
)
def test_costly_numbers_are_denied_by_default(load_text: LoadText, number: str, *, allowed: bool) -> None:
    """A stolen mail account would run up a bill of thousands in a night."""
    verdict = check_destination(rules(load_text), number)
    assert verdict.accepted is allowed
    assert verdict.dialled == number
    if not allowed:
        assert verdict.reply == "550 5.7.1 Faxes to this number are not allowed here."
        assert "denied unless a rule allows the type" in verdict.reasons[-1].text


@pytest.mark.parametrize("rule", ["allow: {country: GB}", "allow: {prefix: +44}", "allow: {type: [mobile, toll_free]}"])
def test_costly_numbers_must_be_allowed_by_name(load_text: LoadText, rule: str) -> None:
    """'Allow Britain' would open its premium numbers too."""
    verdict = check_destination(rules(load_text, rule), PREMIUM_GB)
    assert not verdict.accepted
    policy = rules(load_text, rule, "allow: {country: GB, type: premium}")
    assert check_destination(policy, PREMIUM_GB).accepted
    assert not check_destination(policy, SHARED_IL).accepted
    assert check_destination(rules(load_text, "allow: {type: shared_cost}"), SHARED_IL).accepted


def test_the_first_rule_that_fits_decides(load_text: LoadText) -> None:
    """An exception above a wide rule would have no effect."""
    policy = rules(load_text, "allow: {prefix: +97231}", "deny: {country: IL}", "deny: {prefix: [+44, +4930]}")
    accepted = {
        number: check_destination(policy, number).accepted
        for number in ("+97231234567", "+97237654321", "+442071234567", "+493012345678", "+498912345678")
    }
    assert list(accepted.values()) == [True, False, False, False, True]
    reasons = check_destination(policy, "+97237654321").reasons
    assert [(reason.line, reason.matched) for reason in reasons] == [(4, False), (5, True)]
    assert reasons[1].text == "'deny IL' fits +97237654321 (fixed_line, IL)"


def test_all_that_is_not_allowed_can_be_denied(load_text: LoadText) -> None:
    """An office that faxes one country only could not say so."""
    policy = rules(load_text, "allow: {country: IL}", otherwise="deny")
    assert check_destination(policy, "+97231234567").accepted
    assert not check_destination(policy, "+12025550199").accepted


def test_an_unclear_country_is_read_against_the_caller(load_text: LoadText) -> None:
    """A number of the +1 area that is in no plan would pass as one of the United States, and may be in Jamaica."""
    unclear = "+18760000000"
    assert not check_destination(rules(load_text, "allow: {country: US}", otherwise="deny"), unclear).accepted
    assert not check_destination(rules(load_text, "deny: {country: JM}"), unclear).accepted
    assert check_destination(rules(load_text, "deny: {country: JM}"), "+12025550199").accepted


REWRITE = r"""
destinations:
  rules: [{deny: {prefix: +97222}}]
  rewrite:
    - match: '\+97231(\d{6})'
      to: '+97221\1'
      proof: [{from: +97231234567, to: +97221234567}]
    - match: '\+97232(\d{6})'
      to: '+97222\1'
      proof: [{from: +97232234567, to: +97222234567}]
    - match: '\+97221(\d{6})'
      to: '+97299\1'
      proof: [{from: +97221234567, to: +97299234567}]
    - match: '\+9723(\d{2,9})'
      to: '+972\1'
      proof: [{from: +97239123456, to: +9729123456}]
"""


def test_rewriting_comes_before_the_rules(load_text: LoadText) -> None:
    """A rewriting rule would be a way around a denied prefix, or would be applied over and over."""
    policy = load_text(REWRITE)
    assert check_destination(policy, "+97231234567").dialled == "+97221234567"
    assert check_destination(policy, "+441632960000").dialled == "+441632960000"
    denied = check_destination(policy, "+97232234567")
    assert (denied.accepted, denied.dialled) == (False, "+97222234567")
    assert [reason.matched for reason in denied.reasons] == [False, True, True]


def test_a_rewriting_that_makes_no_number_is_a_refusal(load_text: LoadText) -> None:
    """Digits that are no number would be dialled, or the mail would end in an internal error."""
    verdict = check_destination(load_text(REWRITE), "+97234567")
    assert verdict.refusal is not None
    assert verdict.refusal.kind is RefusalKind.BAD_NUMBER
    assert verdict.dialled is None


def test_the_longest_prefix_gives_the_way_of_calling(load_text: LoadText) -> None:
    """A machine with a setting of its own would be called like its whole country."""
    policy = load_text("""
        destinations:
          overrides:
            - {prefix: +972, max_rate: 9600}
            - {prefix: +97231234567, ecm: false, concurrency: 4, t38: never}
    """)
    machine = check_destination(policy, "+97231234567").override
    assert (machine.ecm, machine.max_rate, machine.concurrency, machine.t38) == (False, None, 4, T38.NEVER)
    assert check_destination(policy, "+97237654321").override.max_rate == 9600
    elsewhere = check_destination(policy, "+12025550199").override
    assert (elsewhere.ecm, elsewhere.max_rate, elsewhere.concurrency) == (True, None, 1)


def test_a_recipient_is_read_under_a_region(load_text: LoadText) -> None:
    """National digits in an address would be refused or reach another country."""
    policy = rules(load_text)
    verdict = check_recipient(policy, "03-1234567", "IL")
    assert (verdict.addressed, verdict.number, verdict.accepted) == ("03-1234567", "+97231234567", True)
    assert verdict.reply == "250 2.1.5 The number is accepted."
    refused = check_recipient(policy, "03-1234567\r\nx", "IL")
    assert refused.reply == "553 5.1.3 This is not a fax number: write digits, such as +12025550199."
