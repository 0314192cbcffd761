"""Where a trunk's requests go: NAPTR-less RFC 3263, that is SRV and then addresses, in the order of RFC 2782.

Sans-I/O but for :class:`DnsLookup`, which asks the DNS (dnspython); tests give another :class:`Lookup`. A literal
address is taken as it is; a name with a port is not looked up by SRV.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

_SERVICE = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
_LIFETIME = 5.0
_SHORTEST, _LONGEST = 30.0, 3600.0  # seconds an answer is kept, whatever its TTL says
_MOST_TARGETS = 12


class NotFound(Exception):
    """A name leads to no address; the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record."""

    priority: int
    weight: int
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS said. ``ttl`` in seconds."""

    records: tuple[Service, ...] | tuple[str, ...]
    ttl: float


class Lookup(Protocol):
    """Asks the DNS."""

    async def services(self, name: str) -> Answer:
        """Return the SRV records of a name, none where there are none; raises :class:`NotFound` for a failure."""

    async def addresses(self, name: str) -> Answer:
        """Return the addresses of a name (A and AAAA), none where there are none; raises :class:`NotFound`."""


class DnsLookup:
    """Asks the machine's name servers; ``/etc/hosts`` goes before them, as everywhere on the machine."""

    def __init__(self, *, ipv6: bool) -> None:
        self._kinds = ("A", "AAAA") if ipv6 else ("A",)
        self._hosts = _hosts()

    async def services(self, name: str) -> Answer:
        """Return the SRV records of a name."""
        found = await self._ask(name, "SRV")
        if found is None:
            return Answer((), _SHORTEST)
        records = tuple(
            Service(one.priority, one.weight, one.port, str(one.target).rstrip("."))
            for one in found
            if str(one.target) != "."
        )
        return Answer(records, found.rrset.ttl if found.rrset is not None else _SHORTEST)

    async def addresses(self, name: str) -> Answer:
        """Return the addresses of a name."""
        known = self._hosts.get(name.lower().rstrip("."))
        if known:
            return Answer(tuple(known), _LONGEST)
        addresses: list[str] = []
        ttl = _LONGEST
        for kind in self._kinds:
            found = await self._ask(name, kind)
            if found is not None:
                addresses += [str(one.address) for one in found]
                ttl = min(ttl, found.rrset.ttl if found.rrset is not None else _SHORTEST)
        return Answer(tuple(addresses), ttl)

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        try:
            return await dns.asyncresolver.resolve(name, kind, lifetime=_LIFETIME)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except (dns.exception.DNSException, OSError, ValueError) as fault:
            raise NotFound(f"the name servers do not answer for {name} ({type(fault).__name__})") from fault


def _hosts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123  not the project's file
            for line in lines:
                address, *names = line.partition("#")[0].split() or [""]
                if _is_address(address) and ":" not in address:
                    for name in names:
                        found.setdefault(name.lower(), []).append(address)
    except OSError:
        return {}
    return found


class Resolver:
    """Keeps answers for their time to live. ``now``: a monotonic clock."""

    def __init__(self, lookup: Lookup, now: Callable[[], float], rng: random.Random) -> None:
        self._lookup, self._now, self._rng = lookup, now, rng
        self._kept: dict[tuple[str, str], tuple[float, Answer]] = {}

    async def targets(self, host: str, port: int | None, transport: str) -> list[tuple[str, int]]:
        """Return addresses and ports in the order to try; raises :class:`NotFound`."""
        host = host.strip("[]")
        if _is_address(host):
            return [(host, port or _PORTS[transport])]
        if port is None:
            services = await self._services(_SERVICE[transport] + host)
            found: list[tuple[str, int]] = []
            for one in order(services, self._rng):
                found += [(address, one.port) for address in await self._addresses(one.host)]
            if found:
                return found[:_MOST_TARGETS]
        addresses = await self._addresses(host)
        if not addresses:
            raise NotFound(f"{host} has no address; check the trunk's host")
        return [(address, port or _PORTS[transport]) for address in addresses][:_MOST_TARGETS]

    async def _services(self, name: str) -> Sequence[Service]:
        answer = await self._cached("SRV", name)
        return [one for one in answer.records if isinstance(one, Service)]

    async def _addresses(self, name: str) -> list[str]:
        if _is_address(name):
            return [name]
        answer = await self._cached("A", name)
        return [one for one in answer.records if isinstance(one, str)]

    async def _cached(self, kind: str, name: str) -> Answer:
        until, answer = self._kept.get((kind, name), (0.0, None))
        if answer is not None and self._now() < until:
            return answer
        try:
            fresh = await (self._lookup.services(name) if kind == "SRV" else self._lookup.addresses(name))
        except NotFound:
            if answer is None:
                raise
            return answer  # an old answer is better than none while the name servers are silent
        self._kept[kind, name] = self._now() + min(max(fresh.ttl, _SHORTEST), _LONGEST), fresh
        return fresh

    def forget(self) -> None:
        """Ask anew next time."""
        self._kept.clear()


def order(services: Sequence[Service], rng: random.Random) -> list[Service]:
    """Return SRV records in the order to try: by priority, within one by weight at random (RFC 2782)."""
    left, ordered = sorted(services, key=lambda one: (one.priority, one.weight, one.host)), list[Service]()
    while left:
        group = [one for one in left if one.priority == left[0].priority]
        pick = rng.uniform(0, sum(one.weight for one in group))
        for one in group:
            pick -= one.weight
            if pick <= 0:
                ordered.append(one)
                left.remove(one)
                break
    return ordered


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
