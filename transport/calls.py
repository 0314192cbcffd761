"""One call of a line from its first record to its result: outbound and inbound.

The order makes a crash harmless: the journal is on disk before anything is dialled or answered, the worker's evidence
before its effects, and the end before anybody is told of it. A line that dies anywhere leaves a journal that tells
the truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transport.causes import Ending, Hangup, cause_of, cause_of_refusal
from transport.journal import Journal, Kind
from transport.order import Order, Outcome
from transport.seam import Answered, Arrived, Arriving, CallResult, Cause, Ringing
from transport.trunk import Alerting, Connected, Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transport.seam import Arrival, CallEvent, CallRequest
    from transport.trunk import Incoming, Leg, Trunk
    from transport.workers import Workers

#: How long a number may ring, seconds of the wall clock.
RINGING = 120.0
_INBOUND_SECONDS = 3600.0
_NO_ANSWER = Refused(408, "Request Timeout")


@dataclass(frozen=True, slots=True)
class Premises:
    """What every call of a line shares."""

    trunk: Trunk
    workers: Workers
    journals: Path

    def journal(self, call: str) -> Path:
        """Return where a call's journal is."""
        return self.journals / f"{call}.journal"


async def send(
    here: Premises, request: CallRequest, report: Callable[[CallEvent], None], cancelled: asyncio.Event
) -> CallResult:
    """Make one call; return its result, which is in the journal by then."""
    try:
        document = os.open(request.document, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        return _failed(here, request, Cause.LOCAL, f"the document cannot be read: {fault.strerror}")
    try:
        opened = {
            "direction": "outbound", "trunk": request.trunk, "number": request.destination, "caller": request.caller,
            "pages": request.pages,
        }  # fmt: skip
        try:
            journal = Journal.create(here.journal(request.call), opened)
        except OSError as fault:  # no room; or the call was made before, and its journal must not be touched
            return _failed(here, request, Cause.LOCAL, f"the call's journal cannot be made: {fault.strerror}")
        try:
            try:
                result = await _dial(here, request, report, cancelled, _Held(journal, document))
            except (
                OSError
            ) as fault:  # no room for a record, no descriptor left: whoever carried the call is dead by now
                result = _interrupted(here, request, journal, f"a fault of the line: {fault.strerror}")
            _conclude(journal, result)
        finally:
            journal.close()
    finally:
        os.close(document)
    return result


async def receive(
    here: Premises,
    incoming: Incoming,
    call: str,
    trunk: str,
    report: Callable[[Arrival], None],
    cancelled: asyncio.Event,
) -> None:
    """Answer one call and report what arrives; the pages are in the journal."""
    leg = incoming.leg
    arriving = Arriving(call, trunk, incoming.number, incoming.caller)
    opened = {"direction": "inbound", "trunk": trunk, "number": incoming.number, "caller": incoming.caller}
    try:
        try:
            journal = Journal.create(here.journal(call), opened)
        except OSError:
            leg.refuse(500, "Server Internal Error")  # nobody is told of a call that could not be kept
            return
        try:
            report(arriving)
            journal.append(Kind.ANSWERED, {"t38": incoming.t38})
            leg.answer()
            order = Order(call, None, incoming.t38, incoming.number, seconds=_INBOUND_SECONDS)
            descriptors = (leg.take_media(), os.dup(journal.fileno()))
            outcome = await here.workers.carry(order, descriptors, journal, report, cancelled)
            result = _result(order, outcome, simulated=here.trunk.simulated, sip_code=200, ring_seconds=0.0)
            _conclude(journal, result)
        finally:
            journal.close()
        report(Arrived(call, result, here.journal(call)))
    finally:
        leg.hang_up()


@dataclass(frozen=True, slots=True)
class _Held:
    journal: Journal
    document: int


async def _dial(
    here: Premises, request: CallRequest, report: Callable[[CallEvent], None], cancelled: asyncio.Event, held: _Held
) -> CallResult:
    held.journal.append(Kind.DIALLED)
    began = asyncio.get_running_loop().time()
    leg = here.trunk.dial(request)
    try:
        last = await _until_answered(leg, request.call, report, cancelled)
        ring_seconds = round(asyncio.get_running_loop().time() - began, 2)
        if last is None:
            return _failed(here, request, Cause.CANCELLED, "", ring_seconds=ring_seconds)
        if isinstance(last, Refused):
            return _failed(
                here, request, cause_of_refusal(last.code), last.reason, sip_code=last.code, ring_seconds=ring_seconds
            )
        held.journal.append(Kind.ANSWERED, {"t38": last.t38})
        report(Answered(request.call, last.t38))
        order = Order.to_send(request, t38=last.t38)
        descriptors = (leg.take_media(), os.dup(held.journal.fileno()), os.dup(held.document))
        outcome = await here.workers.carry(order, descriptors, held.journal, report, cancelled)
        return _result(order, outcome, simulated=here.trunk.simulated, sip_code=200, ring_seconds=ring_seconds)
    finally:
        leg.hang_up()


async def _until_answered(
    leg: Leg, call: str, report: Callable[[CallEvent], None], cancelled: asyncio.Event
) -> Connected | Refused | None:
    """Follow the ringing; return the answer or refusal, ``None`` if the call was cancelled."""
    stop = asyncio.create_task(cancelled.wait())
    try:
        async with asyncio.timeout(RINGING):
            while True:
                signal = asyncio.create_task(leg.signal())
                done, _ = await asyncio.wait({stop, signal}, return_when=asyncio.FIRST_COMPLETED)
                if stop in done:
                    signal.cancel()
                    return None
                match signal.result():
                    case Alerting():
                        report(Ringing(call))
                    case Connected() | Refused() as last:
                        return last
    except TimeoutError:
        return _NO_ANSWER
    finally:
        stop.cancel()


def _conclude(journal: Journal, result: CallResult) -> None:
    """Write the end; on a full disk the records before it say enough."""
    with contextlib.suppress(OSError):
        journal.end(result)


def _interrupted(here: Premises, request: CallRequest, journal: Journal, reason: str) -> CallResult:
    """Return the result of a call that a fault of ours ended, as far as its journal proves it."""
    evidence = journal.heal()
    return CallResult(
        call=request.call,
        cause=Cause.LOCAL,
        pages_confirmed=evidence.pages_confirmed,
        last_page_offered=evidence.last_page_offered,
        simulated=here.trunk.simulated,
        sip_reason=reason,
    )


def _failed(
    here: Premises,
    request: CallRequest,
    cause: Cause,
    reason: str,
    *,
    sip_code: int | None = None,
    ring_seconds: float = 0.0,
) -> CallResult:
    """Return the result of a call that was never answered."""
    return CallResult(
        call=request.call,
        cause=cause,
        pages_confirmed=0,
        last_page_offered=False,
        simulated=here.trunk.simulated,
        sip_code=sip_code,
        sip_reason=reason,
        ring_seconds=ring_seconds,
    )


def _result(order: Order, outcome: Outcome, *, simulated: bool, sip_code: int, ring_seconds: float) -> CallResult:
    """Return the result of an answered call."""
    ending = Ending(
        hangup=outcome.hangup,
        pages=order.pages,
        confirmed=outcome.confirmed,
        contact=outcome.contact,
        trained=outcome.trained,
        code=outcome.code,
        last_page=outcome.last_page,
    )
    return CallResult(
        call=order.call,
        cause=cause_of(ending),
        pages_confirmed=outcome.confirmed,
        last_page_offered=outcome.last_page
        if order.sending
        else outcome.hangup is Hangup.LOST_WORKER and outcome.last_page,
        simulated=simulated,
        sip_code=sip_code,
        sip_reason="OK",
        t30_code=outcome.code,
        t30_reason=outcome.reason,
        bit_rate=outcome.bit_rate,
        modem=outcome.modem,
        coding=outcome.coding,
        ecm=outcome.ecm,
        retries=outcome.retries,
        bad_rows=outcome.bad_rows,
        remote_ident=outcome.remote_ident,
        ring_seconds=ring_seconds,
        talk_seconds=outcome.seconds,
        page_seconds=outcome.page_seconds,
        t38=order.t38,
        media_lost=outcome.media_lost,
    )
