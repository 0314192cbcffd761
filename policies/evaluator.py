"""The decision on a mail: decision = f(policy, facts). Pure: no clock, no I/O; the same input gives the same answer.

Order: the sender, the mail's own limits, each recipient, the number's quota, its hours of sending. The first refusal of
the whole stands; recipients are judged all the same, so that an explanation shows everything. A route is told
and refuses nothing: whether trunks are used at all is not a matter of the policy files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from policies import quotas
from policies.decision import Decision, Facts, Reason, Usage, Verdict, reason
from policies.destinations import approval_for, check_recipient
from policies.hours import moment, next_opening
from policies.policy import MEGABYTE, Domain, Number, Policy
from policies.refusals import Refusal, RefusalKind
from policies.senders import choose_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.approval import Approval

_FALLBACK_LANGUAGE = "en"


def resolve_domain(policy: Policy, domain: str) -> Domain | None:
    """Return the fax domain of that name (any case, A-labels), None where mail to it is not a fax."""
    return policy.domains.get(domain.lower())


def decide(policy: Policy, facts: Facts) -> Decision:
    """Return what becomes of a mail; see :class:`Facts` for what is asked and :class:`Decision` for the answer."""
    domain = resolve_domain(policy, facts.domain) if facts.domain else None
    domain_region = domain.default_region if domain else None
    choice = choose_number(policy, facts, domain_region)
    number = policy.numbers[choice.number] if choice.number else None
    region = (number.default_region if number else None) or domain_region
    verdicts = tuple(check_recipient(policy, text, region) for text in facts.recipients)
    reasons = choice.reasons
    refusal = choice.refusal
    if number is not None:
        refusal = _first_refusal(number, facts, verdicts, reasons)
        if policy.trunks:
            verdicts = tuple(_routed(policy, number, verdict) for verdict in verdicts)
        if number.approval is not None:
            verdicts = tuple(_to_approve(number, number.approval, verdict) for verdict in verdicts)
    not_before = None
    if number is not None and refusal is None and facts.now is not None:
        not_before = _opening(number, facts.now, reasons)
    language = (number.language if number else None) or (domain.language if domain else _FALLBACK_LANGUAGE)
    missing = frozenset(choice.missing_proofs)
    return Decision(number, refusal, verdicts, language, missing, tuple(reasons), not_before)


def _opening(number: Number, now: float, reasons: list[Reason]) -> float | None:
    """Return when the number's faxes may be dialled first, None where that is now."""
    hours = number.settings.hours
    opening = next_opening(hours, now)
    if hours is not None:
        waits = opening > now
        text = f"closed now; faxes wait until {moment(hours, opening)}" if waits else "open now"
        reasons.append(reason(f"numbers.{number.number}.hours", hours.source, text, matched=waits))
    return opening if opening > now else None


def _routed(policy: Policy, number: Number, verdict: Verdict) -> Verdict:
    if verdict.refusal is not None or verdict.dialled is None:
        return verdict
    return replace(verdict, route=policy.route(number.number, verdict.dialled))


def _to_approve(number: Number, approval: Approval, verdict: Verdict) -> Verdict:
    if verdict.refusal is not None or verdict.dialled is None:
        return verdict
    asked = approval_for(approval, verdict.dialled)
    text = "no approval is needed"
    if asked is not None:
        text = f"waits for approval by {', '.join(asked.by)}: {asked.why}"
    found = reason(f"numbers.{number.number}.approval", approval.source, text, matched=asked is not None)
    return replace(verdict, approval=asked, reasons=(*verdict.reasons, found))


def _first_refusal(
    number: Number, facts: Facts, verdicts: tuple[Verdict, ...], reasons: list[Reason]
) -> Refusal | None:
    for key, text, refusal in _checks(number, facts, verdicts):
        reasons.append(reason(f"numbers.{number.number}.{key}", number.source, text, matched=refusal is not None))
        if refusal is not None:
            return refusal
    return None


def _checks(number: Number, facts: Facts, verdicts: tuple[Verdict, ...]) -> Iterator[tuple[str, str, Refusal | None]]:
    """Yield every limit that applies as key, finding and refusal; a consumer stops at the first refusal."""
    yield _recipients(number, len(verdicts))
    if facts.attachment_bytes:
        yield _attachments(number, max(facts.attachment_bytes))
    if facts.pages is not None and number.limits.pages is not None:
        yield _pages(number.limits.pages, facts.pages)
    accepted = sum(verdict.accepted for verdict in verdicts)
    if verdicts and not accepted:
        yield "recipients", f"none of {len(verdicts)} recipients is allowed", verdicts[0].refusal
    if accepted:
        yield from _quotas(number, facts, accepted)


def _quotas(number: Number, facts: Facts, wanted: int) -> Iterator[tuple[str, str, Refusal | None]]:
    limits, nothing = number.limits, Usage()
    own = facts.usage.get(number.number, nothing)
    for key, text, refusal in quotas.check(limits.quota, own, wanted, quotas.NUMBER):
        yield f"limits.{key}", text, refusal
    senders = facts.sender_usage.get(number.number, nothing)
    for key, text, refusal in quotas.check(limits.per_sender, senders, wanted, quotas.SENDER):
        yield f"limits.per_sender.{key}", text, refusal


def over_quota(number: Number, used: Usage, by_sender: Usage, wanted: int) -> Refusal | None:
    """Return why ``wanted`` more faxes of a number are too many, if they are; ``by_sender``: of the one who asks."""
    own = quotas.check(number.limits.quota, used, wanted, quotas.NUMBER)
    senders = quotas.check(number.limits.per_sender, by_sender, wanted, quotas.SENDER)
    return next((refusal for _, _, refusal in (*own, *senders) if refusal is not None), None)


def _recipients(number: Number, count: int) -> tuple[str, str, Refusal | None]:
    allowed = number.limits.recipients
    refusal = None
    if count > allowed:
        sentence = f"A mail may name at most {allowed} fax numbers. Send it in parts."
        refusal = Refusal(RefusalKind.TOO_MANY_RECIPIENTS, sentence)
    return "limits.recipients", f"{count} of at most {allowed}", refusal


def _attachments(number: Number, largest: int) -> tuple[str, str, Refusal | None]:
    allowed = number.limits.attachment_bytes
    refusal = None
    if largest > allowed:
        sentence = f"An attachment is larger than the {_readable(allowed)} that are allowed."
        refusal = Refusal(RefusalKind.TOO_LARGE, sentence)
    return "limits.attachment_bytes", f"the largest has {largest} of at most {allowed} bytes", refusal


def _pages(allowed: int, pages: int) -> tuple[str, str, Refusal | None]:
    refusal = None
    if pages > allowed:
        refusal = Refusal(RefusalKind.TOO_MANY_PAGES, f"The fax has {pages} pages; {allowed} are allowed.")
    return "limits.pages", f"{pages} of at most {allowed}", refusal


def _readable(size: int) -> str:
    return f"{size // MEGABYTE} MB" if size % MEGABYTE == 0 else f"{size} bytes"
