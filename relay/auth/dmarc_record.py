"""DMARC records and the walk through the DNS that finds them.

Source: RFC 9989 sections 4.7 and 4.10 (records, tree walk, organizational domain); records written for RFC 7489 read
the same, what only they know (``pct``, ``rf``, ``ri``) is ignored like any unknown tag.

Invariants: a walk asks at most eight questions; a temporary error ends it with :class:`NoAnswer`, never with an
absence; a domain of one label is never an organization, whatever stands there: every top-level domain is a public
suffix, and one that forgot ``psd=y`` would align all its tenants with each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from relay.auth.resolver import Kind, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.auth.resolver import Resolver

#: RFC 9989 section 4.10: a name with this many labels or more loses all but seven after the first question.
_MANY_LABELS: Final = 8
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)", re.ASCII)
MAX_RECORD: Final = 8192


class NoAnswer(Exception):
    """The DNS did not answer: nothing is known, and nothing may be concluded."""


class Policy(Enum):
    """What a domain's owner asks to be done with mail that fails."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


class Suffix(Enum):
    """The ``psd`` tag: whether the domain is a public suffix, under which strangers live."""

    YES = "y"
    NO = "n"
    UNSAID = "u"


@dataclass(frozen=True, slots=True)
class Record:
    """A DMARC record. ``sp`` and ``np`` hold what applies, their defaults filled in; ``strict_*``: alignment."""

    p: Policy = Policy.NONE
    sp: Policy = Policy.NONE
    np: Policy = Policy.NONE
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: Suffix = Suffix.UNSAID
    testing: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """The records found from a domain upwards, the longest name first, and the organizational domain of it."""

    domain: str
    found: tuple[tuple[str, Record], ...]
    organization: str

    def at(self, domain: str) -> Record | None:
        """Return the record of that very domain."""
        return dict(self.found).get(domain)


def parse_record(text: str) -> Record | None:
    """Return what a TXT record says, ``None`` where it is no DMARC record. Never raises.

    What cannot be read has its default (RFC 9989 section 4.7); of a tag that stands twice the first counts.
    """
    if len(text) > MAX_RECORD or not _VERSION.match(text):
        return None
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        tags.setdefault(name.strip(" \t").lower(), value.strip(" \t").lower())
    p = _policy(tags, "p", Policy.NONE)
    sp = _policy(tags, "sp", p)
    return Record(
        p=p,
        sp=sp,
        np=_policy(tags, "np", sp),
        strict_dkim=tags.get("adkim") == "s",
        strict_spf=tags.get("aspf") == "s",
        psd={"y": Suffix.YES, "n": Suffix.NO}.get(tags.get("psd", ""), Suffix.UNSAID),
        testing=tags.get("t") == "y",
    )


def _policy(tags: Mapping[str, str], name: str, default: Policy) -> Policy:
    try:
        return Policy(tags[name])
    except (KeyError, ValueError):
        return default


def fetch(domain: str, resolver: Resolver) -> Record | None:
    """Return the one record of a domain; several count as none (section 4.10). Raises :class:`NoAnswer`."""
    answer = resolver.lookup(f"_dmarc.{domain}", Kind.TXT)
    if answer.status is Status.TEMPERROR:
        raise NoAnswer(f"no answer about the DMARC record of {domain}")
    records = [record for text in answer.records if (record := parse_record(text)) is not None]
    return records[0] if len(records) == 1 else None


def walk(domain: str, resolver: Resolver) -> Walk:
    """Walk the tree upwards from a domain of at least two labels; raise :class:`NoAnswer`."""
    found = []
    for target in targets(domain):
        record = fetch(target, resolver)
        if record is not None:
            found.append((target, record))
            if record.psd is not Suffix.UNSAID:
                break
    return Walk(domain, tuple(found), _organization(domain, found))


def targets(domain: str) -> Iterator[str]:
    """Yield the domains whose records a walk asks for, at most eight."""
    yield domain
    labels = domain.split(".")
    labels = labels[1:] if len(labels) < _MANY_LABELS else labels[1 - _MANY_LABELS :]
    while labels:
        yield ".".join(labels)
        labels = labels[1:]


def _organization(domain: str, found: list[tuple[str, Record]]) -> str:
    for name, record in found:
        if record.psd is Suffix.NO:
            return name
        if record.psd is Suffix.YES and name != domain:
            return _below(name, domain)
    if not found:
        return domain
    shortest = found[-1][0]
    return shortest if "." in shortest else _below(shortest, domain)


def _below(suffix: str, domain: str) -> str:
    """Return the name one label below ``suffix`` on the way to ``domain``."""
    return ".".join(domain.split(".")[-suffix.count(".") - 2 :])
