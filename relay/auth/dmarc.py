"""DMARC: whether a domain that vouches for a message is the one in its From.

Source: RFC 9989 (and records written for RFC 7489). Ours, because a library that aligned domains by their text let
``a-b.example`` pass for ``b.example``. Pure apart from the injected resolver.

Invariants: no PASS without an identifier that passed and is aligned; what the DNS could not say is TEMPERROR, never
NONE or FAIL, whenever the answer could have made it a PASS. SPF speaks for MAIL FROM alone, not for the name in HELO.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from relay.auth.dmarc_record import NoAnswer, Policy, Record, Walk, fetch, walk
from relay.auth.domains import is_within
from relay.auth.resolver import Kind, Status
from relay.auth.signature import DkimResult
from relay.auth.spf import SpfResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay.auth.dkim import Signature
    from relay.auth.resolver import Resolver
    from relay.auth.spf import Spf


class DmarcResult(Enum):
    """As registered for RFC 8601. NONE: the domain publishes no policy."""

    PASS = "pass"  # noqa: S105  a result, not a secret
    FAIL = "fail"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Method(Enum):
    """How a domain vouched."""

    SPF = "spf"
    DKIM = "dkim"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A domain that vouches for the message by passing ``method``, or might (``open``: the DNS did not answer)."""

    method: Method
    domain: str
    open: bool = False


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The answer for the domain of the From address.

    ``aligned``: who vouched; never empty with PASS, and with NONE it holds those of the very same domain. ``policy``:
    what the owner asks for mail that fails, None without a record; ``policy_domain`` published it; ``testing``: the
    owner asks for no more than a step less. ``organization``: '' where it was not needed.
    """

    result: DmarcResult
    domain: str = ""
    aligned: tuple[Identifier, ...] = ()
    policy: Policy | None = None
    policy_domain: str = ""
    organization: str = ""
    testing: bool = False
    reason: str = ""


def identifiers(spf: Spf, signatures: Iterable[Signature]) -> tuple[Identifier, ...]:
    """Return who passed, and who might have passed had the DNS answered, each once."""
    found = []
    if spf.domain and spf.result in (SpfResult.PASS, SpfResult.TEMPERROR):
        found.append(Identifier(Method.SPF, spf.domain, open=spf.result is SpfResult.TEMPERROR))
    for signature in signatures:
        if signature.domain and signature.result in (DkimResult.PASS, DkimResult.TEMPERROR):
            waiting = signature.result is DkimResult.TEMPERROR
            found.append(Identifier(Method.DKIM, signature.domain, open=waiting))
    return tuple(dict.fromkeys(found))


def evaluate(domain: str, vouching: Iterable[Identifier], resolver: Resolver) -> Dmarc:
    """Return the answer for a From domain (its one spelling, at least two labels). Never raises."""
    vouching = tuple(vouching)
    same = tuple(each for each in vouching if each.domain == domain and not each.open)
    try:
        own = fetch(domain, resolver)
        if own is not None and same:
            # Identical domains are aligned in both modes: no walk is needed (RFC 9989 section 4.10.2).
            return Dmarc(DmarcResult.PASS, domain, same, own.p, domain, testing=own.testing)
        walked = walk(domain, resolver)
    except NoAnswer as problem:
        return Dmarc(DmarcResult.TEMPERROR, domain, reason=str(problem))
    published = _published(walked)
    if published is None:
        return Dmarc(
            DmarcResult.NONE, domain, same, organization=walked.organization, reason="the domain publishes no policy"
        )
    aligned, unanswered = _aligned(vouching, walked, published[1], resolver)
    result, reason = DmarcResult.FAIL, "no aligned domain vouches for the message"
    if aligned:
        result, reason = DmarcResult.PASS, ""
    elif unanswered:
        result, reason = DmarcResult.TEMPERROR, unanswered
    return Dmarc(
        result,
        domain,
        aligned,
        _applied(walked, published, resolver),
        published[0],
        walked.organization,
        published[1].testing,
        reason,
    )


def _published(walked: Walk) -> tuple[str, Record] | None:
    """Return the record that speaks for the domain: its own, its organization's, its suffix's (section 4.10.1)."""
    for name in (walked.domain, walked.organization):
        record = walked.at(name)
        if record is not None:
            return name, record
    # The suffix, or a top-level domain that does not say what it is.
    return walked.found[-1] if walked.found else None


def _applied(walked: Walk, published: tuple[str, Record], resolver: Resolver) -> Policy:
    """Return what the record asks for this domain: p of its own record, sp or np of one above it (section 4.7)."""
    name, record = published
    if name == walked.domain:
        return record.p
    if record.np is not record.sp and resolver.lookup(walked.domain, Kind.A).status is Status.NO_SUCH_NAME:
        return record.np
    return record.sp


def _aligned(
    vouching: Iterable[Identifier], walked: Walk, record: Record, resolver: Resolver
) -> tuple[tuple[Identifier, ...], str]:
    """Return who is aligned and passed, and what the DNS left open, '' for nothing."""
    aligned = []
    unanswered = ""
    for each in vouching:
        try:
            if not _is_aligned(each, walked, record, resolver):
                continue
        except NoAnswer as problem:
            unanswered = str(problem)
            continue
        if each.open:
            unanswered = f"no answer about the {each.method.value} of {each.domain}"
        else:
            aligned.append(each)
    return tuple(aligned), unanswered


def _is_aligned(each: Identifier, walked: Walk, record: Record, resolver: Resolver) -> bool:
    """Whether an identifier is aligned with the From domain (section 4.4); raises :class:`NoAnswer`."""
    if each.domain == walked.domain:
        return True
    strict = record.strict_dkim if each.method is Method.DKIM else record.strict_spf
    # Only a domain within the same organization can have the same organization: strangers are not asked about.
    if strict or not is_within(each.domain, walked.organization):
        return False
    return walk(each.domain, resolver).organization == walked.organization
