"""Links between processes: order, borders, descriptors, and far ends that break the rules."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from transport.link import MAX_MESSAGE, Link


def pair() -> tuple[Link, socket.socket]:
    """Return a link and the bare far end of it."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Link(one), other


def open_descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_slow_reader_gets_everything_in_order() -> None:
    """Lost otherwise: events of a call are lost or mixed when the service is busy for a moment."""
    link, other = pair()
    far = Link(other)
    read, write = os.pipe()
    for number in range(60):
        link.post({"n": number, "pad": "x" * 20_000}, [write] if number == 50 else [])
    os.close(write)
    got = []
    for _ in range(60):
        received = await asyncio.wait_for(far.receive(), 5)
        assert received is not None
        message, fds = received
        got.append(message["n"])
        for descriptor in fds:
            os.write(descriptor, b"%d" % message["n"])
            os.close(descriptor)
    assert got == list(range(60))
    assert os.read(read, 10) == b"50", "the descriptor came although ours was closed while it waited"
    assert os.read(read, 10) == b"", "and nobody holds it any more"
    os.close(read)
    link.close()
    assert await far.receive() is None
    far.close()


@pytest.mark.parametrize("said", [b"\xff", b"[1]", b"[" * 100_000, b'"x"', b"x" * (MAX_MESSAGE + 10)])
async def test_a_far_end_that_breaks_the_rules_ends_the_link(said: bytes) -> None:
    """Lost otherwise: a process that was taken over feeds the service what it likes, or eats its descriptors."""
    link, other = pair()
    before = open_descriptors()
    socket.send_fds(other, [said], [other.fileno()] * 3)
    assert await link.receive() is None
    assert open_descriptors() == before
    link.close()
    other.close()


async def test_closing_a_link_gives_back_what_waited() -> None:
    """Lost otherwise: the service runs out of descriptors after some crashes of its line."""
    link, other = pair()
    before = open_descriptors()
    for _ in range(60):
        link.post({"pad": "x" * 20_000}, [other.fileno()])
    link.close()
    other.close()
    assert open_descriptors() == before - 2
    assert await link.receive() is None


async def test_nobody_at_the_far_end_is_no_error_for_the_sender() -> None:
    """Lost otherwise: the death of the line raises in the middle of the service."""
    link, other = pair()
    other.close()
    link.post({"n": 1})
    assert await link.receive() is None
    with pytest.raises(ValueError, match=str(MAX_MESSAGE)):
        link.post({"pad": "x" * MAX_MESSAGE})
    link.close()


async def test_the_last_words_of_an_end_that_did_not_listen_are_heard() -> None:
    """Lost otherwise: a process that ends at once cannot say why."""
    link, other = pair()
    link.post({"nobody": "reads this"})
    other.send(b'{"last": "words"}')
    other.close()
    assert await link.receive() == ({"last": "words"}, [])
    assert await link.receive() is None
    link.close()
