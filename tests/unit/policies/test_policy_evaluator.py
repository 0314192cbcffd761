"""The decision on a mail: limits, quotas, settings, replies, words and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from policies import Facts, Proof, Refusal, RefusalKind, Usage, as_json, decide, explain, load, resolve_domain

if TYPE_CHECKING:
    from pathlib import Path

    from policies import Decision, Policy
    from tests.unit.policies.conftest import LoadText

NUMBER, FAR = "+97231234567", "+12025550199"
OWN = f"{NUMBER} names alice@example.com as its own mail address"
FILE = f"""
domains:
  - {{name: fax.example.com, default_region: IL}}
  - {{name: world.example.com}}
numbers:
  - number: {NUMBER}
    deliver_to: [alice@example.com]
    limits: {{faxes_per_hour: 5, faxes_per_day: 8, pages: 10, recipients: 6, attachment_bytes: 1MB}}
  - number: +12025550123
    default_region: US
    deliver_to: [uncle@example.com]
destinations:
  rules: [{{deny: {{country: DE}}}}]
"""


@pytest.fixture
def policy(load_text: LoadText) -> Policy:
    """One number with every limit, one of another country."""
    return load_text(FILE)


def ask(policy: Policy, *recipients: str, address: str = "alice@example.com", **facts: Any) -> Decision:
    """Return the decision on a proven mail."""
    asked = {"domain": "fax.example.com", "proofs": frozenset({Proof.DMARC})} | facts
    return decide(policy, Facts(address, recipients, **asked))


@pytest.mark.parametrize(
    ("recipients", "facts", "reply"),
    [
        (1, {}, "250 2.0.0 The mail is accepted."),
        (5, {}, "250 2.0.0 The mail is accepted."),
        (7, {}, "550 5.5.3 A mail may name at most 6 fax numbers. Send it in parts."),
        (1, {"attachment_bytes": (5, 1024**2)}, "250 2.0.0 The mail is accepted."),
        (
            1,
            {"attachment_bytes": (5, 1024**2 + 1)},
            "552 5.3.4 An attachment is larger than the 1 MB that are allowed.",
        ),
        (1, {"pages": 10}, "250 2.0.0 The mail is accepted."),
        (1, {"pages": 11}, "552 5.3.4 The fax has 11 pages; 10 are allowed."),
        (1, {"usage": {NUMBER: Usage(4, 4)}}, "250 2.0.0 The mail is accepted."),
        (
            2,
            {"usage": {NUMBER: Usage(4, 4)}},
            "452 4.2.2 Your number has sent its faxes for this hour. Try again later.",
        ),
        (
            1,
            {"usage": {NUMBER: Usage(0, 8)}},
            "452 4.2.2 Your number has sent its faxes for this day. Try again later.",
        ),
        (1, {"usage": {"+12025550123": Usage(99, 99)}}, "250 2.0.0 The mail is accepted."),
        (
            6,
            {},
            "550 5.5.3 Your number may send 5 faxes in one hour, and this mail asks for 6. Send it in parts.",
        ),
        (0, {}, "250 2.0.0 The mail is accepted."),
    ],
)
def test_limits(policy: Policy, recipients: int, facts: dict[str, Any], reply: str) -> None:
    """A number would send more than its admin allows, or its user would not learn why it does not."""
    decision = ask(policy, *[FAR] * recipients, **facts)
    assert decision.reply == reply
    assert decision.accepted is reply.startswith("250")
    assert len(decision.recipients) == recipients


@pytest.mark.parametrize(
    ("own", "senders", "reply"),
    [
        (Usage(9, 9, 49, 99), Usage(1, 1, 4, 4), "250 2.0.0"),
        (Usage(0, 0, 50, 50), Usage(), "452 4.2.2 Your number has sent its pages for this hour. Try again later."),
        (Usage(0, 0, 0, 100), Usage(), "452 4.2.2 Your number has sent its pages for this day. Try again later."),
        (Usage(), Usage(2, 2), "452 4.2.2 You have sent your faxes for this hour. Try again later."),
        (Usage(), Usage(0, 0, 0, 5), "452 4.2.2 You have sent your pages for this day. Try again later."),
    ],
)
def test_pages_and_each_senders_share_are_limited(load_text: LoadText, own: Usage, senders: Usage, reply: str) -> None:
    """Lost otherwise: one sender uses up what a whole office may send, or one fax of 1,000 pages its line."""
    policy = load_text(f"""
        numbers:
          - number: {NUMBER}
            deliver_to: [alice@example.com]
            limits:
              {{pages_per_hour: 50, pages_per_day: 100, per_sender: {{faxes_per_hour: 2, pages_per_day: 5}}}}
    """)
    decision = ask(policy, FAR, domain=None, usage={NUMBER: own}, sender_usage={NUMBER: senders})
    assert decision.reply.startswith(reply)


def test_each_recipient_has_its_verdict(policy: Policy) -> None:
    """One bad number would hold back the faxes to all the others, or be forgotten among them."""
    decision = ask(policy, FAR, "+4930123456", "12", "03-7654321")
    assert decision.accepted
    assert [verdict.reply[:9] for verdict in decision.recipients] == [
        "250 2.1.5",
        "550 5.7.1",
        "553 5.1.3",
        "250 2.1.5",
    ]
    assert decision.recipients[3].dialled == "+97237654321"


def test_a_mail_without_an_allowed_recipient_is_refused(policy: Policy) -> None:
    """A mail that faxes nobody would be answered with 250."""
    assert ask(policy, "+4930123456", "12").reply == "550 5.7.1 Faxes to this number are not allowed here."
    assert ask(policy, "12").reply.startswith("553 5.1.3 ")


def test_refused_recipients_do_not_use_the_quota(policy: Policy) -> None:
    """A typing mistake in one number would use up the hour of the whole office."""
    assert ask(policy, FAR, "12", "13", usage={NUMBER: Usage(4, 4)}).accepted


@pytest.mark.parametrize(
    ("address", "domain", "dialled"),
    [
        ("alice@example.com", "fax.example.com", "+97221234567"),
        ("uncle@example.com", "fax.example.com", None),
        ("uncle@example.com", "world.example.com", None),
        ("alice@example.com", "world.example.com", None),
    ],
)
def test_national_digits_are_read_by_the_senders_number(
    policy: Policy, address: str, domain: str, dialled: str | None
) -> None:
    """An American number's user would reach Israel with digits that mean Washington."""
    assert ask(policy, "021234567", address=address, domain=domain).recipients[0].dialled == dialled
    washington = ask(policy, "(202) 555-0199", address="uncle@example.com", domain=domain)
    assert washington.recipients[0].dialled == FAR


def test_language_is_that_of_the_number_or_the_domain(tmp_path: Path) -> None:
    """A mail would come in a language that its reader was not promised."""
    (tmp_path / "a.yaml").write_text(
        "domains: [{name: fax.example.com, language: he}]\n"
        "numbers:\n"
        "  - {number: +97231234567, deliver_to: [a@example.com]}\n"
        "  - {number: +97237654321, deliver_to: [b@example.com], language: en}\n"
    )
    policy = load(tmp_path, languages=frozenset({"en", "he"}))
    languages = [ask(policy, FAR, address=f"{who}@example.com").language for who in "abx"]
    assert languages == ["he", "en", "he"]
    assert ask(policy, FAR, domain=None, address="x@example.com").language == "en"


def test_domains_are_found_in_any_case(policy: Policy) -> None:
    """Mail to FAX.Example.com would be refused."""
    domain = resolve_domain(policy, "FAX.Example.com")
    assert domain is not None
    assert domain.name == "fax.example.com"
    assert resolve_domain(policy, "example.com") is None


def test_replies_have_the_codes_of_smtp() -> None:
    """A sender's server would try again what is refused for good, or give up what is not."""
    codes = {kind.label: (kind.smtp_code, kind.enhanced_code) for kind in RefusalKind}
    assert codes == {
        "bad_number": (553, "5.1.3"),
        "destination": (550, "5.7.1"),
        "sender": (550, "5.7.1"),
        "no_attachment": (550, "5.6.0"),
        "format": (550, "5.6.1"),
        "too_large": (552, "5.3.4"),
        "too_many_pages": (552, "5.3.4"),
        "too_many_recipients": (550, "5.5.3"),
        "over_quota": (452, "4.2.2"),
        "dns_trouble": (451, "4.4.3"),
        "our_fault": (451, "4.3.0"),
    }
    for kind in RefusalKind:
        assert kind.permanent is kind.enhanced_code.startswith("5.")
    assert Refusal(RefusalKind.OVER_QUOTA, "Later.").reply == "452 4.2.2 Later."


def test_an_explanation_shows_rules_verdicts_and_replies(policy: Policy) -> None:
    """An admin could not find out why a mail was refused."""
    text = explain(ask(policy, FAR, "+4930123456"))
    lines = [line.replace(policy.numbers[NUMBER].source.file, "a.yaml") for line in text.splitlines()]
    assert lines == [
        f"Sender: sends as {NUMBER}",
        f"  + a.yaml:7: numbers.{NUMBER}.senders: {OWN}; proof dmarc is given",
        f"  - a.yaml:6: numbers.{NUMBER}.limits.recipients: 2 of at most 6",
        f"  - a.yaml:6: numbers.{NUMBER}.limits.faxes_per_hour: 0 of 5 faxes in the last hour, 1 more asked for",
        f"  - a.yaml:6: numbers.{NUMBER}.limits.faxes_per_day: 0 of 8 faxes in the last day, 1 more asked for",
        "",
        f"To '{FAR}': accepted, dialled as {FAR}",
        f"  - a.yaml:13: destinations.rules[0]: 'deny DE' does not fit {FAR} (fixed_or_mobile, US)",
        f"  + built in: destinations.otherwise: no rule fits {FAR} (fixed_or_mobile, US): allow",
        "  reply: 250 2.1.5 The number is accepted.",
        "",
        "To '+4930123456': refused",
        "  + a.yaml:13: destinations.rules[0]: 'deny DE' fits +4930123456 (fixed_line, DE)",
        "  reply: 550 5.7.1 Faxes to this number are not allowed here.",
        "",
        "Reply to the mail: 250 2.0.0 The mail is accepted.",
    ]


def test_the_json_of_a_decision_is_complete(policy: Policy) -> None:
    """A program that asks the relay would miss the verdict, its reasons or the settings."""
    told = json.loads(json.dumps(as_json(ask(policy, FAR, "12"))))
    assert told["accepted"] is True
    assert told["sender"] == NUMBER
    assert told["settings"]["retries"] == {
        "retries": 3,
        "delay_seconds": 300,
        "delays_seconds": {},
        "never": [],
        "ladder": ["t38", "t38-9600", "g711", "g711-9600-no-ecm"],
        "remember_seconds": 30 * 86400,
    }
    assert [recipient["trunks"] for recipient in told["recipients"]] == [None, None]
    assert told["settings"]["resolution"] == "fine"
    assert [recipient["refusal"] for recipient in told["recipients"]] == [None, "bad_number"]
    calls = {"ecm": True, "max_rate": None, "t38": "auto", "concurrency": 1, "notes": ""}
    assert told["recipients"][0]["calls"] == calls
    assert told["reasons"][0]["line"] == 7
    refused = as_json(ask(policy, FAR, proofs=frozenset()))
    assert (refused["refusal"], refused["missing_proofs"], refused["settings"]) == ("sender", ["dmarc"], None)
