"""The confinement, tried from inside: what a hostile document could do, had it taken its worker over."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay.confine import MIB, ChildDied, Confinement, Limits, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def confinement() -> AsyncIterator[Confinement]:
    """A real sandbox."""
    opened = Confinement(Sandbox.BUBBLEWRAP, ["relay.intruder"])
    yield opened
    await opened.close()


async def test_a_child_reaches_no_file_no_network_no_process(confinement: Confinement, tmp_path: Path) -> None:
    """Lost otherwise: a hostile PDF reads other people's faxes, or calls home."""
    canary = tmp_path / "canary"
    canary.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        host, port = listener.getsockname()
        request = {"path": str(canary), "host": host, "port": port}
        answer = await confinement.run("relay.intruder:reach", request)
        assert not any(answer.values()), answer
        assert len(answer) == 6
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert canary.read_text() == "secret"


async def test_a_child_can_use_what_it_was_given(confinement: Confinement, tmp_path: Path) -> None:
    """Lost otherwise: no worker can hand its work back."""
    with (tmp_path / "out").open("wb") as out:
        await confinement.run("relay.intruder:use_descriptor", {}, [out.fileno()])
    assert (tmp_path / "out").read_bytes() == b"written inside"


async def test_memory_is_bounded(confinement: Confinement) -> None:
    """Lost otherwise: one bomb of a document takes the machine's memory."""
    answer = await confinement.run("relay.intruder:swallow", {}, limits=Limits(address_space=512 * MIB))
    assert answer["bytes"] <= 512 * MIB


async def test_the_wall_clock_ends_a_child_that_never_ends(confinement: Confinement) -> None:
    """Lost otherwise: an endless document holds a worker for ever."""
    started = time.monotonic()
    async with confinement.child("relay.intruder:linger", limits=Limits(wall=0.3)) as child:
        await child.receive()
        with pytest.raises(ChildDied) as died:
            await child.receive()
    assert died.value.took_too_long
    assert time.monotonic() - started < 3


async def test_a_child_that_breaks_the_rules_is_killed(confinement: Confinement) -> None:
    """Lost otherwise: a worker that was taken over feeds the service what it likes."""
    async with confinement.child("relay.intruder:babble") as child:
        with pytest.raises(ChildDied):
            await child.receive()
        assert await child.wait() == -signal.SIGKILL


async def test_leaving_the_block_ends_the_child(confinement: Confinement) -> None:
    """Lost otherwise: cancelled work leaves workers behind until the machine is full of them."""
    async with confinement.child("relay.intruder:linger") as child:
        await child.receive()
    assert await asyncio.wait_for(child.wait(), 3) == -signal.SIGKILL


async def test_the_next_child_finds_a_new_nursery_when_the_old_one_died(confinement: Confinement) -> None:
    """Lost otherwise: one out-of-memory kill stops all conversion until somebody restarts the service."""
    async with confinement.child("relay.intruder:linger") as child:
        await child.receive()
        assert confinement._process is not None
        confinement._process.kill()
        with pytest.raises(ChildDied):
            await child.receive()
    async with confinement.child("relay.intruder:linger") as child:
        assert (await child.receive())[0]["pid"] > 0


async def test_many_children_at_once_do_not_mix_their_answers(confinement: Confinement) -> None:
    """Lost otherwise: one sender's document ends in another's fax."""
    folder = Path("/dev/shm")

    async def one(index: int) -> None:
        path = folder / f"faxrelay-test-{os.getpid()}-{index}"
        with path.open("wb+") as out:
            path.unlink()
            await confinement.run("relay.intruder:use_descriptor", {}, [out.fileno()])
            out.seek(0)
            assert out.read() == b"written inside"

    await asyncio.gather(*(one(index) for index in range(20)))


async def _waiting(confinement: Confinement) -> None:
    """Return when a child waits for its request."""
    async with asyncio.timeout(5):
        while not confinement._waiting:
            await asyncio.sleep(0.01)


async def test_each_request_has_a_child_of_its_own_although_one_waits(confinement: Confinement) -> None:
    """Lost otherwise: a document that took its child over reads the next sender's."""
    served = set()
    for _ in range(5):
        served.add((await confinement.run("relay.intruder:tell", {}))["pid"])
        await _waiting(confinement)
    assert len(served) == 5


async def test_one_child_waits_after_requests_that_overlap(confinement: Confinement) -> None:
    """Lost otherwise: each burst leaves children behind, until no thread can be started beside them."""

    async def one(delay: float) -> None:
        await asyncio.sleep(delay)
        await confinement.run("relay.intruder:tell", {})

    for _ in range(12):
        await asyncio.gather(*(one(0.003 * place) for place in range(6)))
    await _waiting(confinement)
    async with asyncio.timeout(5):
        while len(confinement._ended) > 1 or confinement._forking:
            await asyncio.sleep(0.02)


async def test_one_child_waits_however_long_requests_may_take(confinement: Confinement) -> None:
    """Lost otherwise: a child more waits for ever after each page that is read, and the machine fills with them."""
    for wall in (5.0, 6.0, 7.0):
        await confinement.run("relay.intruder:tell", {}, limits=Limits(wall=wall))
        await _waiting(confinement)
    assert len(confinement._waiting) == 1


async def test_the_clock_of_a_child_starts_with_its_request(confinement: Confinement) -> None:
    """Lost otherwise: the first document after a quiet hour is refused for taking too long."""
    limits = Limits(wall=0.3)
    await confinement.run("relay.intruder:tell", {}, limits=limits)
    await _waiting(confinement)
    await asyncio.sleep(0.6)
    assert (await confinement.run("relay.intruder:tell", {}, limits=limits))["pid"] > 0
    with pytest.raises(ChildDied) as died:
        await confinement.run("relay.intruder:hang", {}, limits=limits)
    assert died.value.took_too_long


async def test_a_waiting_child_that_died_with_its_nursery_is_not_used(confinement: Confinement) -> None:
    """Lost otherwise: the first document after an out-of-memory kill is lost with it."""
    await confinement.run("relay.intruder:tell", {})
    await _waiting(confinement)
    assert confinement._process is not None
    confinement._process.kill()
    await asyncio.sleep(0.3)
    assert (await confinement.run("relay.intruder:tell", {}))["pid"] > 0
