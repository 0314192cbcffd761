"""Who may send, and as which of the relay's numbers. Pure.

The sending number of a mail is the one its ``X-Fax-From`` names, if a rule permits it; else the one that lists the
exact address; else the one that lists the domain; else, nearest first, the one that lists the subdomains of a domain
above. Where several do at the same step, it is the sender's default. A rule counts only with its proof. Invariant: no
number is chosen without a rule that names the sender and whose proof is among the facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from policies.addresses import Pattern, Reach
from policies.decision import Facts, Reason, reason
from policies.numbers import BadNumber, parse_number
from policies.policy import Policy, Proof, SenderIndex, SenderRule
from policies.refusals import Refusal, RefusalKind

if TYPE_CHECKING:
    from collections.abc import Iterator

#: So many rules of one kind are listed one by one; a thousand numbers that share a domain are then counted.
MAX_LISTED: Final = 50
#: So many numbers a refusal names: an SMTP reply line ends at 512 octets (RFC 5321 section 4.5.3.1.5).
MAX_NAMED: Final = 10

_NOT_AUTHORISED = Refusal(
    RefusalKind.SENDER, "This address may not send faxes here. Ask the person who looks after the fax service."
)


@dataclass(slots=True)
class Choice:
    """The number to send as (E.164), or why there is none."""

    number: str | None = None
    refusal: Refusal | None = None
    missing_proofs: set[Proof] = field(default_factory=set)
    reasons: list[Reason] = field(default_factory=list)


def choose_number(policy: Policy, facts: Facts, default_region: str | None) -> Choice:
    """Return the sending number of a mail. ``default_region`` reads national digits in ``X-Fax-From``."""
    choice = Choice()
    levels = list(_levels(policy.senders, facts.from_address))
    if policy.senders.blocked and _blocked(choice, policy.senders, levels, facts.from_address):
        return choice
    if facts.requested_number is not None and _requested(choice, levels, facts, default_region):
        return choice
    for subject, rules in levels:
        numbers = _counted(choice, rules, facts)
        if numbers:
            _pick(choice, policy.senders, facts.from_address, subject, numbers)
            return choice
    if not any(rules for _, rules in levels):
        choice.reasons.append(reason("senders", None, f"no rule names {facts.from_address}", matched=False))
    choice.refusal = _NOT_AUTHORISED
    return choice


def _levels(index: SenderIndex, address: str) -> Iterator[tuple[Pattern, tuple[SenderRule, ...]]]:
    """Yield whom a rule may name to mean ``address``, the most exact first, with the rules that do."""
    domain = address.rpartition("@")[2]
    yield Pattern(Reach.ADDRESS, address), index.addresses.get(address, ())
    yield Pattern(Reach.DOMAIN, domain), index.domains.get(domain, ())
    above = domain.partition(".")[2]
    while above:
        yield Pattern(Reach.SUBDOMAINS, above), index.subdomains.get(above, ())
        above = above.partition(".")[2]


def _blocked(
    choice: Choice, index: SenderIndex, levels: list[tuple[Pattern, tuple[SenderRule, ...]]], address: str
) -> bool:
    """Refuse a sender whom the block list names, before any rule or proof is looked at."""
    for subject, _ in levels:
        source = index.blocked.get(subject)
        if source is not None:
            choice.reasons.append(reason("senders.block", source, f"{subject} is blocked: {address}", matched=True))
            choice.refusal = _NOT_AUTHORISED
            return True
    choice.reasons.append(reason("senders.block", None, f"no entry names {address}", matched=False))
    return False


def _requested(
    choice: Choice, levels: list[tuple[Pattern, tuple[SenderRule, ...]]], facts: Facts, region: str | None
) -> bool:
    """Try the number of ``X-Fax-From``; False leaves the choice to the other steps."""
    try:
        wanted = parse_number(facts.requested_number or "", region)
    except BadNumber:
        choice.reasons.append(reason("X-Fax-From", None, "the header holds no telephone number", matched=False))
        return False
    rules = tuple(rule for _, found in levels for rule in found if rule.number == wanted)
    permitted = bool(_counted(choice, rules, facts))
    text = f"{wanted} is {'permitted' if permitted else 'not permitted'} to {facts.from_address}"
    choice.reasons.append(reason("X-Fax-From", None, text, matched=permitted))
    choice.number = wanted if permitted else None
    return permitted


def _counted(choice: Choice, rules: tuple[SenderRule, ...], facts: Facts) -> list[str]:
    """Return the numbers, each once and in file order, that have a rule among ``rules`` with its proof."""
    numbers: dict[str, None] = {}
    for position, rule in enumerate(rules):
        counts = _proven(rule, facts)
        if counts:
            numbers[rule.number] = None
        else:
            choice.missing_proofs.add(rule.proof)
        if position < MAX_LISTED:
            choice.reasons.append(_rule_reason(rule, facts, counts=counts))
    if len(rules) > MAX_LISTED:
        text = f"{len(rules) - MAX_LISTED} more rules name {rules[0].pattern}"
        choice.reasons.append(reason("senders", rules[MAX_LISTED].source, text, matched=bool(numbers)))
    return list(numbers)


def _proven(rule: SenderRule, facts: Facts) -> bool:
    if rule.proof not in facts.proofs:
        return False
    if rule.proof is not Proof.NETWORK:
        return True
    client = facts.client_ip
    if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped  # how a dual-stack socket shows an IPv4 client
    return client is not None and any(client in network for network in rule.networks)


def _rule_reason(rule: SenderRule, facts: Facts, *, counts: bool) -> Reason:
    names = f"{rule.number} names {rule.pattern}" + (" as its own mail address" if rule.own_address else "")
    need = f"proof {rule.proof.value}"
    if rule.proof is Proof.NETWORK:
        need += f" ({', '.join(map(str, rule.networks))})"
    if counts:
        text = f"{names}; {need} is given"
    elif rule.proof in facts.proofs:
        text = f"{names} but needs {need}; the client is {facts.client_ip or 'unknown'}"
    else:
        given = ", ".join(sorted(proof.value for proof in facts.proofs)) or "no proof"
        text = f"{names} but needs {need}; given: {given}"
    return reason(f"numbers.{rule.number}.senders", rule.source, text, matched=counts)


def _pick(choice: Choice, index: SenderIndex, address: str, subject: Pattern, numbers: list[str]) -> None:
    if len(numbers) == 1:
        choice.number = numbers[0]
        return
    for pattern, _ in _levels(index, address):
        default, source = index.defaults.get(pattern, ("", None))
        if default in numbers:
            text = f"{default} is the default of {pattern}, of {len(numbers)} numbers that name {subject}"
            choice.reasons.append(reason(f"numbers.{default}.default_for", source, text, matched=True))
            choice.number = default
            return
    text = f"{len(numbers)} numbers name {subject}, and none is the default of {address}"
    choice.reasons.append(reason("default_for", None, text, matched=False))
    named = ", ".join(numbers[:MAX_NAMED]) + (" and others" if len(numbers) > MAX_NAMED else "")
    sentence = f"You may send as several numbers: {named}. Name one in the header X-Fax-From."
    choice.refusal = Refusal(RefusalKind.SENDER, sentence)
