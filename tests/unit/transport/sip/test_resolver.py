"""Where a trunk's requests go."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from transport.sip.resolver import Answer, NotFound, Resolver, Service, order

if TYPE_CHECKING:
    from collections.abc import Mapping


class Names:
    """A DNS of dictionaries."""

    def __init__(self, services: Mapping[str, tuple[Service, ...]], addresses: Mapping[str, tuple[str, ...]]) -> None:
        self.known, self.hosts = services, addresses
        self.asked = 0
        self.silent = False

    async def services(self, name: str) -> Answer:
        """Return SRV records."""
        return self._answer(self.known.get(name, ()))

    async def addresses(self, name: str) -> Answer:
        """Return addresses."""
        return self._answer(self.hosts.get(name, ()))

    def _answer(self, records: tuple[Service, ...] | tuple[str, ...]) -> Answer:
        self.asked += 1
        if self.silent:
            raise NotFound("silent")
        return Answer(records, 100.0)


NAMES = {
    "a.test": ("192.0.2.1",), "b.test": ("192.0.2.2", "2001:db8::2"), "plain.test": ("192.0.2.9",),
}  # fmt: skip
SERVICES = {"_sip._udp.trunk.test": (Service(20, 0, 5070, "b.test"), Service(10, 0, 5060, "a.test"))}


async def test_srv_gives_targets_by_priority_then_addresses() -> None:
    """Lost otherwise: calls go to the spare machine of the carrier, or stop when the first one does."""
    resolver = Resolver(Names(SERVICES, NAMES), lambda: 0.0, random.Random(1))
    assert await resolver.targets("trunk.test", None, "udp") == [
        ("192.0.2.1", 5060), ("192.0.2.2", 5070), ("2001:db8::2", 5070),
    ]  # fmt: skip


async def test_a_port_or_an_address_is_taken_as_it_is() -> None:
    """Lost otherwise: a trunk with a port in the policy is called on another one (RFC 3263 4.2)."""
    names = Names(SERVICES, NAMES)
    resolver = Resolver(names, lambda: 0.0, random.Random(1))
    assert await resolver.targets("plain.test", 5080, "udp") == [("192.0.2.9", 5080)]
    assert await resolver.targets("plain.test", None, "tls") == [("192.0.2.9", 5061)]
    asked = names.asked
    assert await resolver.targets("[2001:db8::1]", None, "tcp") == [("2001:db8::1", 5060)]
    assert names.asked == asked
    with pytest.raises(NotFound, match=r"nowhere\.test"):
        await resolver.targets("nowhere.test", None, "udp")


async def test_answers_are_kept_and_outlive_silent_name_servers() -> None:
    """Lost otherwise: every call waits for the DNS, and none goes out while it is down."""
    now = [0.0]
    names = Names({}, NAMES)
    resolver = Resolver(names, lambda: now[0], random.Random(1))
    first = await resolver.targets("plain.test", 5060, "udp")
    asked = names.asked
    assert await resolver.targets("plain.test", 5060, "udp") == first
    assert names.asked == asked
    now[0], names.silent = 1000.0, True
    assert await resolver.targets("plain.test", 5060, "udp") == first
    assert names.asked > asked


def test_weights_share_calls_among_equals() -> None:
    """Lost otherwise: all calls go to one machine of the carrier (RFC 2782)."""
    rng = random.Random(7)
    services = [Service(10, 75, 1, "big"), Service(10, 25, 1, "small"), Service(20, 0, 1, "spare")]
    firsts = [order(services, rng)[0].host for _ in range(400)]
    assert 250 < firsts.count("big") < 350
    assert all(order(services, rng)[-1].host == "spare" for _ in range(20))
