"""ARC: what forwarders said that they found before they changed a message.

Source: RFC 8617. A chain proves who handled a message, not that they tell the truth: it is worth something only where
the administrator trusts a sealer (:func:`vouched`). In two steps like :mod:`relay.auth.dkim`, both pure:
:func:`read_chain` says which keys are needed, :func:`verify` takes them.

Invariants: a chain with anything missing, doubled or out of place fails as a whole; at most :data:`MAX_SETS` sets are
looked at (the RFC allows 50, lists and mailboxes make three).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from relay.auth.results import BadResults, Results, parse_results
from relay.auth.signature import (
    Bodies,
    Claim,
    DkimResult,
    Unproven,
    check,
    field_tags,
    permerror,
    read_claim,
    read_key,
    uncovered,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from relay.auth.header import Field, Header
    from relay.auth.resolver import Answer

MAX_SETS: Final = 10
_RESULTS, _MESSAGE, _SEAL = "arc-authentication-results", "arc-message-signature", "arc-seal"
#: The order in which a seal signs the fields of a set (RFC 8617 section 5.1.1).
_ORDER: Final = (_RESULTS, _MESSAGE, _SEAL)
_INSTANCE = re.compile(rb"i[ \t]*=[ \t]*([1-9][0-9]?)[ \t]*;")


class ChainResult(Enum):
    """RFC 8617 section 4.4, and TEMPERROR where a key could not be fetched."""

    NONE = "none"
    PASS = "pass"  # noqa: S105  a result, not a secret
    FAIL = "fail"
    TEMPERROR = "temperror"


@dataclass(frozen=True, slots=True)
class Hop:
    """One set of a chain that passed. ``sealer``: the domain of its seal; ``results``: None where unreadable.

    ``intact``: the message is still as this hop signed it.
    """

    instance: int
    sealer: str
    intact: bool
    results: Results | None


@dataclass(frozen=True, slots=True)
class Arc:
    """The answer for a chain. ``hops`` by instance, empty unless PASS.

    ``oldest_pass`` (RFC 8617 section 5.2): the lowest instance from which on the message is unchanged, 0 unless PASS.
    """

    result: ChainResult
    hops: tuple[Hop, ...] = ()
    oldest_pass: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArcSet:
    """The three fields of one instance, read."""

    fields: tuple[Field, ...]
    message: Claim
    seal: Claim
    status: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The sets of a message by instance, or why there is no chain (``problem``)."""

    sets: tuple[ArcSet, ...] = ()
    problem: str = ""

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names whose TXT records :func:`verify` needs, each once."""
        return tuple(dict.fromkeys(claim.key_name for each in self.sets for claim in (each.message, each.seal)))


def read_chain(header: Header, now: float) -> Chain:
    """Return the chain of a message. ``now``: seconds since 1970. Never raises."""
    found: dict[int, dict[str, Field]] = {}
    try:
        for field in header.fields:
            if field.key in _ORDER:
                _sort(field, found)
        if len(found) > MAX_SETS or sorted(found) != list(range(1, len(found) + 1)):
            raise permerror("its sets are not counted from one")
        sets = tuple(_set(found[instance], instance, now) for instance in sorted(found))
    except Unproven as problem:
        return Chain(problem=problem.reason)
    return Chain(sets)


def _sort(field: Field, found: dict[int, dict[str, Field]]) -> None:
    if field.key == _RESULTS:
        matched = _INSTANCE.match(field.value)
        written = matched[1].decode("ascii") if matched else ""
    else:
        written = field_tags(field).get("i", "")
    if not re.fullmatch("[1-9][0-9]?", written, re.ASCII):
        raise permerror("a set is not numbered")
    fields = found.setdefault(int(written), {})
    if field.key in fields:
        raise permerror("a set holds a field twice")
    fields[field.key] = field


def _set(fields: Mapping[str, Field], instance: int, now: float) -> ArcSet:
    if set(fields) != set(_ORDER):
        raise permerror("a set is incomplete")
    signed, sealed = field_tags(fields[_MESSAGE]), field_tags(fields[_SEAL])
    message = read_claim(fields[_MESSAGE], {"c": "relaxed/relaxed", **signed}, now)
    if "l" in signed or _SEAL in message.names:
        raise permerror("a set signs what it may not")
    seal = read_claim(fields[_SEAL], {**sealed, "c": "relaxed/relaxed"}, now, seal=True)
    status = sealed.get("cv", "").lower()
    if "h" in sealed or status != ("none" if instance == 1 else "pass"):
        raise permerror("a seal says that the chain is broken")
    return ArcSet(tuple(fields[name] for name in _ORDER), message, seal, status)


def verify(header: Header, bodies: Bodies, chain: Chain, keys: Mapping[str, Answer]) -> Arc:
    """Return the answer for a chain (RFC 8617 section 5.2). ``keys``: the answers about its :attr:`Chain.key_names`."""
    if chain.problem:
        return Arc(ChainResult.FAIL, reason=chain.problem)
    if not chain.sets:
        return Arc(ChainResult.NONE)
    if header.duplicates:
        return Arc(ChainResult.FAIL, reason=f"the message has two {header.duplicates[0].title()} lines")
    try:
        _check_message(header, bodies, chain.sets[-1].message, keys)
        for instance in range(len(chain.sets), 0, -1):
            _check_seal(chain.sets[:instance], keys)
        oldest = _oldest(header, bodies, chain.sets, keys)
    except Unproven as problem:
        broken = problem.result is not DkimResult.TEMPERROR
        return Arc(ChainResult.FAIL if broken else ChainResult.TEMPERROR, reason=problem.reason)
    hops = tuple(
        Hop(instance, each.seal.domain, instance >= oldest, _found(each.fields[0]))
        for instance, each in enumerate(chain.sets, 1)
    )
    return Arc(ChainResult.PASS, hops, oldest)


def _oldest(header: Header, bodies: Bodies, sets: Sequence[ArcSet], keys: Mapping[str, Answer]) -> int:
    for instance in range(len(sets) - 1, 0, -1):
        try:
            _check_message(header, bodies, sets[instance - 1].message, keys)
        except Unproven:
            return instance + 1
    return 1


def _check_message(header: Header, bodies: Bodies, claim: Claim, keys: Mapping[str, Answer]) -> None:
    if left := uncovered(header, claim.names):
        raise permerror(f"a set does not sign the {left[0].title()} line")
    check(claim, read_key(keys.get(claim.key_name), claim.algorithm), header.fields, claim.names, bodies)


def _check_seal(sets: Sequence[ArcSet], keys: Mapping[str, Answer]) -> None:
    claim = sets[-1].seal
    signed = [field for each in sets for field in each.fields][:-1]
    names = [field.key for field in signed]
    # A name chooses the lowest field that is left: the first to be signed has to stand at the bottom.
    check(claim, read_key(keys.get(claim.key_name), claim.algorithm), signed[::-1], names, None)


def _found(field: Field) -> Results | None:
    try:
        return parse_results(_INSTANCE.sub(b"", field.value, count=1))
    except BadResults:
        return None


def vouched(arc: Arc, domain: str, sealers: Collection[str]) -> str:
    """Return the trusted sealer that says that DMARC passed for a From domain, '' if none does.

    ``sealers``: the domains that the administrator trusts, in their one spelling, exactly as they stand in ``d=`` of
    the seal. Whoever handled the message after a sealer could have changed it, so all of these have to be trusted too.
    """
    if arc.result is not ChainResult.PASS:
        return ""
    vouching = ""
    for hop in reversed(arc.hops):
        if hop.sealer not in sealers:
            break
        if hop.results is not None and hop.results.dmarc_passed(domain):
            vouching = hop.sealer
    return vouching
