"""Forbidden addresses: whatever a URL looks like and whatever a name server says, they never get a packet."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path

import pytest

from relay.callbacks.client import Answer, Client, NoAnswer
from relay.callbacks.guard import DnsResolver, objection
from relay.callbacks.request import Request

from .misbehaving import receiver
from .network import Dialled, listening, name_server

_URLS = (Path(__file__).parents[2] / "data" / "callbacks" / "forbidden.txt").read_text(encoding="utf-8")
URLS = [line for line in _URLS.splitlines() if not line.startswith("#")]
PUBLIC = "93.184.215.14"


def names() -> dict[tuple[str, str], list[list[str]]]:
    """Return the names that the table of URLs uses."""
    return {
        ("loop.callback.test", "A"): [["127.0.0.1"]],
        ("loop6.callback.test", "AAAA"): [["::1"]],
        ("mapped.callback.test", "AAAA"): [["::ffff:127.0.0.1"]],
        ("both.callback.test", "A"): [[PUBLIC, "127.0.0.1"]],
        ("alias.callback.test", "CNAME"): [["loop.callback.test"]],
        ("unspecified.callback.test", "A"): [["0.0.0.0"]],  # noqa: S104  an answer, not a listener
        ("translated.callback.test", "AAAA"): [["64:ff9b::7f00:1"]],
    }


@pytest.mark.parametrize("url", URLS)
async def test_a_forbidden_address_never_gets_a_packet(url: str) -> None:
    """Whoever sets an endpoint's URL could make the relay call the services of its own network."""
    network = Dialled()
    async with listening() as listener, name_server(names()) as zone:
        client = Client(DnsResolver(["127.0.0.1"], port=zone.port), inner=network)
        answer = await client.call(Request("GET", url.replace("PORT", str(listener.port))), seconds=5)
        await client.close()
        assert isinstance(answer, NoAnswer)
        assert "callback.test" not in url or "may not be called" in answer.reason  # the name was found, and refused
        assert network.addresses == []
        assert listener.connections == 0


async def test_the_table_has_sixty_forms() -> None:
    """A shortened table would prove less than the documents say."""
    assert len(set(URLS)) >= 60


async def test_a_name_that_changes_its_address_is_called_at_the_checked_one() -> None:
    """A name server that answers with a public address first and loopback next would lead the relay home."""
    records = {("rebind.callback.test", "A"): [[PUBLIC], ["127.0.0.1"]]}
    network = Dialled()
    async with listening() as listener, name_server(records) as zone:
        client = Client(DnsResolver(["127.0.0.1"], port=zone.port), inner=network)
        for _ in range(2):
            url = f"http://rebind.callback.test:{listener.port}/"
            assert isinstance(await client.call(Request("GET", url), seconds=5), NoAnswer)
        await client.close()
        assert network.addresses == [PUBLIC]
        assert [kind for _, kind in zone.asked].count("A") == 2
        assert listener.connections == 0


async def test_a_redirect_to_a_forbidden_address_is_not_followed() -> None:
    """A public receiver could send the relay on to a service of its own network."""
    async with listening() as listener, receiver("redirect", f"http://127.0.0.1:{listener.port}/") as there:
        client = Client(DnsResolver(), inner=Dialled({PUBLIC: there.port}))
        answer = await client.call(Request("GET", f"http://{PUBLIC}:{there.port}/"), seconds=5)
        await client.close()
        assert isinstance(answer, Answer)
        assert answer.status == 302
        assert listener.connections == 0


async def test_a_connection_that_one_endpoint_may_use_is_not_lent_to_another() -> None:
    """A kept connection to a private address would carry the call of an endpoint that may not call it."""
    async with receiver("ok") as there:
        client = Client(DnsResolver())
        url = f"http://127.0.0.1:{there.port}/"
        may = frozenset({IPv4Network("127.0.0.0/8")})
        assert isinstance(await client.call(Request("GET", url), permitted=may), Answer)
        refused = await client.call(Request("GET", url))
        await client.close()
        assert isinstance(refused, NoAnswer)
        assert "loopback" in refused.reason
        assert len(there.requests) == 1


@pytest.mark.parametrize(
    ("address", "permitted", "why"),
    [
        ("8.8.8.8", "", None),
        ("2606:4700::1111", "", None),
        ("64:ff9b::808:808", "", None),
        ("10.1.2.3", "10.0.0.0/8", None),
        ("10.1.2.3", "10.2.0.0/16", "private"),
        ("::ffff:10.1.2.3", "10.0.0.0/8", None),
        ("::1", "::1/128", None),
        ("0.0.0.0", "0.0.0.0/0", "this network"),  # noqa: S104  an address to judge
        ("224.0.0.1", "0.0.0.0/0", "multicast"),
        ("255.255.255.255", "0.0.0.0/0", "reserved or broadcast"),
        ("::", "::/0", "unspecified"),
        ("ff02::1", "::/0", "multicast"),
    ],
)
def test_what_the_policy_names_may_be_called(address: str, permitted: str, why: str | None) -> None:
    """An office's own receiver could not be told, or a named range would open more than it says."""
    assert objection(ip_address(address), [ip_network(permitted)] if permitted else []) == why
