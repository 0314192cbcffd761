"""Children that read mails: which are kept, which are replaced, whom a death is blamed on."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any, cast

import pytest

from relay.confine import ChildDied, Confinement
from relay.errors import Refusal
from relay.intake.message import MailReader
from relay.intake.pool import EndedChild, Nonsense, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay.confine import Child


class Scripted:
    """A child that answers, or dies with a status, by a script; behind its end it answers for ever."""

    def __init__(self, *script: dict[str, Any] | int) -> None:
        self._script = list(script)
        self.asked = 0
        self.closed = False

    async def send(self, _request: object, _descriptors: object) -> None:
        """Take a request."""
        self.asked += 1

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Answer it."""
        step = self._script.pop(0) if self._script else {}
        if isinstance(step, int):
            raise ChildDied("reader", step)
        return step, []

    async def close(self) -> None:
        """End."""
        self.closed = True


@contextlib.contextmanager
def nothing() -> Iterator[tuple[int, ...]]:
    """Open no file."""
    yield ()


def pool(*children: Scripted) -> Pool:
    """Return a pool whose children are these, in order."""
    waiting = list(children)

    async def spawn() -> Child:
        return cast("Child", waiting.pop(0))

    return Pool(spawn, children=1)


async def ask(from_pool: Pool) -> dict[str, Any]:
    """Ask once."""
    return await from_pool.ask({}, nothing, dict, seconds=5)


async def test_a_child_is_asked_again_and_replaced_when_it_dies() -> None:
    """Lost otherwise: a mail is refused because the mails before it had used its reader up."""
    first, second = Scripted({"n": 1}, -signal.SIGXCPU), Scripted({"n": 2})
    children = pool(first, second)
    assert [await ask(children) for _ in range(2)] == [{"n": 1}, {"n": 2}]
    assert (first.asked, first.closed, second.asked, second.closed) == (2, True, 1, False)


async def test_the_death_of_a_fresh_child_is_told() -> None:
    """Lost otherwise: a mail that kills every reader kills them for ever."""
    only = Scripted(-signal.SIGSEGV)
    with pytest.raises(EndedChild):
        await ask(pool(only))
    assert only.closed


async def test_a_child_that_talks_nonsense_is_not_asked_again() -> None:
    """Lost otherwise: a reader that a mail has taken over goes on to read the mails of others."""
    first, second = Scripted({"n": 1}), Scripted({"n": 2})
    children = pool(first, second)

    def refuse(_answer: dict[str, Any]) -> None:
        raise Nonsense("what?")

    with pytest.raises(Nonsense):
        await children.ask({}, nothing, refuse, seconds=5)
    assert first.closed
    assert await ask(children) == {"n": 2}


async def test_idle_children_end_with_the_pool() -> None:
    """Lost otherwise: processes are left behind."""
    child = Scripted()
    children = pool(child)
    await ask(children)
    await children.close()
    assert child.closed


@pytest.mark.parametrize(("status", "code"), [(-signal.SIGKILL, 451), (-signal.SIGSEGV, 550), (1, 550)])
async def test_what_a_readers_end_means(tmp_path: Path, status: int, code: int) -> None:
    """Lost otherwise: an honest mail is refused for good because the machine was short of memory."""

    class Deadly:
        async def spawn(self, *_: object) -> Child:
            return cast("Child", Scripted(status))

    message = tmp_path / "message"
    message.write_bytes(b"")
    reader = MailReader(cast("Confinement", Deadly()), message_bytes=1024)
    with pytest.raises(Refusal) as refused:
        await reader.read(message, message)
    assert refused.value.code == code
