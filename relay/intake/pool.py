"""Confined children that read mails one after the other, and are recycled.

A child for each mail would cost a fork, several times the work itself; so a child that a mail has taken over meets few
others. That gives a forger nothing: what a taken-over child could say of another mail, it could say of its own.
A child that dies over a mail is replaced and the mail tried once more, in case earlier ones had used its limits up.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from relay.confine import ChildDied

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from relay.confine import Child

T = TypeVar("T")

log = structlog.get_logger()

#: Requests that one child answers.
RECYCLED_AFTER: Final = 50


class Nonsense(Exception):
    """A child said what our code never says."""


class EndedChild(Exception):
    """A mail ended a child that had read no other. ``status``: the child's, negative for a signal."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"a fresh child ended with status {status}")
        self.status = status


@dataclass(slots=True)
class _Kept:
    child: Child
    served: int = 0


class Pool:
    """Up to ``children`` at work. ``spawn`` makes one."""

    def __init__(self, spawn: Callable[[], Awaitable[Child]], *, children: int) -> None:
        self._spawn = spawn
        self._idle: list[_Kept] = []
        self._turns = asyncio.Semaphore(children)

    async def ask(
        self,
        request: Mapping[str, Any],
        opened: Callable[[], AbstractContextManager[tuple[int, ...]]],
        understood: Callable[[dict[str, Any]], T],
        *,
        seconds: float,
    ) -> T:
        """Return what a child's answer means; ``opened`` gives the descriptors that it gets, ``seconds`` its time.

        Raises :class:`relay.confine.ChildDied` where no child could be started, which is no fault of the mail,
        :class:`EndedChild`, :class:`TimeoutError`, and what ``understood`` raises of an answer, :class:`Nonsense` for
        instance; none of these children is asked again.
        """
        async with self._turns:
            while True:
                kept = self._idle.pop() if self._idle else _Kept(await self._spawn())
                try:
                    meaning = understood(await _answer(kept.child, request, opened, seconds))
                except ChildDied as fault:
                    await kept.child.close()
                    log.warning("a mail ended the child that read it", fault=str(fault), served=kept.served)
                    if not kept.served:
                        raise EndedChild(fault.status) from fault
                except BaseException:
                    await kept.child.close()
                    raise
                else:
                    await self._put_back(kept)
                    return meaning

    async def close(self) -> None:
        """End the idle children; one that is at work is ended by whoever waits for it."""
        while self._idle:
            await self._idle.pop().child.close()

    async def _put_back(self, kept: _Kept) -> None:
        kept.served += 1
        if kept.served < RECYCLED_AFTER:
            self._idle.append(kept)
        else:
            await kept.child.close()


async def _answer(
    child: Child,
    request: Mapping[str, Any],
    opened: Callable[[], AbstractContextManager[tuple[int, ...]]],
    seconds: float,
) -> dict[str, Any]:
    with opened() as descriptors:
        async with asyncio.timeout(seconds):
            await child.send(request, descriptors)
            answer, found = await child.receive()
    for descriptor in found:
        os.close(descriptor)
    return answer
