"""Where a fax may go, and as which digits. Pure.

A number is rewritten first; the rules then look at what would be dialled, so that no rewriting opens what is denied.
Country and kind come from the ``phonenumbers`` metadata. Invariants:

* an unknown is read against the caller: where a number's country cannot be told among those that share its calling
  code, a rule that denies any of them applies, and a rule that allows must allow all of them;
* premium, shared cost and satellite numbers pass only by a rule that allows their type by name.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from policies.approval import Approval, Asked
from policies.decision import Reason, Verdict, reason
from policies.numbers import BadNumber, parse_number
from policies.policy import DestinationRule, Destinations, NumberType, Override
from policies.refusals import Refusal, RefusalKind

if TYPE_CHECKING:
    from policies.policy import Policy

#: Denied unless a rule allows the type by name.
COSTLY: Final = frozenset({NumberType.PREMIUM, NumberType.SHARED_COST, NumberType.SATELLITE})
#: ITU-T E.164 assigned country codes: Inmarsat, mobile-satellite systems, international networks.
_SATELLITE: Final = ("+870", "+881", "+882", "+883")
_TYPES: Final = {
    PhoneNumberType.FIXED_LINE: NumberType.FIXED_LINE,
    PhoneNumberType.MOBILE: NumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: NumberType.FIXED_OR_MOBILE,
    PhoneNumberType.TOLL_FREE: NumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: NumberType.PREMIUM,
    PhoneNumberType.SHARED_COST: NumberType.SHARED_COST,
    PhoneNumberType.VOIP: NumberType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: NumberType.PERSONAL,
    PhoneNumberType.PAGER: NumberType.PAGER,
    PhoneNumberType.UAN: NumberType.UAN,
}
_DENIED: Final = Refusal(RefusalKind.DESTINATION, "Faxes to this number are not allowed here.")
_NO_OVERRIDE: Final = Override()
#: What the numbering plan tells of a number never changes, and costs more to look up than all rules together.
_REMEMBERED: Final = 4096


class _Line(NamedTuple):
    """What the numbering plan tells: ``countries`` are all that the number may belong to."""

    number: str
    countries: frozenset[str]
    type: NumberType


def fits(rule: DestinationRule, number_e164: str) -> bool:
    """Tell whether a rule means a number as it is dialled."""
    return _miss(rule, _line(number_e164)) is None


def approval_for(approval: Approval | None, dialled: str) -> Asked | None:
    """Return what a fax to ``dialled`` (E.164) needs before it may go; None: nothing, however many pages it has."""
    if approval is None:
        return None
    named, pages = approval.destinations, approval.over_pages
    if named is not None and fits(named, dialled):
        return Asked(approval.by, approval.within, None, f"{dialled} is one of its destinations")
    if pages is not None:
        return Asked(approval.by, approval.within, pages, f"with more than {pages} pages")
    return Asked(approval.by, approval.within, None, "every fax") if named is None else None


def check_recipient(policy: Policy, text: str, default_region: str | None) -> Verdict:
    """Return the verdict on a number as it was addressed. ``default_region`` reads national digits."""
    try:
        number = parse_number(text, default_region)
    except BadNumber as error:
        refusal = Refusal(RefusalKind.BAD_NUMBER, error.sentence)
        return Verdict(text, None, None, refusal, _NO_OVERRIDE, (_unreadable("number", text, error),))
    verdict = check_destination(policy, number)
    return Verdict(text, number, verdict.dialled, verdict.refusal, verdict.override, verdict.reasons)


def check_destination(policy: Policy, number_e164: str) -> Verdict:
    """Return the verdict on an E.164 number: the number to dial and how, or the refusal."""
    reasons: list[Reason] = []
    try:
        dialled = _rewritten(policy.destinations, number_e164, reasons)
    except BadNumber as error:
        refusal = Refusal(RefusalKind.BAD_NUMBER, error.sentence)
        return Verdict(number_e164, number_e164, None, refusal, _NO_OVERRIDE, tuple(reasons))
    allowed = _allowed(policy.destinations, _line(dialled), reasons)
    override = _override(policy.destinations, dialled, reasons)
    return Verdict(number_e164, number_e164, dialled, None if allowed else _DENIED, override, tuple(reasons))


def _unreadable(rule: str, text: str, error: BadNumber) -> Reason:
    return reason(rule, None, f"{text[:50]!r}: {error.sentence}", matched=False)


def _rewritten(destinations: Destinations, number: str, reasons: list[Reason]) -> str:
    for position, rewrite in enumerate(destinations.rewrites):
        name = f"destinations.rewrite[{position}]"
        result = rewrite.apply(number)
        if result is None:
            reasons.append(reason(name, rewrite.source, f"does not fit {number}", matched=False))
            continue
        try:
            dialled = parse_number(result, None)
        except BadNumber as error:
            text = f"{number} becomes {result[:50]!r}: {error.sentence}"
            reasons.append(reason(name, rewrite.source, text, matched=True))
            raise
        reasons.append(reason(name, rewrite.source, f"{number} becomes {dialled}", matched=True))
        return dialled
    return number


@functools.lru_cache(maxsize=_REMEMBERED)
def _line(number: str) -> _Line:
    parsed = phonenumbers.parse(number)
    country = phonenumbers.region_code_for_number(parsed)
    countries = [country] if country else phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    if number.startswith(_SATELLITE):
        kind = NumberType.SATELLITE
    else:
        kind = _TYPES.get(phonenumbers.number_type(parsed), NumberType.UNKNOWN)
    return _Line(number, frozenset(countries), kind)


def _allowed(destinations: Destinations, line: _Line, reasons: list[Reason]) -> bool:
    what = f"{line.number} ({line.type.value}, {' or '.join(sorted(line.countries)[:3]) or 'no country'})"
    for position, rule in enumerate(destinations.rules):
        name = f"destinations.rules[{position}]"
        miss = _miss(rule, line)
        if miss is None:
            reasons.append(reason(name, rule.source, f"'{rule}' fits {what}", matched=True))
            return rule.allow
        reasons.append(reason(name, rule.source, f"'{rule}' {miss} {what}", matched=False))
    if line.type in COSTLY:
        text = f"{line.type.value} numbers are denied unless a rule allows the type: {what}"
        reasons.append(reason("destinations.type", None, text, matched=True))
        return False
    verdict = "allow" if destinations.otherwise_allow else "deny"
    reasons.append(reason("destinations.otherwise", None, f"no rule fits {what}: {verdict}", matched=True))
    return destinations.otherwise_allow


def _miss(rule: DestinationRule, line: _Line) -> str | None:
    """Return what keeps the rule from applying, None if it applies."""
    fits = (
        (not rule.prefixes or line.number.startswith(rule.prefixes))
        and (not rule.countries or _in_countries(rule, line))
        and (not rule.types or line.type in rule.types)
    )
    if not fits:
        return "does not fit"
    if rule.allow and line.type in COSTLY and line.type not in rule.types:
        return f"does not name the type {line.type.value} of"
    return None


def _in_countries(rule: DestinationRule, line: _Line) -> bool:
    if rule.allow:
        return bool(line.countries) and line.countries <= rule.countries
    return not line.countries.isdisjoint(rule.countries)


def _override(destinations: Destinations, number: str, reasons: list[Reason]) -> Override:
    if not destinations.overrides:
        return _NO_OVERRIDE
    for length in range(len(number), 1, -1):
        override = destinations.overrides.get(number[:length])
        if override is not None:
            text = f"calls to {override.prefix} have settings of their own"
            reasons.append(reason("destinations.overrides", override.source, text, matched=True))
            return override
    return _NO_OVERRIDE
