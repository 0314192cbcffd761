"""The message channel between our processes, with a far end that may have been taken over."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from relay.channel import MAX_MESSAGE, Channel, ChannelBroken


async def test_messages_keep_their_borders_and_carry_descriptors() -> None:
    """Lost otherwise: two pages' reports run into one, or a document goes to the wrong worker."""
    ours, theirs = Channel.pair()
    read, write = os.pipe()
    ours.send({"first": 1}, [write])
    ours.send({"second": "שני"})
    message, fds = (await theirs.receive_async()) or ({}, [])
    os.write(fds[0], b"x")
    assert message == {"first": 1}
    assert os.read(read, 1) == b"x"
    assert await theirs.receive_async() == ({"second": "שני"}, [])
    ours.close()
    assert await theirs.receive_async() is None


async def test_a_full_channel_waits_without_blocking_the_loop() -> None:
    """Lost otherwise: one slow worker stops the whole service."""
    ours, theirs = Channel.pair()
    sending = asyncio.gather(*(ours.send_async({"n": index, "pad": "x" * 50_000}) for index in range(1)))
    await sending

    async def many() -> None:
        for index in range(50):
            await ours.send_async({"n": index, "pad": "x" * 50_000})

    task = asyncio.create_task(many())
    await asyncio.sleep(0.05)
    assert not task.done()
    got = [(await theirs.receive_async() or ({}, []))[0]["n"] for _ in range(51)]
    await task
    assert got == [0, *range(50)]


@pytest.mark.parametrize("said", [b"\xff", b"[1]", b"[" * 100_000, b'"x"'])
def test_a_far_end_that_breaks_the_rules_is_found_out(said: bytes) -> None:
    """Lost otherwise: what a taken-over worker says reaches code that trusts it."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other.send(said)
    with pytest.raises(ChannelBroken):
        Channel(one).receive()
    other.close()


def test_descriptors_of_a_broken_message_are_closed() -> None:
    """Lost otherwise: a hostile worker makes the service run out of descriptors."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        socket.send_fds(other, [b"not json"], [other.fileno()] * 10)
        with pytest.raises(ChannelBroken):
            Channel(one).receive()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    one.close()
    other.close()


def test_the_last_words_of_a_far_end_that_left_in_a_hurry_arrive() -> None:
    """Lost otherwise: a worker that ended well is taken for one that died."""
    ours, theirs = Channel.pair()
    ours.send({"unread": True})
    theirs.send({"done": True})
    theirs.close()
    assert ours.receive() == ({"done": True}, [])
    assert ours.receive() is None


def test_a_message_too_long_is_the_senders_fault() -> None:
    """Lost otherwise: a long report is cut in silence."""
    ours, _theirs = Channel.pair()
    with pytest.raises(ChannelBroken, match=str(MAX_MESSAGE)):
        ours.send({"pad": "x" * MAX_MESSAGE})
