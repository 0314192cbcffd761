"""SPF: whether a client may use the domain of MAIL FROM, or the name of its HELO.

Source: RFC 7208, by the library pyspf behind an interface of ours: every question goes to the injected resolver, and
the limits of section 4.6.4 are counted here (void lookups) and there (ten terms that ask the DNS).

Invariants: :func:`check_host` never raises and never passes on what it did not understand; a record is at most
:data:`MAX_RECORD` bytes, and a check asks at most :data:`MAX_QUESTIONS` questions, so that its work is bounded
whatever a domain publishes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import spf

from relay.auth.domains import BadDomain, domain_of
from relay.auth.resolver import Kind, Status

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from relay.auth.resolver import Resolver

MAX_RECORD: Final = 4096
#: Ten terms with ten hosts each (RFC 7208 section 4.6.4), ten pointers, and the records on the way.
MAX_QUESTIONS: Final = 150
#: RFC 7208 section 4.6.4.
MAX_VOID: Final = 2
_MAX_EXPLANATION: Final = 400
_MAX_LABEL: Final = 63
_MAX_REVERSE_PATH: Final = 400
_PLAIN = re.compile(r"[!-?A-~\u0080-\U0010ffff]*")


class SpfResult(Enum):
    """RFC 7208 section 2.6."""

    PASS = "pass"  # noqa: S105  a result, not a secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Spf:
    """The answer for one identity. ``domain`` in its one spelling, '' where there is none to ask about.

    ``reason`` is for the log and an administrator; ``explanation`` was written by the domain's owner and is as
    trustworthy as that: ASCII, at most 400 characters, '' unless the result is FAIL.
    """

    result: SpfResult
    domain: str = ""
    reason: str = ""
    explanation: str = ""


def check_mail_from(client: IPv4Address | IPv6Address, mail_from: str, helo: str, resolver: Resolver) -> Spf:
    """Return whether the client may use the domain of a MAIL FROM address (no angle brackets, '' is the null path).

    The null path answers NONE: RFC 7208 section 2.4 would have HELO stand in for it, and a name that a client gives
    itself is no claim of the mail's author. :func:`check_helo` answers for that name.
    """
    if not mail_from:
        return Spf(SpfResult.NONE, reason="the return path is null")
    local, at, written = mail_from.rpartition("@")
    # Another @, a route or a bracket before the last @ is read as another domain by another program.
    if not at or len(mail_from) > _MAX_REVERSE_PATH or not _PLAIN.fullmatch(local) or set(local) & set('<>(),;:\\"'):
        return Spf(SpfResult.NONE, reason="the return path is not one plain address")
    try:
        domain = domain_of(written)
    except BadDomain:
        return Spf(SpfResult.NONE, reason="the domain of the return path cannot be read")
    return check_host(client, f"{local}@{domain}", domain, helo, resolver)


def check_helo(client: IPv4Address | IPv6Address, helo: str, resolver: Resolver) -> Spf:
    """Return whether the client may call itself ``helo`` (RFC 7208 section 2.3). Address literals answer NONE."""
    try:
        domain = domain_of(helo.removesuffix("."))
    except BadDomain:
        return Spf(SpfResult.NONE, reason="the HELO name is no domain name")
    return check_host(client, f"postmaster@{domain}", domain, domain, resolver)


def check_host(
    client: IPv4Address | IPv6Address, sender: str, domain: str, helo: str, resolver: Resolver, *, receiver: str = ""
) -> Spf:
    """Return what the domain of ``sender`` says about the client: as RFC 7208 section 4 evaluates it.

    ``sender`` as macros expand it; '' stands for the postmaster of ``helo``. ``receiver`` is this machine's name,
    which only explanations use.
    """
    try:
        query = _Query(str(client), sender, helo, resolver, receiver)
        result, _code, text = query.check()
        found = SpfResult(result)
    except Exception as error:  # noqa: BLE001  the library meets strangers' records: its crash is their fault
        return Spf(SpfResult.PERMERROR, domain, f"the record cannot be evaluated: {type(error).__name__}")
    text = text.encode("ascii", "replace").decode("ascii")[:_MAX_EXPLANATION]
    if found is SpfResult.FAIL:
        return Spf(found, domain, f"{client} is not allowed", text)
    return Spf(found, domain, text)


class _Query(spf.query):  # type: ignore[misc]  # the library has no types
    """The library's evaluation, with our answers in place of its own questions to the DNS."""

    def __init__(self, client: str, sender: str, helo: str, resolver: Resolver, receiver: str) -> None:
        super().__init__(i=client, s=sender, h=helo, receiver=receiver or None, strict=True)
        self.set_default_explanation("")
        self._resolver = resolver
        self._asked = 0

    def dns(self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:  # noqa: FBT001, FBT002  the library's signature
        """Answer one question in the shapes of the library; the resolver follows aliases."""
        del cnames
        asked = str(name).removesuffix(".")
        if not all(0 < len(label) <= _MAX_LABEL for label in asked.split(".")):
            return []
        self._asked += 1
        if self._asked > MAX_QUESTIONS:
            raise spf.PermError("Too many DNS lookups")
        answer = self._resolver.lookup(asked, Kind(qtype))
        if answer.status is Status.TEMPERROR:
            raise spf.TempError(f"no answer about {asked}")
        if not answer.records and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > MAX_VOID:
                raise spf.PermError(f"More than {MAX_VOID} lookups found nothing")
        if qtype == "TXT":
            return [(_record(text),) for text in answer.records]
        if qtype == "MX":
            return list(enumerate(answer.records))
        return list(answer.records)


def _record(text: str) -> bytes:
    if len(text) > MAX_RECORD and text[:6].lower() == "v=spf1":
        raise spf.PermError(f"a record is longer than {MAX_RECORD} bytes")
    return text.encode("latin-1")
