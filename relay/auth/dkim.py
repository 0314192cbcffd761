"""DKIM: which domains signed a message, and whether it is still what they signed.

Source: RFC 6376, RFC 8301, RFC 8463. Two steps, so that the crypto can run in a confined child without a network:
:func:`read_signatures` says which keys are needed, :func:`verify` takes them. Both are pure.

Invariants, beyond the RFC where it leaves a choice: a signature with ``l=`` never counts (text can be appended to the
message); none counts in a message with a duplicated singleton field (the signature covers one, people see the other);
none counts that leaves one of :data:`relay.auth.signature.COVERED` open. At most :data:`MAX_SIGNATURES` are looked
at, the topmost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.auth.domains import BadDomain, domain_of, is_within
from relay.auth.signature import (
    Bodies,
    Claim,
    DkimResult,
    Key,
    Unproven,
    check,
    field_tags,
    permerror,
    read_claim,
    read_key,
    uncovered,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.auth.header import Field, Header
    from relay.auth.resolver import Answer

MAX_SIGNATURES: Final = 10


@dataclass(frozen=True, slots=True)
class Signature:
    """What one signature shows. ``domain`` and ``selector`` are '' where they cannot be read.

    Only PASS proves anything: that ``domain`` signed this message. ``reason`` is for the log and an administrator.
    """

    domain: str
    selector: str
    result: DkimResult
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """A signature that was read, and either waits for its key (``claim``) or has its result already."""

    claim: Claim | None
    identity: str
    outcome: Signature


def read_signatures(header: Header, now: float) -> tuple[Pending, ...]:
    """Return the signatures of a message, the topmost first. ``now``: seconds since 1970."""
    return tuple(_read(header, field, now) for field in header.named("dkim-signature")[:MAX_SIGNATURES])


def key_names(pending: tuple[Pending, ...]) -> tuple[str, ...]:
    """Return the names whose TXT records :func:`verify` needs, each once."""
    return tuple(dict.fromkeys(waiting.claim.key_name for waiting in pending if waiting.claim is not None))


def verify(
    header: Header, bodies: Bodies, pending: tuple[Pending, ...], keys: Mapping[str, Answer]
) -> tuple[Signature, ...]:
    """Return what each signature shows. ``keys``: the answers about :func:`key_names`; a missing one is a temperror."""
    return tuple(_verified(header, bodies, waiting, keys) for waiting in pending)


def _read(header: Header, field: Field, now: float) -> Pending:
    domain = selector = ""
    try:
        tags = field_tags(field)
        if tags.get("v") != "1":
            raise permerror("its version is unknown")
        claim = read_claim(field, tags, now)
        domain, selector = claim.domain, claim.selector
        identity = _identity(tags.get("i"), domain)
        _check_scope(header, tags, claim)
    except Unproven as problem:
        return Pending(None, "", Signature(domain, selector, problem.result, problem.reason))
    return Pending(claim, identity, Signature(domain, selector, DkimResult.TEMPERROR, "not verified yet"))


def _check_scope(header: Header, tags: Mapping[str, str], claim: Claim) -> None:
    if "l" in tags:
        raise Unproven(DkimResult.NEUTRAL, "it signs a part of the body only")
    if header.duplicates:
        raise Unproven(DkimResult.NEUTRAL, f"the message has two {header.duplicates[0].title()} lines")
    if left := uncovered(header, claim.names):
        raise Unproven(DkimResult.NEUTRAL, f"it does not sign the {left[0].title()} line")


def _identity(text: str | None, domain: str) -> str:
    """Return the domain of i=, which is d= or below it (RFC 6376 section 3.5)."""
    if text is None:
        return domain
    try:
        identity = domain_of(text.rpartition("@")[2])
    except BadDomain:
        raise permerror("its i= is no address") from None
    if "@" not in text or not is_within(identity, domain):
        raise permerror("its i= is not within its d=")
    return identity


def _verified(header: Header, bodies: Bodies, waiting: Pending, keys: Mapping[str, Answer]) -> Signature:
    claim = waiting.claim
    if claim is None:
        return waiting.outcome
    try:
        key = read_key(keys.get(claim.key_name), claim.algorithm)
        check(claim, key, header.fields, claim.names, bodies)
        _check_flags(key, waiting.identity, claim.domain)
    except Unproven as problem:
        return Signature(claim.domain, claim.selector, problem.result, problem.reason)
    return Signature(claim.domain, claim.selector, DkimResult.PASS)


def _check_flags(key: Key, identity: str, domain: str) -> None:
    if key.exact and identity != domain:
        raise permerror("its key does not speak for subdomains")
    if key.testing:
        # RFC 6376 section 3.6.1: treated as if there were no signature.
        raise Unproven(DkimResult.NEUTRAL, "its domain is only testing")
