"""The line's media workers: one confined child for each call, and what becomes of a call whose worker dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from transport.causes import Hangup
from transport.launcher import Allowance, Child, Death, Launcher
from transport.messages import BadMessage, decode, decode_event, encode
from transport.order import Media, Order, Outcome
from transport.seam import Negotiated, PageConfirmed, T38Started

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transport.journal import Journal

ENTRY = "transport.worker:carry"
_EVENTS = (Negotiated, PageConfirmed, T38Started)
#: How long a worker may take to say the outcome once it was told to hang up, seconds.
_LAST_WORDS = 5.0
#: Wall-clock seconds that a call may take beyond its call time, before its worker counts as hung.
_GRACE = 60.0


class CannotStart(Exception):
    """No worker can be started on this machine; the sentence says what to do."""


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
    """Carries calls in children of a launcher."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

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

    async def carry(
        self,
        order: Order,
        descriptors: Sequence[int],
        journal: Journal,
        report: Callable[[Negotiated | PageConfirmed | T38Started], None],
        control: Control,
        *,
        alone: bool,  # noqa: ARG002  a call in lock-step has a worker of its own anyway
    ) -> Outcome:
        """Carry one call to its end and return the outcome; by the journal, where the worker died.

        ``descriptors`` (media, journal, document) are closed here once the worker has them. The worker is dead on
        return.
        """
        child: Child | None = None
        try:
            try:
                child = await self._launcher.spawn(ENTRY, (), Allowance(wall=order.seconds + _GRACE))
                await child.send({"do": "carry", "order": encode(order)}, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            return await self._attend(child, report, control)
        except BadMessage as fault:
            reason = f"the worker said what has no meaning: {fault}"
        except Exception as fault:
            if not isinstance(fault, Death):
                raise
            reason = str(fault)
        finally:
            if child is not None:
                await asyncio.shield(child.close())
        return _proved(journal, reason)

    async def _attend(
        self, child: Child, report: Callable[[Negotiated | PageConfirmed | T38Started], None], control: Control
    ) -> Outcome:
        """Pass on what the worker reports until its outcome; tell it when the call is cancelled."""
        cancelling = asyncio.create_task(self._cancel(child, control))
        try:
            while True:
                message, fds = await child.receive()
                for descriptor in fds:
                    os.close(descriptor)
                if message.get("say") == "outcome":
                    return decode(Outcome, message.get("outcome"))
                report(decode_event(_EVENTS, message))
        finally:
            cancelling.cancel()

    async def _cancel(self, child: Child, control: Control) -> None:
        while not isinstance(why := await control.next(), Hangup):
            pass  # media in lock-step never change
        with contextlib.suppress(Exception):  # it has just died: receive says so
            await child.send({"do": "hang_up", "why": why.value})
        await asyncio.sleep(_LAST_WORDS)
        child.kill()


def _proved(journal: Journal, reason: str) -> Outcome:
    """Return the outcome that a dead worker's journal proves."""
    evidence = journal.heal()
    return Outcome(
        Hangup.LOST_WORKER,
        confirmed=evidence.pages_confirmed,
        contact=True,
        trained=True,
        last_page=evidence.last_page_offered,
        reason=reason[:200],
    )
