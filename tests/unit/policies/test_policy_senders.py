"""Who may send, and as which number."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from policies import Facts, Proof, decide

if TYPE_CHECKING:
    from policies import Decision, Policy
    from tests.unit.policies.conftest import LoadText

A, B, C = "+97231111111", "+97232222222", "+97233333333"
FILE = f"""
domains: [{{name: fax.example.com, default_region: IL}}]
numbers:
  - number: {A}
    deliver_to: [alice@example.com]
    senders:
      - {{match: "@example.com", proof: dmarc}}
      - {{match: pair@example.com, proof: dmarc}}
      - {{match: "@*.example.com", proof: dmarc}}
    default_for: [pair@example.com]
  - number: {B}
    deliver_to: [bob@example.com]
    senders:
      - {{match: "@example.com", proof: auth}}
      - {{match: pair@example.com, proof: dmarc}}
      - {{match: both@example.com, proof: dmarc}}
      - {{match: "@near.example.com", proof: dmarc}}
      - {{match: printer@example.com, proof: network, networks: [192.0.2.0/24, "2001:db8::/32"]}}
  - number: {C}
    features: [mail_to_fax]
    senders:
      - {{match: both@example.com, proof: dmarc}}
      - {{match: anyone@loopback.example, proof: none}}
      - {{match: "@*.near.example.com", proof: dmarc}}
"""


@pytest.fixture
def policy(load_text: LoadText) -> Policy:
    """Three numbers whose rules overlap."""
    return load_text(FILE)


def ask(policy: Policy, address: str, *proofs: Proof, client: str | None = None, wants: str | None = None) -> Decision:
    """Return the decision on a mail from ``address`` to a number that is allowed."""
    ip = ip_address(client) if client else None
    facts = Facts(address, ("+12025550199",), "fax.example.com", frozenset(proofs), ip, wants)
    return decide(policy, facts)


@pytest.mark.parametrize(
    ("address", "proofs", "number"),
    [
        ("alice@example.com", {Proof.DMARC}, A),  # the number's own address, with the proof of its domain's rule
        ("bob@example.com", {Proof.AUTH}, B),
        ("carol@example.com", {Proof.DMARC}, A),  # two numbers list the domain, one with the proof that is given
        ("carol@example.com", {Proof.AUTH}, B),
        ("pair@example.com", {Proof.DMARC}, A),  # two list the address; A is its default
        ("x@sub.example.com", {Proof.DMARC}, A),
        ("x@near.example.com", {Proof.DMARC}, B),  # the domain itself comes before subdomains of the one above
        ("x@very.near.example.com", {Proof.DMARC}, C),  # the nearer domain comes first
        ("anyone@loopback.example", {Proof.NONE}, C),
    ],
)
def test_the_nearest_proven_rule_gives_the_number(
    policy: Policy, address: str, proofs: set[Proof], number: str
) -> None:
    """A fax would leave under the number of another department."""
    decision = ask(policy, address, *proofs)
    assert decision.sender is not None
    assert decision.sender.number == number
    assert decision.accepted


@pytest.mark.parametrize(
    ("address", "proofs"),
    [
        ("carol@example.com", set()),
        ("carol@example.com", {Proof.NONE, Proof.NETWORK, Proof.CONFIRM, Proof.CLIENT_CERT}),
        ("anyone@loopback.example", {Proof.DMARC, Proof.AUTH}),
        ("stranger@elsewhere.example", set(Proof)),
        ("x@notexample.com", set(Proof)),
        ("x@example.com.evil.example", set(Proof)),
        ("loopback.example", set(Proof)),
    ],
)
def test_no_rule_counts_without_its_proof(policy: Policy, address: str, proofs: set[Proof]) -> None:
    """A forger would send faxes under somebody's number."""
    decision = ask(policy, address, *proofs)
    assert decision.sender is None
    assert decision.settings is None
    assert decision.refusal is not None
    assert decision.reply.startswith("550 5.7.1 This address may not send faxes here.")


def test_a_near_miss_is_told_to_the_admin_alone(policy: Policy) -> None:
    """An admin could not tell a missing proof from a missing rule, or a forger would learn which proof to forge."""
    near, far = (
        ask(policy, "carol@example.com", Proof.NETWORK),
        ask(policy, "stranger@elsewhere.example", Proof.NETWORK),
    )
    assert near.reply == far.reply
    told = [reason.text for reason in near.reasons]
    assert told == [
        f"{A} names @example.com but needs proof dmarc; given: network",
        f"{B} names @example.com but needs proof auth; given: network",
    ]
    assert [reason.text for reason in far.reasons] == ["no rule names stranger@elsewhere.example"]
    assert near.missing_proofs == {Proof.DMARC, Proof.AUTH}
    assert far.missing_proofs == set()
    assert [reason.line for reason in near.reasons] == [7, 14]


@pytest.mark.parametrize(
    ("client", "accepted"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::1", True),
        ("192.0.3.7", False),
        ("::c000:207", False),
        (None, False),
    ],
)
def test_proof_network_looks_at_the_client(policy: Policy, client: str | None, *, accepted: bool) -> None:
    """A machine from elsewhere would send as the one whose place was trusted."""
    decision = ask(policy, "printer@example.com", Proof.NETWORK, client=client)
    assert decision.accepted is accepted
    if not accepted:
        assert f"the client is {client or 'unknown'}" in decision.reasons[0].text


def test_proof_network_needs_a_client_that_the_listener_vouches_for(policy: Policy) -> None:
    """Behind a proxy, everybody would come from the trusted network."""
    assert not ask(policy, "printer@example.com", client="192.0.2.7").accepted


def test_several_numbers_without_a_default_are_named(policy: Policy) -> None:
    """A sender of two numbers would not learn how to choose."""
    decision = ask(policy, "both@example.com", Proof.DMARC)
    assert decision.reply == (
        f"550 5.7.1 You may send as several numbers: {B}, {C}. Name one in the header X-Fax-From."
    )


@pytest.mark.parametrize("wants", [C, "03-3333333", " 03 333 3333 "])
def test_the_requested_number_is_used_where_it_is_permitted(policy: Policy, wants: str) -> None:
    """A sender of two numbers could not choose."""
    decision = ask(policy, "both@example.com", Proof.DMARC, wants=wants)
    assert decision.sender is not None
    assert decision.sender.number == C


@pytest.mark.parametrize("wants", [C, "+97239999999", "Sales", ""])
def test_a_requested_number_that_is_not_permitted_is_not_used(policy: Policy, wants: str) -> None:
    """A header line of a mail would open every number of the relay."""
    decision = ask(policy, "carol@example.com", Proof.DMARC, wants=wants)
    assert decision.sender is not None
    assert decision.sender.number == A
    assert any(reason.rule == "X-Fax-From" and not reason.matched for reason in decision.reasons)


def test_a_requested_number_needs_its_own_proof(policy: Policy) -> None:
    """A proof for one number would open another that asks for more."""
    decision = ask(policy, "carol@example.com", Proof.DMARC, wants=B)
    assert decision.sender is not None
    assert decision.sender.number == A


def test_a_domain_of_many_numbers_is_explained_briefly(load_text: LoadText) -> None:
    """A refusal would be longer than an SMTP line, and its explanation longer than a screen can show."""
    numbers = "".join(
        f"  - {{number: +97231{index:06d}, features: [mail_to_fax], senders: [{{match: '@example.com'}}]}}\n"
        for index in range(200)
    )
    decision = ask(load_text("numbers:\n" + numbers), "a@example.com", Proof.DMARC)
    assert decision.reply.endswith("and others. Name one in the header X-Fax-From.")
    assert len(decision.reply) < 510
    assert len(decision.reasons) == 52
    assert decision.reasons[50].text == "150 more rules name @example.com"


def test_a_blocked_sender_is_refused_whatever_names_them(load_text: LoadText) -> None:
    """Lost otherwise: a taken-over mailbox goes on sending until every rule that names it is found."""
    policy = load_text(
        "numbers: [{number: +97231234567, deliver_to: [a@example.com], senders: [{match: '@example.com'}, "
        "{match: '@*.example.com'}]}]\n",
        "senders:\n  block: [mallory@example.com, '@bad.example.com', '@*.worse.example.com']\n",
    )
    for blocked in ("mallory@example.com", "x@bad.example.com", "x@a.worse.example.com"):
        facts = Facts(blocked, ("+12025550123",), proofs=frozenset(Proof), requested_number="+97231234567")
        decision = decide(policy, facts)
        assert decision.reply.startswith("550 5.7.1 ")
        assert not decision.missing_proofs
        assert [reason.rule for reason in decision.reasons if reason.matched] == ["senders.block"]
    for other in ("a@example.com", "x@worse.example.com"):
        assert decide(policy, Facts(other, ("+12025550123",), proofs=frozenset(Proof))).accepted
