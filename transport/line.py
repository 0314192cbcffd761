"""The line process: one loop between main's orders, the trunk's calls and the media workers.

It never asks main for anything: main publishes the table of numbers, trunks and devices, and calls are decided here.
When main's link ends, every call is hung up and the process ends; the journals tell the next main what had come of
them. Messages, main to line::

    {"do": "publish", "numbers": [...], "inbound_channels": {...}, "trunks": [...], "trunk_numbers": {...},
     "devices": [...], "screens": [...], "first": bool, "last": bool}
    {"do": "call", "request": {...}}            {"do": "cancel", "call": ...}
    {"do": "ask", "number": ..., "question": ..., "name": ...}

and line to main::

    {"say": "ready"}                            the trunk is up, workers can be started
    {"say": "broken", "reason": ...}            they cannot, and the line ends
    {"say": "event", ...}                       an event of an outbound call (:func:`.messages.encode_event`)
    {"say": "result", "result": {...}}          its end
    {"say": "lost", "call": ...}                a fault of ours ended it: its journal has the truth
    {"say": "arrival", ...}                     Arriving, T38Started, Negotiated, PageConfirmed
    {"say": "arrived", "call": ..., "result": {...}}
    {"say": "answer", "number": ..., "answer": {...}}
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
import uuid
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transport import calls
from transport.accounts import DeviceAccount, TrunkAccount
from transport.messages import decode, encode, encode_event
from transport.proven import Proven
from transport.screening import Screen, Screening
from transport.seam import Arrived, CallRequest, CallResult, Cause, LineTable
from transport.workers import CannotStart

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from transport.link import Link
    from transport.network import Incoming
    from transport.seam import Arrival, CallEvent

#: Inbound calls are named so, in journals and everywhere.
INBOUND = "in-"
_BUSY = (486, "Busy Here")
_UNKNOWN = (404, "Not Found")
_DECLINED = (603, "Decline")  # RFC 3261 21.6.2: nobody else shall be tried for it


class LineProcess:
    """The loop of one line process."""

    def __init__(self, main: Link, premises: calls.Premises) -> None:
        self._main = main
        self._premises = premises
        self._coming: list[dict[str, Any]] = []
        self._table = LineTable()
        self._screening = Screening()
        self._declined = 0
        self._inbound: Counter[str] = Counter()
        self._busy: Counter[str] = Counter()
        self._proven = Proven()
        self._questions: set[asyncio.Task[None]] = set()
        self._calls: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    async def run(self, up: asyncio.Event) -> None:
        """Serve main until its link ends. ``up`` is set when the trunk is."""
        trunk = asyncio.create_task(self._premises.network.run(self._incoming), name="trunk")
        ready = asyncio.create_task(self._say_ready(up), name="ready")
        try:
            while (received := await self._main.receive()) is not None:
                self._obey(received[0])
        finally:
            tasks = [trunk, ready, *(task for task, _ in self._calls.values()), *self._questions]
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
                    self._coming.clear()
                self._coming.append(message)
                if message["last"]:
                    self._table = _table(self._coming)
                    self._screening = Screening(self._table.screens)
                    self._coming.clear()
                    self._premises.network.publish(self._table)
            case "call":
                request = decode(CallRequest, message["request"])
                self._start(request.call, lambda cancelled: self._send(request, cancelled))
            case "cancel":
                if (known := self._calls.get(message["call"])) is not None:
                    known[1].set()
            case "ask":
                task = asyncio.create_task(self._answer(message))
                self._questions.add(task)
                task.add_done_callback(self._questions.discard)

    async def _answer(self, message: dict[str, Any]) -> None:
        answer = await self._premises.network.ask(message["question"], message["name"])
        if message["question"] == "status":
            answer["pace"] = self._premises.workers.pace.to_json()
            answer["declined"] = self._declined
        self._main.post({"say": "answer", "number": message["number"], "answer": answer})

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

        trunk, number = request.trunk, request.destination
        capacity = self._premises.network.trunks().get(trunk)
        if capacity is None:
            result = self._not_carried(request, f"there is no trunk {trunk}")
        elif self._busy[trunk] >= capacity:
            result = self._not_carried(request, f"all {capacity} channels of {trunk} are in use", full=True)
        else:
            alone = self._proven.alone(trunk, number, inbound=False)
            with self._channel(trunk):
                result = await calls.send(self._premises, request, report, cancelled, alone=alone)
            self._learn(trunk, number, result)
        self._main.post({"say": "result", "result": encode(result)})

    def _not_carried(self, request: CallRequest, reason: str, *, full: bool = False) -> CallResult:
        simulated = self._premises.network.simulated
        return CallResult(
            request.call, Cause.TRUNK_DOWN, 0, last_page_offered=False, simulated=simulated, sip_reason=reason,
            line_full=full,
        )  # fmt: skip

    def _incoming(self, incoming: Incoming) -> None:
        """Answer a ringing number, if it is ours (or a device of ours calls) and has a free channel."""
        number, trunk = incoming.number, incoming.trunk
        capacity = self._premises.network.trunks().get(trunk, 0)
        if not (incoming.device or self._ours(number, trunk)):
            incoming.leg.refuse(*_UNKNOWN)
        elif not incoming.device and self._screening.refuses(number, incoming.caller):
            self._declined += 1
            incoming.leg.refuse(*_DECLINED)
        elif self._busy[trunk] >= capacity or (not incoming.device and self._full(number)):
            incoming.leg.refuse(*_BUSY)
        else:
            self._busy[trunk] += 1  # at once: a burst of calls comes before the first of their tasks runs
            self._inbound[number] += not incoming.device
            call = f"{INBOUND}{uuid.uuid4().hex}"
            self._start(call, lambda cancelled: self._receive(incoming, call, cancelled))
            self._calls[call][0].add_done_callback(lambda _: self._left(incoming))

    def _left(self, incoming: Incoming) -> None:
        self._busy[incoming.trunk] -= 1
        self._inbound[incoming.number] -= not incoming.device
        self._inbound += Counter()  # forgets what is at zero

    def _full(self, number: str) -> bool:
        limit = self._table.inbound_channels.get(number)
        return limit is not None and self._inbound[number] >= limit

    def _ours(self, number: str, trunk: str) -> bool:
        """Return whether calls to a number are answered that come by a trunk."""
        account = next((one for one in self._table.trunks if one.name == trunk), None)
        return number in self._table.numbers and (account is None or not account.numbers or number in account.numbers)

    async def _receive(self, incoming: Incoming, call: str, cancelled: asyncio.Event) -> None:
        def report(happened: Arrival) -> None:
            if isinstance(happened, Arrived):
                self._main.post({"say": "arrived", "call": happened.call, "result": encode(happened.result)})
            else:
                self._main.post({"say": "arrival", **encode_event(happened)})

        trunk, caller = incoming.trunk, incoming.caller
        alone = self._proven.alone(trunk, caller, inbound=not incoming.device)
        result = await calls.receive(self._premises, incoming, call, report, cancelled, alone=alone)
        if result is not None:
            self._learn(trunk, caller, result)

    @contextlib.contextmanager
    def _channel(self, trunk: str) -> Iterator[None]:
        self._busy[trunk] += 1
        try:
            yield
        finally:
            self._busy[trunk] -= 1

    def _learn(self, trunk: str, number: str, result: CallResult) -> None:
        self._proven.ended(trunk, number, result, worker_died=result.worker_died)


def _table(messages: list[dict[str, Any]]) -> LineTable:
    """Return the table that came in pieces; the numbers of a trunk come behind it, for they can be many."""
    accounts = [decode(TrunkAccount, account) for message in messages for account in message["trunks"]]
    numbers: dict[str, list[str]] = {}
    for message in messages:
        for trunk, some in message["trunk_numbers"].items():
            numbers.setdefault(trunk, []).extend(some)
    return LineTable(
        numbers=frozenset(number for message in messages for number in message["numbers"]),
        inbound_channels={key: value for message in messages for key, value in message["inbound_channels"].items()},
        trunks=tuple(replace(account, numbers=tuple(numbers.get(account.name, ()))) for account in accounts),
        devices=tuple(decode(DeviceAccount, account) for message in messages for account in message["devices"]),
        screens=tuple(decode(Screen, screen) for message in messages for screen in message["screens"]),
    )
