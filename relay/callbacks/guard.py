"""Which addresses a callback may be sent to, and the only way by which one is connected.

A name is resolved once, every address of the answer is checked, and the connection is made to a checked address: what
a name server says a moment later (DNS rebinding) changes nothing. Sources: the special-purpose address registries of
the IANA (RFC 6890), RFC 4291, RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP), RFC 6761.

Invariants: an address that no range of the endpoint permits never gets a packet; one bad address among several makes
the name bad; multicast, broadcast and unspecified addresses cannot be permitted at all.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import httpcore2

from relay.callbacks.stream import Stream
from relay.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: The most addresses of one name that are tried, and of which one answer may consist.
MOST_ADDRESSES: Final = 16

_NEVER_4: Final = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved or broadcast",
}
_NOT_PUBLIC_4: Final = {
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by a carrier",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("168.63.129.16/32"): "a cloud's own",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "for protocols",
    IPv4Network("192.0.2.0/24"): "for documents",
    IPv4Network("192.88.99.0/24"): "a 6to4 relay",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("198.18.0.0/15"): "for measurements",
    IPv4Network("198.51.100.0/24"): "for documents",
    IPv4Network("203.0.113.0/24"): "for documents",
}
_NEVER_6: Final = {
    IPv6Network("::/128"): "unspecified",
    IPv6Network("ff00::/8"): "multicast",
}
_NOT_PUBLIC_6: Final = {
    IPv6Network("::1/128"): "loopback",
    IPv6Network("2001::/23"): "for protocols",
    IPv6Network("2001:db8::/32"): "for documents",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("3fff::/20"): "for documents",
    IPv6Network("fc00::/7"): "private",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("fec0::/10"): "site-local",
}
_PUBLIC_6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
#: RFC 5214 6.1: the interface identifier of an ISATAP address, with the universal bit and without.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
_LOW_32: Final = 0xFFFFFFFF


class Forbidden(RelayError):
    """An address that may not be called; the sentence names it and why. Nothing was sent."""


class Unresolved(RelayError):
    """A name that has no address now; the sentence names it."""


def objection(address: Address, permitted: Iterable[Network] = ()) -> str | None:
    """Return why ``address`` may not be called, ``None`` where it may. ``permitted``: the ranges that policy names.

    >>> objection(ip_address("8.8.8.8"))
    >>> objection(ip_address("::ffff:127.0.0.1"))
    'loopback'
    >>> objection(ip_address("127.0.0.1"), [IPv4Network("127.0.0.0/8")])
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "an address with a zone"
        if address.ipv4_mapped is not None:
            return objection(address.ipv4_mapped, permitted)
        return _objection_6(address, tuple(permitted))
    never = _named(address, _NEVER_4)
    if never is not None or any(address in one for one in permitted):
        return never
    return _named(address, _NOT_PUBLIC_4)


def _objection_6(address: IPv6Address, permitted: tuple[Network, ...]) -> str | None:
    never = _named(address, _NEVER_6)
    if never is not None or any(address in one for one in permitted):
        return never
    inner = _carried(address)
    if inner is not None and (why := objection(inner, permitted)) is not None:
        return f"{why}, inside of IPv6"
    if address in _NAT64:
        return None
    return _named(address, _NOT_PUBLIC_6) or (None if address in _PUBLIC_6 else "reserved")


def _carried(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an address of transition carries, which a router may send it on to."""
    number = int(address)
    if (address in _COMPATIBLE and number > 1) or address in _NAT64:
        return IPv4Address(number & _LOW_32)
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(number & _LOW_32) if (number >> 32) & _LOW_32 in _ISATAP else None


def _named(address: Address, ranges: dict[IPv4Network, str] | dict[IPv6Network, str]) -> str | None:
    return next((name for network, name in ranges.items() if address in network), None)


class Resolver(Protocol):
    """Whoever knows the addresses of names."""

    async def addresses(self, name: str, seconds: float) -> Sequence[str]:
        """Return a name's addresses within ``seconds``; raises :class:`Unresolved`."""


class DnsResolver:
    """Asks the DNS, A and AAAA at once. ``nameservers``: their addresses; none: the machine's own.

    The machine's hosts file is not read: what stands there is for the machine, not for callbacks.
    """

    def __init__(self, nameservers: Sequence[str] = (), *, port: int = 53) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        except dns.resolver.NoResolverConfiguration:  # no name is found; addresses are called all the same
            self._resolver = dns.asyncresolver.Resolver(configure=False)
        if nameservers:
            self._resolver.nameservers = list(nameservers)
            self._resolver.port = port

    async def addresses(self, name: str, seconds: float) -> Sequence[str]:
        """See :class:`Resolver`."""
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3: no name server is asked
            return ("127.0.0.1", "::1")
        found = await asyncio.gather(*(self._ask(name, kind, seconds) for kind in ("A", "AAAA")))
        addresses = [address for records in found if records is not None for address in records]
        if addresses:
            return addresses
        why = "the name servers do not answer" if None in found else "it has no address"
        raise Unresolved(f"{name} cannot be called: {why}")

    async def _ask(self, name: str, kind: str, seconds: float) -> list[str] | None:
        """Return the records of one kind, ``None`` where nobody could say."""
        try:
            question = dns.name.Name([*(label.encode("ascii") for label in name.split(".")), b""])
            found = await self._resolver.resolve(
                question, dns.rdatatype.from_text(kind), search=False, lifetime=seconds
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError, ValueError):
            return None
        return [record.address for record in found]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to what ``permitted`` and the public ranges allow; the network itself is ``inner``'s."""

    def __init__(
        self, resolver: Resolver, permitted: Iterable[Network] = (), inner: httpcore2.AsyncNetworkBackend | None = None
    ) -> None:
        self._resolver = resolver
        self._permitted = tuple(permitted)
        self._inner = inner or httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's name for it
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers; raises :class:`Forbidden` before any packet."""
        seconds = 10.0 if timeout is None else timeout
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        found = await self._checked(host, seconds)
        fault: Exception | None = None
        for index, address in enumerate(found):
            left = ends - loop.time()
            share = left / (len(found) - index)  # so that a dead address leaves time for the next
            if share <= 0:
                break
            try:
                made = await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                fault = failed
            else:
                return Stream(made)
        raise fault or httpcore2.ConnectTimeout(f"{host} could not be connected in time")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  httpcore's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002  same
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: no callback goes to a socket of this machine."""
        raise Forbidden(f"{path} is no address that may be called")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def _checked(self, host: str, seconds: float) -> list[Address]:
        """Return the addresses of a host, each of which may be called."""
        literal = _literal(host)
        texts = [host] if literal is not None else await self._resolver.addresses(host, seconds)
        addresses = [ip_address(text) for text in list(dict.fromkeys(texts))[:MOST_ADDRESSES]]
        for address in addresses:
            why = objection(address, self._permitted)
            if why is not None:
                told = host if literal is not None else f"{host} ({address})"
                raise Forbidden(
                    f"{told} may not be called: the address is {why}; "
                    "name its range in callbacks.networks of the policy, where it is meant"
                )
        return addresses


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
