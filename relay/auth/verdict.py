"""One message examined: SPF, DKIM, DMARC, and what trusted others say, as one frozen value.

Source: RFC 7208, RFC 6376, RFC 9989, RFC 8617, RFC 8601. :func:`examine` asks the DNS in a thread, and has the message
read by whatever :class:`Reader` it is given: :class:`InProcess`, or a confined child behind the same two questions.

Invariants: examining never raises for what a message or the DNS holds; it asks the DNS for ``seconds`` at most, and
what stayed open then is a temporary error. Nothing here decides: a PASS of DMARC, a trusted hop's or a trusted
sealer's word are three values, and which of them counts is the caller's rule.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relay.auth import arc
from relay.auth.arc import Arc, ChainResult
from relay.auth.dmarc import Dmarc, DmarcResult, evaluate, identifiers
from relay.auth.domains import BadDomain, domain_of
from relay.auth.reading import MAX_KEYS, Reading, Wanted, checked, key_names, read_message
from relay.auth.resolver import Answer, Kind, Lookups
from relay.auth.spf import Spf, SpfResult, check_helo, check_mail_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from ipaddress import IPv4Address, IPv6Address
    from pathlib import Path

    from relay.auth.dkim import Signature
    from relay.auth.resolver import Resolver
    from relay.auth.results import Results


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a message came in: the client's own address, its HELO name, and MAIL FROM without brackets, '' for null."""

    client: IPv4Address | IPv6Address
    helo: str
    mail_from: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word the administrator takes.

    ``hop``: the authserv-id of the host that hands mail on, '' for none; to be given only for messages that came from
    that very host. ``sealers``: domains of forwarders (ARC), in their one spelling.
    """

    hop: str = ""
    sealers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a message proves. ``local`` and ``domain``: its one From address, '' where there is none.

    ``spf`` answers for MAIL FROM, ``helo`` for the name in HELO (for the log; it vouches for nobody). ``hop`` is what
    the trusted hop found, ``hop_passed`` that it found DMARC to pass for this very From domain; ``sealer`` the trusted
    forwarder that says so, '' for none.
    """

    dmarc: Dmarc
    local: str
    domain: str
    spf: Spf
    helo: Spf
    signatures: tuple[Signature, ...]
    arc: Arc
    hop: Results | None
    hop_passed: bool
    sealer: str

    @property
    def temporary(self) -> bool:
        """Whether nothing passed and the DNS left something open: the same message may pass later."""
        if self.dmarc.result is DmarcResult.PASS or self.hop_passed or self.sealer:
            return False
        return self.dmarc.result is DmarcResult.TEMPERROR or self.arc.result is ChainResult.TEMPERROR

    @property
    def sentence(self) -> str:
        """What a mail's sender is told."""
        return _sentence(self)

    @property
    def details(self) -> tuple[str, ...]:
        """What an administrator is told, a line for each finding."""
        lines = [
            f"spf {self.spf.result.value} for {self.spf.domain or 'no domain'}: {self.spf.reason}",
            f"dmarc {self.dmarc.result.value} for {self.domain or 'no domain'}: {self.dmarc.reason}",
            f"arc {self.arc.result.value}: {self.arc.reason}",
        ]
        lines[1:1] = [
            f"dkim {each.result.value} of {each.domain or 'no domain'} ({each.selector}): {each.reason}"
            for each in self.signatures
        ]
        return tuple(line.removesuffix(": ") for line in lines)

    def results(self, server: str) -> str:
        """Return the value of an Authentication-Results field (RFC 8601) in the name of ``server``, folded by CRLF."""
        parts = [server]
        if self.spf.domain:
            parts.append(f"spf={self.spf.result.value} smtp.mailfrom={self.spf.domain}")
        if self.helo.domain:
            parts.append(f"spf={self.helo.result.value} smtp.helo={self.helo.domain}")
        parts += [_dkim_finding(each) for each in self.signatures]
        if not self.signatures:
            parts.append("dkim=none")
        policy = f" policy.dmarc={self.dmarc.policy.value}" if self.dmarc.policy else ""
        named = f" header.from={self.domain}" if self.domain else ""
        parts.append(f"dmarc={self.dmarc.result.value}{named}{policy}")
        if self.arc.result is not ChainResult.NONE:
            parts.append(f"arc={self.arc.result.value}")
        return ";\r\n\t".join(parts)


class Reader(Protocol):
    """Whatever reads messages: this process, or a confined child that has no network."""

    async def key_names(self, message: Path | bytes, wanted: Wanted) -> tuple[str, ...]:
        """See :func:`relay.auth.reading.key_names`."""

    async def read(self, message: Path | bytes, keys: Mapping[str, Answer], wanted: Wanted) -> Reading:
        """See :func:`relay.auth.reading.read_message`."""


class InProcess:
    """Reads messages in a thread of this process: for tests and tools."""

    async def key_names(self, message: Path | bytes, wanted: Wanted) -> tuple[str, ...]:
        """See :class:`Reader`."""
        return await asyncio.to_thread(lambda: key_names(_bytes(message), wanted))

    async def read(self, message: Path | bytes, keys: Mapping[str, Answer], wanted: Wanted) -> Reading:
        """See :class:`Reader`."""
        return await asyncio.to_thread(lambda: read_message(_bytes(message), keys, wanted))


async def examine(
    message: Path | bytes,
    envelope: Envelope | None,
    resolver: Resolver,
    *,
    reader: Reader | None = None,
    trust: Trust | None = None,
    from_address: str | None = None,
    executor: Executor | None = None,
    seconds: float = 10.0,
    clock: Callable[[], float] = time.time,
) -> Verdict:
    """Return what a message proves.

    ``envelope``: None where there was no client, as with a mailbox that is polled. ``from_address``: the From address
    as another reader of the message found it; where the two differ, no domain is proven. ``executor``: the threads
    that wait for the DNS. ``seconds``: how long the DNS is asked. ``clock``: seconds since 1970.
    """
    reader, trust = reader or InProcess(), trust or Trust()
    wanted = Wanted(clock(), arc=bool(trust.sealers), server=trust.hop)
    lookups = Lookups(resolver, seconds=seconds)
    loop = asyncio.get_running_loop()
    names = (await reader.key_names(message, wanted))[:MAX_KEYS]
    spf, helo, keys = await loop.run_in_executor(executor, _ask, envelope, names, lookups)
    reading = checked(await reader.read(message, keys, wanted), keys)
    reading = _agreed(reading, from_address)
    dmarc = await loop.run_in_executor(executor, _align, reading, spf, lookups)
    hop_passed = bool(reading.domain) and reading.hop is not None and reading.hop.dmarc_passed(reading.domain)
    sealer = arc.vouched(reading.arc, reading.domain, trust.sealers) if reading.domain else ""
    return Verdict(
        dmarc,
        reading.local,
        reading.domain,
        spf,
        helo,
        reading.signatures,
        reading.arc,
        reading.hop,
        hop_passed,
        sealer,
    )


def _bytes(message: Path | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.read_bytes()


def _ask(envelope: Envelope | None, names: tuple[str, ...], lookups: Lookups) -> tuple[Spf, Spf, dict[str, Answer]]:
    """Ask for keys before SPF: a return path that answers slowly does not use up the time of the signatures."""
    keys = {name: lookups.lookup(name, Kind.TXT) for name in names}
    if envelope is None:
        nobody = Spf(SpfResult.NONE, reason="there was no client")
        return nobody, nobody, keys
    spf = check_mail_from(envelope.client, envelope.mail_from, envelope.helo, lookups)
    return spf, check_helo(envelope.client, envelope.helo, lookups), keys


def _align(reading: Reading, spf: Spf, lookups: Lookups) -> Dmarc:
    if not reading.domain:
        return Dmarc(DmarcResult.PERMERROR, reason=reading.problem or "the message has no From address")
    return evaluate(reading.domain, identifiers(spf, reading.signatures), lookups)


def _agreed(reading: Reading, from_address: str | None) -> Reading:
    """Return the reading, without its address where another reader found another."""
    if from_address is None or not reading.domain:
        return reading
    local, _, written = from_address.rpartition("@")
    try:
        same = local.lower() == reading.local.lower() and domain_of(written) == reading.domain
    except BadDomain:
        same = False
    if same:
        return reading
    problem = "two programs read two From addresses in the message"
    return Reading(problem=problem, signatures=reading.signatures, arc=reading.arc, hop=reading.hop)


def _dkim_finding(signature: Signature) -> str:
    finding = f"dkim={signature.result.value}"
    if signature.reason:
        plain = re.sub(r"[^ !#-\[\]-~]", "", signature.reason)
        finding += f' reason="{plain}"'
    if signature.domain:
        finding += f" header.d={signature.domain} header.s={signature.selector}"
    return finding


def _sentence(verdict: Verdict) -> str:
    domain, result = verdict.domain, verdict.dmarc.result
    if result is DmarcResult.PASS:
        return f"The mail was shown to come from {domain}."
    if not domain:
        return f"Nothing shows who sent the mail: {verdict.dmarc.reason}."
    if verdict.temporary:
        return f"Whether the mail comes from {domain} could not be checked now, because a name server did not answer."
    if result is DmarcResult.NONE:
        return f"Nothing shows that the mail comes from {domain}: that domain publishes no DMARC policy."
    return f"Nothing shows that the mail comes from {domain}: neither SPF nor a DKIM signature of that domain passed."
