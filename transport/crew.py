"""One running media worker as its line sees it: the calls that are in it, what it says of each, and its death.

A worker that says nothing for a while although it has calls hangs in the C library; it is killed, and its calls end by
their journals as those of any dead worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

from transport.causes import Hangup
from transport.launcher import Death
from transport.messages import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from transport.launcher import Child
    from transport.order import Media, Order

#: Seconds without a sign of life after which a worker with calls counts as hung; it gives one every five.
SILENT = 20.0
#: How long a worker may take to say the outcome once it was told to hang up, seconds.
LAST_WORDS = 5.0

Word = dict[str, Any] | Exception


class Crew:
    """A worker with its calls. ``seats``: calls at once; ``dismiss`` frees what was started for it alone.

    It is used up after ``calls``, or ``seconds``: then it carries what it has to the end and takes no more. So leaks
    are bounded, and a heap that was damaged unseen.
    """

    def __init__(
        self,
        child: Child,
        *,
        seats: int,
        calls: int,
        seconds: float,
        dismiss: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._child = child
        self._seats = seats
        self._left = calls
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + seconds
        self._dismiss = dismiss
        self._words: dict[str, asyncio.Queue[Word]] = {}
        self._dead: Exception | None = None
        self._heard_at = self._loop.time()
        self._listening = asyncio.create_task(self._listen(), name="media worker")
        self._watching: asyncio.TimerHandle | None = None
        self._dropping: set[asyncio.Task[None]] = set()

    @property
    def calls(self) -> int:
        """How many calls are in it."""
        return len(self._words)

    @property
    def room(self) -> bool:
        """Whether it takes another call."""
        return self._dead is None and self.calls < self._seats and self._left > 0 and self._loop.time() < self._until

    def join(self, call: str) -> asyncio.Queue[Word]:
        """Take a seat; return where the worker's words on the call will be, and the exception that ended it."""
        words: asyncio.Queue[Word] = asyncio.Queue()
        self._words[call] = words
        self._left -= 1
        if self._watching is None:
            self._heard_at = self._loop.time()
            self._watch()
        if self._dead is not None:
            words.put_nowait(self._dead)
        return words

    def leave(self, call: str) -> None:
        """Give a seat back."""
        self._words.pop(call, None)

    async def carry(self, order: Order, descriptors: Sequence[int]) -> None:
        """Hand a call over."""
        await self._child.send({"do": "carry", "order": encode(order)}, descriptors)

    async def change(self, call: str, media: Media) -> None:
        """Tell that new media were agreed."""
        with contextlib.suppress(Exception):  # it has just died: the listener says so
            await self._child.send({"do": "change", "call": call, "media": encode(media)})

    async def hang_up(self, call: str, why: Hangup) -> None:
        """Tell that a call is over; kill a worker that cannot end it."""
        await self._tell(call, why)
        while True:
            await asyncio.sleep(LAST_WORDS)
            if self._loop.time() - self._heard_at >= LAST_WORDS:
                self._child.kill()

    def drop(self, call: str) -> None:
        """Tell that nobody waits for a call's outcome any more."""
        dropping = asyncio.create_task(self._tell(call, Hangup.CANCELLED))
        self._dropping.add(dropping)
        dropping.add_done_callback(self._dropping.discard)

    async def kill(self) -> None:
        """Kill it and wait until it is dead and its calls are told."""
        self._child.kill()
        await asyncio.wait({self._listening})

    async def close(self) -> None:
        """Kill it if it lives."""
        self._listening.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await self._child.close()
        if self._dismiss is not None:
            await self._dismiss()

    async def _tell(self, call: str, why: Hangup) -> None:
        with contextlib.suppress(Exception):  # it has just died: the listener says so
            await self._child.send({"do": "hang_up", "call": call, "why": why.value})

    async def _listen(self) -> None:
        try:
            while True:
                message, descriptors = await self._child.receive()
                for descriptor in descriptors:
                    os.close(descriptor)
                self._heard_at = self._loop.time()
                name = message.get("call")
                if isinstance(name, str) and (words := self._words.get(name)) is not None:
                    words.put_nowait(message)
        except Exception as fault:
            if not isinstance(fault, Death):
                raise
            self._dead = fault
            for words in self._words.values():
                words.put_nowait(fault)

    def _watch(self) -> None:
        """Kill a worker that hangs."""
        if self._words and self._loop.time() - self._heard_at > SILENT:
            self._child.kill()
        self._watching = self._loop.call_later(SILENT / 4, self._watch) if self._words else None
