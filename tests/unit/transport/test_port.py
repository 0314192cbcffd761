"""A call's port: who is heard, who is not, and where we send."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from transport.port import MAX_AT_ONCE, PROBATION, Port
from transport.testing import bound

NEAR, FAR, ELSEWHERE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
PUBLIC = "198.41.0.4"  # nobody sends from there in these tests


def media(datagram: bytes) -> bool:
    """Return whether it is media: here what begins with m."""
    return datagram.startswith(b"m")


class Place:
    """A port under test, and sockets around it."""

    def __init__(self) -> None:
        ours = self.at(NEAR)
        self.address = ours.getsockname()
        self.port = Port(ours.detach())

    def at(self, host: str) -> socket.socket:
        """Return a socket on a host."""
        opened = bound(host)
        opened.settimeout(0.2)
        return opened

    def say(self, source: socket.socket, datagram: bytes) -> None:
        """Send a datagram to the port, and wait until it is there."""
        source.sendto(datagram, self.address)
        time.sleep(0.002)

    def hear(self) -> list[bytes]:
        """Return what the port hears."""
        return self.port.hear(media)


@pytest.fixture
def place() -> Iterator[Place]:
    """A port on loopback."""
    found = Place()
    yield found
    found.port.close()


def test_media_from_the_promised_address_are_heard_and_answered(place: Place) -> None:
    """Lost otherwise: no call over real packets works."""
    far = place.at(FAR)
    place.port.aim(*far.getsockname())
    place.port.say(b"before")
    place.say(far, b"m1")
    assert place.hear() == [b"m1"]
    place.port.say(b"after")
    assert [far.recv(100), far.recv(100)] == [b"before", b"after"]
    assert "SDP" not in place.port.news


def test_the_first_source_of_media_is_stayed_with(place: Place) -> None:
    """Lost otherwise: who guesses a port plays into a call, or takes it over."""
    far, stranger = place.at(FAR), place.at(ELSEWHERE)
    place.port.aim(*far.getsockname())
    place.say(far, b"x no media")
    place.say(far, b"m1")
    place.say(stranger, b"m of a stranger, before we had looked")
    assert place.hear() == [b"m1"]
    place.say(stranger, b"m of a stranger")
    place.say(far, b"m2")
    assert place.hear() == [b"m2"]
    assert place.port.strange == 2


def test_a_far_end_behind_a_nat_is_found(place: Place) -> None:
    """Lost otherwise: a fax machine behind a home router never hears us."""
    far = place.at(FAR)
    place.port.aim("10.1.2.3", 4000)
    place.say(far, b"m1")
    assert place.hear() == [b"m1"]
    place.port.say(b"answer")
    assert far.recv(100) == b"answer"
    assert "NAT" in place.port.news


def test_another_port_of_the_promised_host_is_found_at_once(place: Place) -> None:
    """Lost otherwise: a NAT that moves ports alone loses the first frames of each call."""
    far = place.at(FAR)
    place.port.aim(FAR, 9)
    place.say(far, b"m1")
    assert place.hear() == [b"m1"]


def test_a_host_that_nobody_promised_must_try_harder_than_the_promised_one(place: Place) -> None:
    """Lost otherwise: one datagram of a stranger takes over a call whose far end has a public address."""
    stranger, other = place.at(FAR), place.at(ELSEWHERE)
    place.port.aim(PUBLIC, 4000)
    for _ in range(PROBATION - 1):
        place.say(stranger, b"m")
        assert place.hear() == []
    place.say(other, b"m")
    assert place.hear() == []
    for number in range(PROBATION):
        place.say(stranger, b"m%d" % number)
    assert place.hear() == [b"m%d" % (PROBATION - 1)]


def test_a_new_promise_begins_afresh(place: Place) -> None:
    """Lost otherwise: after a transfer we stay with a far end that has left."""
    first, second = place.at(FAR), place.at(ELSEWHERE)
    place.port.aim(*first.getsockname())
    place.say(first, b"m1")
    assert place.hear() == [b"m1"]
    place.port.aim(*first.getsockname())
    place.port.aim(*second.getsockname())
    place.say(second, b"m2")
    assert place.hear() == [b"m2"]
    place.port.say(b"answer")
    assert second.recv(100) == b"answer"


def test_a_far_end_that_is_gone_raises_nothing(place: Place) -> None:
    """Lost otherwise: an ICMP message ends the calls of a whole worker."""
    far = place.at(FAR)
    place.port.aim(*far.getsockname())
    place.say(far, b"m1")
    place.hear()
    far.close()
    for _ in range(4):
        place.port.say(b"anybody?")
        time.sleep(0.002)
        assert place.hear() == []
    assert place.port.unsent > 0


@pytest.mark.parametrize(
    ("host", "port"), [("name.example", 4000), ("", 0), ("0.0.0.1", 4000), ("::1", 4000), ("10.0.0.1", 0)]
)
def test_an_address_that_cannot_be_sent_to_is_waited_for(place: Place, host: str, port: int) -> None:
    """Lost otherwise: an odd address in SDP ends a call that would find its far end."""
    place.port.aim(host, port)
    place.port.say(b"anybody?")
    far = place.at(FAR)
    place.say(far, b"m1")
    assert place.hear() == [b"m1"]


def test_a_flood_is_read_in_portions(place: Place) -> None:
    """Lost otherwise: who floods one port makes the other calls of the worker late."""
    far = place.at(FAR)
    place.port.aim(*far.getsockname())
    for _ in range(3 * MAX_AT_ONCE):
        far.sendto(b"m", place.address)
    time.sleep(0.01)
    assert [len(place.hear()) for _ in range(4)] == [MAX_AT_ONCE] * 3 + [0]


def test_a_port_of_ipv6_hears_and_answers_ipv4() -> None:
    """Lost otherwise: a line that listens on both hears nobody of the older one."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    ours = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    ours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    ours.bind(("::", 0))
    number = ours.getsockname()[1]
    port = Port(ours.detach())
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind((FAR, 0))
    far.settimeout(1)
    port.aim(*far.getsockname())
    port.say(b"hello")
    assert far.recv(100) == b"hello"
    far.sendto(b"m1", (NEAR, number))
    time.sleep(0.002)
    assert port.hear(media) == [b"m1"]
    port.close()
