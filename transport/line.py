"""The line process: one loop between main's orders, the trunk's calls and the media workers.

It never asks main for anything: main publishes the table of numbers, and calls are decided here. When main's link
ends, every call is hung up and the process ends; the journals tell the next main what had come of them. Messages,
main to line::

    {"do": "publish", "numbers": [...], "inbound_channels": {...}, "first": bool, "last": bool}
    {"do": "call", "request": {...}}            {"do": "cancel", "call": ...}

and line to main::

    {"say": "ready"}                            the trunk is up, workers can be started
    {"say": "broken", "reason": ...}            they cannot, and the line ends
    {"say": "event", ...}                       an event of an outbound call (:func:`.messages.encode_event`)
    {"say": "result", "result": {...}}          its end
    {"say": "lost", "call": ...}                a fault of ours ended it: its journal has the truth
    {"say": "arrival", ...}                     Arriving, Negotiated, PageConfirmed
    {"say": "arrived", "call": ..., "result": {...}}
"""

from __future__ import annotations

import asyncio
import traceback
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from transport import calls
from transport.messages import decode, encode, encode_event
from transport.seam import Arrived, CallRequest, CallResult, Cause
from transport.workers import CannotStart

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from transport.link import Link
    from transport.seam import Arrival, CallEvent
    from transport.trunk import Incoming

#: Inbound calls are named so, in journals and everywhere.
INBOUND = "in-"
_BUSY = (486, "Busy Here")
_UNKNOWN = (404, "Not Found")


class LineProcess:
    """The loop of one line process. ``name`` is the trunk's, ``channels`` how many calls it takes in at once."""

    def __init__(self, main: Link, premises: calls.Premises, name: str, channels: int) -> None:
        self._main = main
        self._premises = premises
        self._name = name
        self._channels = channels
        self._numbers: set[str] = set()
        self._inbound_channels: dict[str, int] = {}
        self._inbound: Counter[str] = Counter()
        self._calls: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    async def run(self, up: asyncio.Event) -> None:
        """Serve main until its link ends. ``up`` is set when the trunk is."""
        trunk = asyncio.create_task(self._premises.trunk.run(self._incoming), name="trunk")
        ready = asyncio.create_task(self._say_ready(up), name="ready")
        try:
            while (received := await self._main.receive()) is not None:
                self._obey(received[0])
        finally:
            tasks = [trunk, ready, *(task for task, _ in self._calls.values())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_ready(self, up: asyncio.Event) -> None:
        try:
            await self._premises.workers.warm()
        except CannotStart as fault:
            self._main.post({"say": "broken", "reason": str(fault)})
            self._main.close()
            return
        await up.wait()
        self._main.post({"say": "ready"})

    def _obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "publish":
                if message["first"]:
                    self._numbers.clear()
                    self._inbound_channels.clear()
                self._numbers.update(message["numbers"])
                self._inbound_channels.update(message["inbound_channels"])
                if message["last"]:
                    self._premises.trunk.publish(sorted(self._numbers))
            case "call":
                request = decode(CallRequest, message["request"])
                self._start(request.call, lambda cancelled: self._send(request, cancelled))
            case "cancel":
                if (known := self._calls.get(message["call"])) is not None:
                    known[1].set()

    def _start(self, call: str, work: Any) -> None:
        cancelled = asyncio.Event()
        running: Coroutine[Any, Any, None] = work(cancelled)
        task = asyncio.create_task(running, name=f"call {call}")
        self._calls[call] = task, cancelled
        task.add_done_callback(lambda done: self._done(call, done))

    def _done(self, call: str, task: asyncio.Task[None]) -> None:
        """Forget a call; one that a fault of ours ended is told to main, which would wait for ever."""
        del self._calls[call]
        if not task.cancelled() and (fault := task.exception()) is not None:
            traceback.print_exception(fault)
            self._main.post({"say": "lost", "call": call})

    async def _send(self, request: CallRequest, cancelled: asyncio.Event) -> None:
        def report(happened: CallEvent) -> None:
            self._main.post({"say": "event", **encode_event(happened)})

        if request.trunk == self._name:
            result = await calls.send(self._premises, request, report, cancelled)
        else:
            result = CallResult(
                request.call, Cause.TRUNK_DOWN, 0, last_page_offered=False, simulated=self._premises.trunk.simulated,
                sip_reason=f"there is no trunk {request.trunk}",
            )  # fmt: skip
        self._main.post({"say": "result", "result": encode(result)})

    def _incoming(self, incoming: Incoming) -> None:
        """Answer a ringing number, if it is ours and has a free channel."""
        number = incoming.number
        if number not in self._numbers:
            incoming.leg.refuse(*_UNKNOWN)
        elif (
            self._inbound[number] >= self._inbound_channels.get(number, self._channels)
            or self._inbound.total() >= self._channels
        ):
            incoming.leg.refuse(*_BUSY)
        else:
            self._inbound[number] += 1
            call = f"{INBOUND}{uuid.uuid4().hex}"
            self._start(call, lambda cancelled: self._receive(incoming, call, cancelled))

    async def _receive(self, incoming: Incoming, call: str, cancelled: asyncio.Event) -> None:
        def report(happened: Arrival) -> None:
            if isinstance(happened, Arrived):
                self._main.post({"say": "arrived", "call": happened.call, "result": encode(happened.result)})
            else:
                self._main.post({"say": "arrival", **encode_event(happened)})

        try:
            await calls.receive(self._premises, incoming, call, self._name, report, cancelled)
        finally:
            self._inbound[incoming.number] -= 1
