"""What is in a message, for a child that reads strangers' bytes and has no network.

The seam. Whoever examines a message asks twice: :func:`key_names` says which TXT records the signatures need; then,
with their answers, :func:`read_message` says what the message shows. Both are pure and take the whole message; both
run wherever the message may be parsed, and :func:`as_json` and :func:`from_json` carry the answer across a channel.

The asker keeps the DNS, SPF, alignment and every conclusion to itself. It believes a reading as far as
:func:`checked` goes: a signature passes only where its key was asked for and found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from relay.auth import arc, dkim
from relay.auth.arc import Arc, ChainResult
from relay.auth.dkim import MAX_SIGNATURES, Signature
from relay.auth.header import Header, Malformed, read_header
from relay.auth.resolver import Answer, Status
from relay.auth.results import Results, topmost
from relay.auth.sender import BadFrom, from_address
from relay.auth.signature import Bodies, DkimResult

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Keys of one message: its signatures, and two for each set of its chain.
MAX_KEYS: Final = MAX_SIGNATURES + 2 * arc.MAX_SETS


_EMPTY_LINE: Final = re.compile(rb"\r\n[ \t]*\r\n")
_NO_CHAIN: Final = Arc(ChainResult.NONE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a message is to be read.

    ``now``: seconds since 1970. ``arc``: whether its chain is of interest, which costs more signatures. ``server``:
    the authserv-id of the trusted hop that the message came through, '' for none.
    """

    now: float
    arc: bool = False
    server: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message shows. ``local`` as written and ``domain`` in its one spelling: the one From address.

    ``problem`` is '' or why there is none, as part of a sentence; then both are ''. ``hop``: what the trusted hop
    found.
    """

    local: str = ""
    domain: str = ""
    problem: str = ""
    signatures: tuple[Signature, ...] = ()
    arc: Arc = _NO_CHAIN
    hop: Results | None = None


_READING: Final = TypeAdapter(Reading)
_KEYS: Final = TypeAdapter(dict[str, Answer])


class BadReading(ValueError):
    """What came across the channel is no reading."""


def key_names(message: bytes, wanted: Wanted) -> tuple[str, ...]:
    """Return the names whose TXT records the signatures of a message need, each once, at most :data:`MAX_KEYS`."""
    try:
        header = read_header(message)
    except Malformed:
        return ()
    names = dkim.key_names(dkim.read_signatures(header, wanted.now))
    if wanted.arc:
        names += arc.read_chain(header, wanted.now).key_names
    return tuple(dict.fromkeys(names))


def read_message(message: bytes, keys: Mapping[str, Answer], wanted: Wanted) -> Reading:
    """Return what a message shows. ``keys``: the answers about :func:`key_names`. Never raises."""
    try:
        header = read_header(message)
    except Malformed as malformed:
        return Reading(problem=f"the message is malformed: {malformed}")
    bodies = Bodies(message[header.body_at :])
    signatures = dkim.verify(header, bodies, dkim.read_signatures(header, wanted.now), keys)
    chain = _NO_CHAIN
    if wanted.arc:
        chain = arc.verify(header, bodies, arc.read_chain(header, wanted.now), keys)
    hop = topmost(header, wanted.server) if wanted.server else None
    local, domain, problem = _sender(header)
    return Reading(local, domain, problem, signatures, chain, hop)


def _sender(header: Header) -> tuple[str, str, str]:
    fields = header.named("from")
    if len(fields) != 1:
        return "", "", "the message has more than one From line" if fields else "the message has no From line"
    if _EMPTY_LINE.search(fields[0].raw):
        # A line of blanks ends the header for some programs (RFC 5322 section 3.2.2).
        return "", "", "the From line is folded strangely"
    try:
        return *from_address(fields[0].value), ""
    except BadFrom as problem:
        return "", "", str(problem)


def checked(reading: Reading, keys: Mapping[str, Answer]) -> Reading:
    """Return the reading without passes for keys that the DNS does not have; the asker's view of a child's answer."""
    found = {name for name, answer in keys.items() if answer.status is Status.FOUND}

    def believed(signature: Signature) -> Signature:
        if signature.result is not DkimResult.PASS or f"{signature.selector}._domainkey.{signature.domain}" in found:
            return signature
        return replace(signature, result=DkimResult.PERMERROR, reason="its key was not asked for")

    return replace(reading, signatures=tuple(believed(each) for each in reading.signatures[:MAX_SIGNATURES]))


def as_json(reading: Reading) -> bytes:
    """Return a reading as JSON."""
    return _READING.dump_json(reading)


def from_json(data: bytes) -> Reading:
    """Return the reading that :func:`as_json` wrote; raise :class:`BadReading`."""
    try:
        return _READING.validate_json(data, strict=True)
    except ValidationError as error:
        raise BadReading(f"{error.error_count()} mistakes in a reading") from None


def keys_as_json(keys: Mapping[str, Answer]) -> bytes:
    """Return answers as JSON, for the child."""
    return _KEYS.dump_json(dict(keys))


def keys_from_json(data: bytes) -> dict[str, Answer]:
    """Return the answers that :func:`keys_as_json` wrote; raise :class:`BadReading`."""
    try:
        return _KEYS.validate_json(data, strict=True)
    except ValidationError as error:
        raise BadReading(f"{error.error_count()} mistakes in the keys") from None
