"""The questions to real name servers: one of ours, on the loopback, that answers as they do in their bad moments."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from relay.auth.resolver import NO_DATA, NO_SUCH_NAME, TEMPERROR, DnsResolver, Kind, Status
from relay.auth.testing import BROKEN, ZoneResolver

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = {
    ("a.example.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("a.example.", "AAAA"): ["2001:db8::1"],
    ("a.example.", "MX"): ["20 second.example.", "10 first.example."],
    ("a.example.", "TXT"): ['"v=spf1 " "-all"', r'"caf\233"'],
    ("1.2.0.192.in-addr.arpa.", "PTR"): ["a.example."],
    (r"odd\@name.example.", "TXT"): ['"here"'],
    ("alias.example.", "CNAME"): ["a.example."],
}


def answer(wire: bytes) -> bytes | None:
    """What the server says to a question, None for silence."""
    question = dns.message.from_wire(wire)
    response = dns.message.make_response(question)
    response.flags |= dns.flags.RA
    name = question.question[0].name
    kind = dns.rdatatype.to_text(question.question[0].rdtype)
    text = name.to_text().lower()
    if text.startswith("silent."):
        return None
    if text.startswith("broken."):
        response.set_rcode(dns.rcode.SERVFAIL)
        return response.to_wire()
    if (text, "CNAME") in ZONE:
        target = ZONE[text, "CNAME"][0]
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", target))
        text, name = target, dns.rrset.from_text(target, 60, "IN", "A", "192.0.2.1").name
    if (text, kind) in ZONE:
        response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *ZONE[text, kind]))
    elif not any(known == text for known, _kind in ZONE):
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire()


@pytest.fixture(scope="module")
def resolver() -> Iterator[DnsResolver]:
    """A resolver that asks the server."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(0.1)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                wire, client = server.recvfrom(4096)
            except TimeoutError:
                continue
            said = answer(wire)
            if said is not None:
                server.sendto(said, client)

    thread = threading.Thread(target=serve)
    thread.start()
    yield DnsResolver([f"127.0.0.1:{server.getsockname()[1]}"], patience=1.0)
    stopped.set()
    thread.join()
    server.close()


def test_records_of_every_kind(resolver: DnsResolver) -> None:
    """Lost otherwise: an honest domain's records are misread."""
    assert sorted(resolver.lookup("a.example", Kind.A).records) == ["192.0.2.1", "192.0.2.2"]
    assert resolver.lookup("A.Example", Kind.AAAA).records == ("2001:db8::1",)
    assert resolver.lookup("a.example", Kind.MX).records == ("first.example", "second.example")
    assert sorted(resolver.lookup("a.example", Kind.TXT).records) == ["caf\u00e9", "v=spf1 -all"]
    assert resolver.lookup("1.2.0.192.in-addr.arpa", Kind.PTR).records == ("a.example",)
    assert resolver.lookup("odd@name.example", Kind.TXT).records == ("here",)
    assert resolver.lookup("alias.example", Kind.AAAA).records == ("2001:db8::1",)


def test_nothing_of_every_kind(resolver: DnsResolver) -> None:
    """Lost otherwise: a name server that is away counts as a domain without records."""
    assert resolver.lookup("1.2.0.192.in-addr.arpa", Kind.A) == NO_DATA
    assert resolver.lookup("gone.example", Kind.A) == NO_SUCH_NAME
    assert resolver.lookup("broken.example", Kind.A) == TEMPERROR
    assert resolver.lookup("silent.example", Kind.A) == TEMPERROR
    assert resolver.lookup("a..example", Kind.A) == NO_SUCH_NAME
    assert resolver.lookup("b\u00fccher.example", Kind.A) == NO_SUCH_NAME


def test_the_machine_s_own_servers_are_the_default() -> None:
    """Lost otherwise: an administrator has to name servers that the machine knows already."""
    assert DnsResolver(patience=0.2).lookup("a..example", Kind.A) == NO_SUCH_NAME


@pytest.mark.parametrize("written", ["192.0.2.1", "2001:db8::1", "[2001:db8::1]:5353", "192.0.2.1:5353"])
def test_servers_are_written_as_addresses_and_ports(written: str) -> None:
    """Lost otherwise: an administrator's own resolver cannot be named."""
    DnsResolver([written])


@pytest.mark.parametrize("written", ["", "ns.example.com", "192.0.2.1:", "192.0.2.1:x", ":53"])
def test_what_is_no_server_is_told(written: str) -> None:
    """Lost otherwise: a slip in the settings shows as mail that waits for ever."""
    with pytest.raises(ValueError, match=r".+"):
        DnsResolver([written])


def test_the_fake_tells_the_same_kinds_of_nothing_apart() -> None:
    """Lost otherwise: tests pass that the real name servers would fail."""
    zone = ZoneResolver({"x.a.example": {Kind.A: ["192.0.2.1"], Kind.TXT: BROKEN}})
    assert zone.lookup("X.a.example", Kind.A).status is Status.FOUND
    assert zone.lookup("x.a.example", Kind.TXT) == TEMPERROR
    assert zone.lookup("x.a.example", Kind.MX) == NO_DATA
    assert zone.lookup("a.example", Kind.A) == NO_DATA
    assert zone.lookup("b.example", Kind.A) == NO_SUCH_NAME
    assert zone.lookup("a..example", Kind.A) == NO_SUCH_NAME
