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
from typing import TYPE_CHECKING, Any

from transport.causes import Ending, Hangup, cause_of, cause_of_refusal
from transport.journal import Journal, Kind
from transport.network import Alerting, Changed, Connected, Gone, Refused
from transport.order import Order, Outcome
from transport.seam import Answered, Arrived, Arriving, CallResult, Cause, Ringing
from transport.workers import Control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from transport.network import Incoming, Leg, Network
    from transport.seam import Arrival, CallEvent, CallRequest
    from transport.workers import Workers

#: How long a number may ring, seconds of the wall clock.
RINGING = 120.0
#: How long an inbound call may take from our answer to its first media, seconds: SIP's timer H (RFC 3261 17.2.1).
ANSWERING = 40.0
_INBOUND_SECONDS = 3600.0
_NO_ANSWER = Refused(408, "Request Timeout")
_NEVER_CONNECTED = Refused(408, "the caller did not go on after our answer")


@dataclass(frozen=True, slots=True)
class Premises:
    """What every call of a line shares."""

    network: Network
    workers: Workers
    journals: Path
    ringing: float = RINGING

    def journal(self, call: str) -> Path:
        """Return where a call's journal is."""
        return self.journals / f"{call}.journal"


async def send(
    here: Premises,
    request: CallRequest,
    report: Callable[[CallEvent], None],
    cancelled: asyncio.Event,
    *,
    alone: bool = False,
) -> CallResult:
    """Make one call; return its result, which is in the journal by then. ``alone``: in a worker of its own."""
    try:
        document = os.open(request.document, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        return _Call(here, request.call).failed(Cause.LOCAL, f"the document cannot be read: {fault.strerror}")
    try:
        opened = {
            "direction": "outbound", "trunk": request.trunk, "number": request.destination, "caller": request.caller,
            "pages": request.pages,
        }  # fmt: skip
        try:
            journal = Journal.create(here.journal(request.call), opened)
        except OSError as fault:  # no room; or the call was made before, and its journal must not be touched
            reason = f"the call's journal cannot be made: {fault.strerror}"
            return _Call(here, request.call).failed(Cause.LOCAL, reason)
        call = _Call(here, request.call)
        try:
            try:
                result = await _dial(call, request, report, cancelled, _Held(journal, document, alone))
            except (
                OSError
            ) as fault:  # no room for a record, no descriptor left: whoever carried the call is dead by now
                result = call.interrupted(journal, f"a fault of the line: {fault.strerror}")
            _conclude(journal, result)
        finally:
            journal.close()
    finally:
        os.close(document)
    return result


async def receive(
    here: Premises,
    incoming: Incoming,
    name: str,
    report: Callable[[Arrival], None],
    cancelled: asyncio.Event,
    *,
    alone: bool = False,
) -> CallResult | None:
    """Answer one call and report what arrives; the pages are in the journal. ``None``: nobody was told of it."""
    leg, call = incoming.leg, _Call(here, name)
    arriving = Arriving(name, incoming.trunk, incoming.number, incoming.caller, incoming.device)
    opened = {
        "direction": "inbound", "trunk": incoming.trunk, "number": incoming.number, "caller": incoming.caller,
        "device": incoming.device,
    }  # fmt: skip
    try:
        try:
            journal = Journal.create(here.journal(name), opened)
        except OSError:
            leg.refuse(500, "Server Internal Error")  # nobody is told of a call that could not be kept
            return None
        leg.trace = journal.note
        try:
            report(arriving)
            journal.append(Kind.ANSWERED)
            leg.answer()
            first = await _until_answered(leg, cancelled, ANSWERING) or Refused(487, "hung up here")
            if isinstance(first, Refused):
                reason = first if first is not _NO_ANSWER else _NEVER_CONNECTED
                result = call.failed(Cause.LOST_CALL, reason.reason, sip_code=reason.code, alerted=True)
            else:
                order = Order(name, None, first.media, incoming.number, seconds=_INBOUND_SECONDS)
                descriptors = (*leg.take_media(), os.dup(journal.fileno()))
                with _following(leg, cancelled) as control:
                    outcome = await here.workers.carry(order, descriptors, journal, report, control, alone=alone)
                result = call.answered(order, outcome, ring_seconds=0.0)
            leg.hang_up()
            _conclude(journal, result)
        finally:
            journal.close()
        report(Arrived(name, result, here.journal(name)))
        return result
    finally:
        leg.hang_up()


@dataclass(frozen=True, slots=True)
class _Held:
    journal: Journal
    document: int
    alone: bool


async def _dial(
    call: _Call, request: CallRequest, report: Callable[[CallEvent], None], cancelled: asyncio.Event, held: _Held
) -> CallResult:
    held.journal.append(Kind.DIALLED)
    began = asyncio.get_running_loop().time()
    alerted = False

    def ringing() -> None:
        nonlocal alerted
        if not alerted:
            report(Ringing(request.call))
        alerted = True

    leg = call.here.network.dial(request)
    leg.trace = held.journal.note
    try:
        last = await _until_answered(leg, cancelled, call.here.ringing, ringing)
        ring_seconds = round(asyncio.get_running_loop().time() - began, 2)
        if last is None:
            return call.failed(Cause.CANCELLED, "", ring_seconds=ring_seconds, alerted=alerted)
        if isinstance(last, Refused):
            cause = cause_of_refusal(last.code)
            return call.failed(cause, last.reason, sip_code=last.code, ring_seconds=ring_seconds, alerted=alerted)
        held.journal.append(Kind.ANSWERED, {"t38": last.media.t38})
        report(Answered(request.call, last.media.t38))
        order = Order.to_send(request, last.media)
        descriptors = (*leg.take_media(), os.dup(held.journal.fileno()), os.dup(held.document))
        with _following(leg, cancelled) as control:
            carrying = call.here.workers.carry(order, descriptors, held.journal, report, control, alone=held.alone)
            outcome = await carrying
        return call.answered(order, outcome, ring_seconds=ring_seconds)
    finally:
        leg.hang_up()


async def _until_answered(
    leg: Leg, cancelled: asyncio.Event, seconds: float, alerting: Callable[[], None] = lambda: None
) -> Connected | Refused | None:
    """Follow the ringing; return the answer or refusal, ``None`` if the call was cancelled."""
    stop = asyncio.create_task(cancelled.wait())
    signal = asyncio.create_task(leg.signal())
    try:
        async with asyncio.timeout(seconds):
            while True:
                done, _ = await asyncio.wait({stop, signal}, return_when=asyncio.FIRST_COMPLETED)
                if stop in done:
                    return None
                match signal.result():
                    case Alerting():
                        alerting()
                    case Connected() | Refused() as last:
                        return last
                    case Gone(reason):
                        return Refused(487, reason)
                signal = asyncio.create_task(leg.signal())
    except TimeoutError:
        return _NO_ANSWER
    finally:
        stop.cancel()
        signal.cancel()


@contextlib.contextmanager
def _following(leg: Leg, cancelled: asyncio.Event) -> Iterator[Control]:
    """Tell whoever carries the call what the network and its owner say of it."""
    control = Control()

    async def follow() -> None:
        while True:
            match await leg.signal():
                case Changed(media):
                    control.change(media)
                case Gone():
                    control.hang_up(Hangup.FAR)

    async def stop() -> None:
        await cancelled.wait()
        control.hang_up(Hangup.CANCELLED)

    tasks = [asyncio.create_task(follow()), asyncio.create_task(stop())]
    try:
        yield control
    finally:
        for task in tasks:
            task.cancel()


def _conclude(journal: Journal, result: CallResult) -> None:
    """Write the end; on a full disk the records before it say enough."""
    with contextlib.suppress(OSError):
        journal.end(result)


@dataclass(frozen=True, slots=True)
class _Call:
    """Makes the results of one call."""

    here: Premises
    name: str

    def failed(self, cause: Cause, reason: str, **known: Any) -> CallResult:
        """Return the result of a call whose media never began."""
        return CallResult(
            call=self.name,
            cause=cause,
            pages_confirmed=0,
            last_page_offered=False,
            simulated=self.here.network.simulated,
            sip_reason=reason,
            **known,
        )

    def interrupted(self, journal: Journal, reason: str) -> CallResult:
        """Return the result of a call that a fault of ours ended, as far as its journal proves it."""
        evidence = journal.heal()
        return CallResult(
            call=self.name,
            cause=Cause.LOCAL,
            pages_confirmed=evidence.pages_confirmed,
            last_page_offered=evidence.last_page_offered,
            simulated=self.here.network.simulated,
            sip_reason=reason,
            alerted=True,
        )

    def answered(self, order: Order, outcome: Outcome, *, ring_seconds: float) -> CallResult:
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
            call=self.name,
            cause=cause_of(ending),
            pages_confirmed=outcome.confirmed,
            last_page_offered=outcome.last_page
            if order.sending
            else outcome.hangup is Hangup.LOST_WORKER and outcome.last_page,
            simulated=self.here.network.simulated,
            sip_code=200,
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
            t38=outcome.t38,
            media_lost=outcome.media_lost,
            alerted=True,
            fine=outcome.fine,
            heard=outcome.heard,
            worker_died=outcome.hangup is Hangup.LOST_WORKER,
            subaddress=outcome.subaddress,
        )
