"""The line's media workers: which of them carries a call, and what becomes of a call whose worker dies.

A call in lock-step has a child of its own. Calls in real time are in groups; an unproven caller's is alone, in a
sandbox of its own, for workers of one sandbox share its /tmp. A sandbox takes a moment to build: a few are kept ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from transport.causes import Hangup
from transport.crew import LAST_WORDS, Crew
from transport.launcher import MIB, Allowance, Child, Death, Launcher
from transport.messages import BadMessage, decode, decode_event, encode
from transport.order import Media, MediaKind, Order, Outcome
from transport.pace import Pace
from transport.seam import Negotiated, PageConfirmed, T38Started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from transport.crew import Word
    from transport.journal import Journal

    Report = Callable[[Negotiated | PageConfirmed | T38Started], None]

ENTRY = "transport.worker:carry"
GROUP_ENTRY = "transport.worker:serve"
_EVENTS = (Negotiated, PageConfirmed, T38Started)
#: Wall-clock seconds that a call may take beyond its call time, before its worker counts as hung.
_GRACE = 60.0
#: How many calls a group's worker carries in its life, and for how many seconds it takes new ones.
_CALLS, _SECONDS = 64, 1800.0
#: The wall clock does not end these: :mod:`.crew` kills a worker that hangs, and each call has its own deadline.
_FOR_EVER = 366 * 86400.0
#: What a group's worker may use; its life is bounded by the two above.
_GROUP = Allowance(address_space=1024 * MIB, cpu=3600, wall=_FOR_EVER)
#: Descriptors: two sockets, journal, the file of the pages; those of a call that is about to begin.
_FILES, _FILES_A_CALL = 32, 10
_SPARES = 2


class CannotStart(Exception):
    """No worker can be started on this machine; the sentence says what to do."""


class Sandbox(Launcher, Protocol):
    """A launcher that can be given up."""

    async def close(self) -> None:
        """End it, and with it every child."""


class Control:
    """What the line has to say to a call that is carried. In the loop's thread."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[Media | Hangup] = asyncio.Queue()

    def change(self, media: Media) -> None:
        """Tell that new media were agreed."""
        self._said.put_nowait(media)

    def hang_up(self, why: Hangup) -> None:
        """Tell that the call is over, for a reason from outside."""
        self._said.put_nowait(why)

    async def next(self) -> Media | Hangup:
        """Return what is said next."""
        return await self._said.get()


class Workers:
    """Carries calls in children of a launcher; those of unproven callers in ``solo`` launchers' children."""

    def __init__(
        self,
        launcher: Launcher,
        solo: Callable[[], Sandbox] | None = None,
        *,
        calls_per_worker: int = 8,
        spares: int = _SPARES,
    ) -> None:
        """Without ``solo`` an unproven caller's call is alone in its worker, but not in the sandbox."""
        self._launcher = launcher
        self._solo = solo
        self._seats = calls_per_worker
        self._spares = spares if solo is not None else 0
        self._groups: list[Crew] = []
        self._ready: list[Crew] = []
        self._refilling: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        #: One after the other: forty that are built at once make the media of all calls late.
        self._building = asyncio.Lock()
        #: How late the media of all calls were that have ended.
        self.pace = Pace()

    async def warm(self) -> None:
        """Start what the first call needs; raises :class:`CannotStart` if that is not possible on this machine."""
        try:
            child = await self._launcher.spawn(ENTRY, (), Allowance())
        except Exception as fault:
            if not isinstance(fault, Death):
                raise
            raise CannotStart(
                f"no media worker can be started: {fault}; `faxrelay doctor` says what is missing"
            ) from fault
        await child.close()
        self._refill()

    async def close(self) -> None:
        """Kill every worker."""
        if self._refilling is not None:
            self._refilling.cancel()
            await asyncio.gather(self._refilling, return_exceptions=True)
        for crew in (*self._groups, *self._ready):
            await crew.close()
        self._groups.clear()
        self._ready.clear()

    async def carry(
        self,
        order: Order,
        descriptors: Sequence[int],
        journal: Journal,
        report: Report,
        control: Control,
        *,
        alone: bool,
    ) -> Outcome:
        """Carry one call to its end and return the outcome; by the journal, where the worker died.

        ``descriptors`` are closed here once the worker has them: media, journal, document in lock-step; sockets of RTP
        and of UDPTL, journal, document in real time. On return no worker writes the journal any more.
        """
        lockstep = order.media.kind in (MediaKind.LOCKSTEP_AUDIO, MediaKind.LOCKSTEP_T38)
        try:
            if lockstep:
                return await self._in_lockstep(order, descriptors, report, control)
            return await self._in_real_time(order, descriptors, report, control, alone=alone)
        except BadMessage as fault:
            reason = f"the worker said what has no meaning: {fault}"
        except Exception as fault:
            if not isinstance(fault, Death):
                raise
            reason = str(fault)
        return _proved(journal, reason)

    async def _in_lockstep(self, order: Order, descriptors: Sequence[int], report: Report, control: Control) -> Outcome:
        child: Child | None = None
        try:
            try:
                child = await self._launcher.spawn(ENTRY, (), Allowance(wall=order.seconds + _GRACE))
                await child.send({"do": "carry", "order": encode(order)}, descriptors)
            finally:
                _close(descriptors)
            cancelling = asyncio.create_task(_cancel(child, control))
            try:
                while True:
                    message, fds = await child.receive()
                    _close(fds)
                    if message.get("say") == "outcome":
                        return decode(Outcome, message.get("outcome"))
                    report(decode_event(_EVENTS, message))
            finally:
                cancelling.cancel()
        finally:
            if child is not None:
                await asyncio.shield(child.close())

    async def _in_real_time(
        self, order: Order, descriptors: Sequence[int], report: Report, control: Control, *, alone: bool
    ) -> Outcome:
        given = False
        try:
            async with self._seat(order, alone=alone) as (crew, words):
                await crew.carry(order, descriptors)
                _close(descriptors)
                given = True
                obeying = asyncio.create_task(_obey(crew, order.call, control))
                try:
                    return await self._attend(words, report)
                except BadMessage:
                    await asyncio.shield(crew.kill())  # it was taken over: all its calls end by their journals
                    raise
                except asyncio.CancelledError:
                    crew.drop(order.call)
                    raise
                finally:
                    obeying.cancel()
        finally:
            if not given:
                _close(descriptors)

    async def _attend(self, words: asyncio.Queue[Word], report: Report) -> Outcome:
        """Pass on what the worker reports until its outcome."""
        while True:
            word = await words.get()
            if isinstance(word, Exception):
                raise word
            if word.get("say") == "outcome":
                self.pace.add(Pace.of_json(word.get("pace")))
                return decode(Outcome, word.get("outcome"))
            report(decode_event(_EVENTS, word))

    @contextlib.asynccontextmanager
    async def _seat(self, order: Order, *, alone: bool) -> AsyncIterator[tuple[Crew, asyncio.Queue[Word]]]:
        """Give a call a place in a worker; the last one that leaves closes it."""
        crew = await (self._alone() if alone else self._group())
        words = crew.join(order.call)
        try:
            yield crew, words
        finally:
            crew.leave(order.call)
            if crew.calls == 0:
                if crew in self._groups:
                    self._groups.remove(crew)
                await asyncio.shield(crew.close())

    async def _group(self) -> Crew:
        """Return the fullest group with a seat, or a new one."""
        async with self._starting:
            open_ones = [crew for crew in self._groups if crew.room]
            if open_ones:
                return max(open_ones, key=lambda crew: crew.calls)
            crew = await self._start(self._launcher, _GROUP, seats=self._seats, calls=_CALLS, seconds=_SECONDS)
            self._groups.append(crew)
            return crew

    async def _alone(self) -> Crew:
        """Return a worker for one call: a spare one, if there is one."""
        self._ready, left = [], self._ready
        found = None
        for crew in left:
            if found is None and crew.room:
                found = crew
            elif crew.room:
                self._ready.append(crew)
            else:  # it died waiting
                await crew.close()
        self._refill()
        return found if found is not None else await self._start_alone()

    async def _start_alone(self) -> Crew:
        if self._solo is None:
            return await self._start(self._launcher, _GROUP, seats=1, calls=1)
        async with self._building:
            sandbox = self._solo()
            try:
                return await self._start(sandbox, _GROUP, seats=1, calls=1, dismiss=sandbox.close)
            except BaseException:
                await asyncio.shield(sandbox.close())
                raise

    def _refill(self) -> None:
        """Build sandboxes for callers to come, one after the other."""
        if self._refilling is None or self._refilling.done():
            self._refilling = asyncio.create_task(self._build_spares(), name="spare media workers")

    async def _build_spares(self) -> None:
        while len(self._ready) < self._spares:
            try:
                self._ready.append(await self._start_alone())
            except Exception as fault:
                if not isinstance(fault, Death):
                    raise
                return  # the call that needs one will say what is wrong

    async def _start(
        self,
        launcher: Launcher,
        allowance: Allowance,
        *,
        seats: int,
        calls: int,
        seconds: float = _FOR_EVER,
        dismiss: Callable[[], Awaitable[None]] | None = None,
    ) -> Crew:
        allowance = replace(allowance, open_files=_FILES + _FILES_A_CALL * seats)
        child = await launcher.spawn(GROUP_ENTRY, (), allowance)
        return Crew(child, seats=seats, calls=calls, seconds=seconds, dismiss=dismiss)


async def _obey(crew: Crew, call: str, control: Control) -> None:
    """Tell a worker what the line has to say to a call in it."""
    while isinstance(said := await control.next(), Media):
        await crew.change(call, said)
    await crew.hang_up(call, said)


async def _cancel(child: Child, control: Control) -> None:
    """Tell a worker in lock-step that its call is over."""
    while not isinstance(why := await control.next(), Hangup):
        pass  # media in lock-step never change
    with contextlib.suppress(Exception):  # it has just died: receive says so
        await child.send({"do": "hang_up", "why": why.value})
    await asyncio.sleep(LAST_WORDS)
    child.kill()


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _proved(journal: Journal, reason: str) -> Outcome:
    """Return the outcome that a dead worker's journal proves."""
    evidence = journal.heal()
    return Outcome(
        Hangup.LOST_WORKER,
        confirmed=evidence.pages_confirmed,
        contact=True,
        trained=True,
        last_page=evidence.last_page_offered or evidence.whole,
        reason=reason[:200],
    )
