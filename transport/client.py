"""A line that runs in a process of its own, as main sees it (:class:`.seam.Line`).

Invariants: a call's result comes from the line or not at all: when the process dies, every :meth:`ProcessLine.send`
that waits raises :class:`.seam.LineDown`, every inbound call that was under way is reported as arrived, and the
journals say what had come of them. The process is started again, with growing pauses while it keeps dying.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from transport import journal
from transport.accounts import DEVICE
from transport.line import INBOUND
from transport.link import Link
from transport.messages import decode, decode_event, encode
from transport.screening import cut
from transport.seam import (
    Answered,
    Arrival,
    Arrived,
    Arriving,
    CallEvent,
    CallRequest,
    CallResult,
    Cause,
    Evidence,
    LineDown,
    LineTable,
    Negotiated,
    PageConfirmed,
    Ringing,
    T38Started,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_CALL = re.compile(r"[A-Za-z0-9-]{1,64}")
_CALL_EVENTS = (Ringing, Answered, T38Started, Negotiated, PageConfirmed)
_ARRIVALS = (Arriving, T38Started, Negotiated, PageConfirmed)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0  # seconds between two starts
_START = 20.0  # seconds until the line must be up
_END = 10.0  # and until it must have hung up and ended
_WRITERS_END = 30.0  # and until the last writer of a journal must have died
_BATCH = 4000  # numbers of one message
_ACCOUNTS = 30  # trunks or devices of one message
_SCREENED = 1000  # numbers of a kind in one message
_ANSWER = 60.0  # and until it must have answered a question
_NO_TABLE = LineTable()


class ProcessLine:
    """One line process and the way to it."""

    def __init__(
        self,
        name: str,
        channels: Mapping[str, int],
        journals: Path,
        start_process: Callable[[int], Awaitable[asyncio.subprocess.Process]],
        *,
        simulated: bool,
    ) -> None:
        """``start_process`` starts the line with the descriptor of its end of the link; ``journals``: a folder."""
        self._name = name
        self._channels = dict(channels)
        self._journals = journals
        self._start_process = start_process
        self._simulated = simulated
        self._table = _NO_TABLE
        self._link: Link | None = None
        self._settled = asyncio.Event()  # the line said that it is up, or why it cannot be
        self._broken = ""
        self._keeper: asyncio.Task[None] | None = None
        self._sending: dict[str, tuple[asyncio.Future[CallResult], Callable[[CallEvent], None]]] = {}
        self._arriving: set[str] = set()
        self._unforgotten: set[str] = set()
        self._arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @property
    def name(self) -> str:
        """The line's name."""
        return self._name

    @property
    def channels(self) -> Mapping[str, int]:
        """How many calls each trunk and each device carries at once, both ways together."""
        trunks = {trunk.name: trunk.channels for trunk in self._table.trunks}
        devices = {f"{DEVICE}{device.name}": device.channels for device in self._table.devices if device.inbound}
        return {**self._channels, **trunks, **devices}

    async def trouble(self) -> str | None:
        """Return what keeps the line from carrying calls, in words; ``None`` when it is up."""
        if self._link is not None and self._settled.is_set() and not self._broken:
            return None
        return f"the line {self._name} is down: {self._broken or 'it is being started again'}"

    async def start(self) -> None:
        """Bring the line up; raises :class:`LineDown` if that fails."""
        self._unforgotten.update(arriving.call for arriving in self.leftovers())
        self._keeper = asyncio.create_task(self._keep(), name=f"line {self._name}")
        try:
            await self._wait_up()
        except LineDown:
            await self.close()
            raise

    async def close(self) -> None:
        """Hang up what is left and end the line's processes."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def publish(self, table: LineTable) -> None:
        """Replace the table of numbers that the line answers; a line that starts again gets it, too."""
        self._table = table
        if self._link is not None:
            self._publish(self._link)

    async def send(self, request: CallRequest, on_event: Callable[[CallEvent], None]) -> CallResult:
        """Make one call and return how it ended; raises :class:`LineDown` when the line is or goes down."""
        self.journal(request.call)  # checks the name
        if request.call in self._sending:
            raise ValueError(f"the call {request.call} is under way")
        await self._wait_up()
        if self._link is None:
            raise LineDown(f"the line {self._name} is down")
        answer: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
        self._sending[request.call] = answer, on_event
        try:
            self._link.post({"do": "call", "request": encode(request)})
            return await answer
        finally:
            del self._sending[request.call]

    async def cancel(self, call: str) -> None:
        """Hang up a call; its :meth:`send` returns what had been confirmed by then."""
        if self._link is not None:
            self._link.post({"do": "cancel", "call": call})

    async def ask(self, question: str, name: str = "") -> dict[str, Any]:
        """Ask the line's network; raises :class:`LineDown`."""
        await self._wait_up()
        if self._link is None:
            raise LineDown(f"the line {self._name} is down")
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._link.post({"do": "ask", "number": number, "question": question, "name": name})
            async with asyncio.timeout(_ANSWER):
                return await self._asked[number]
        except TimeoutError:
            raise LineDown(f"the line {self._name} does not answer") from None
        finally:
            del self._asked[number]

    async def arrivals(self) -> AsyncIterator[Arrival]:
        """Yield what comes in. One reader."""
        while True:
            yield await self._arrivals.get()

    def journal(self, call: str) -> Path:
        """Return where the journal of a call is or was; raises :class:`ValueError` for what can be no call's name."""
        if not _CALL.fullmatch(call):
            raise ValueError(f"{call!r} is no name of a call")
        return self._journals / f"{call}.journal"

    async def evidence(self, call: str) -> Evidence:
        """Return what the journal of a call proves, once no process writes it any more."""
        path = self.journal(call)
        try:
            if await journal.wait_released(path, _WRITERS_END):
                return await asyncio.to_thread(journal.read, path)
        except OSError:
            log.exception("the journal of %s cannot be read", call)
        return Evidence(readable=False, complete=False, last_page_offered=True, pages_confirmed=0, result=None)

    def leftovers(self) -> list[Arriving]:
        """Return the inbound calls whose journals a predecessor left behind."""
        found = []
        for path in sorted(self._journals.glob(f"{INBOUND}*.journal")):
            fields = journal.opened(path)
            if fields is not None and _CALL.fullmatch(path.stem):
                words = [str(fields.get(name, "")) for name in ("trunk", "number", "caller", "device")]
                found.append(Arriving(path.stem, *words))
        return found

    def forget(self, call: str) -> None:
        """Delete the journal of a call whose outcome is committed."""
        self.journal(call).unlink(missing_ok=True)
        self._unforgotten.discard(call)

    async def _wait_up(self) -> None:
        try:
            async with asyncio.timeout(_START):
                await self._settled.wait()
        except TimeoutError:
            raise LineDown(f"the line {self._name} does not come up; its words are in the log") from None
        if self._broken:
            raise LineDown(f"the line {self._name} is down: {self._broken}")

    async def _keep(self) -> None:
        """Keep a line process running until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._serve()
            except OSError as fault:
                self._settle(f"its process cannot be started: {fault.strerror}")
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _serve(self) -> None:
        """Start a line process and listen to it until it ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await self._start_process(theirs.fileno())
        link = Link(ours)
        try:
            self._publish(link)
            self._link = link
            while (received := await link.receive()) is not None:
                self._heard(received[0])
        finally:
            self._link = None
            was_up = self._settled.is_set()
            if not self._broken:
                self._settled.clear()
            link.close()
            status = await asyncio.shield(_end(process))
            self._bury()
        if not was_up and not self._broken:
            self._settle(f"its process ended with status {status}; its words are in the log")

    def _settle(self, broken: str) -> None:
        self._broken = broken
        self._settled.set()

    def _publish(self, link: Link) -> None:
        """Push the table in pieces that a message can hold: the numbers first, then the accounts."""
        table = self._table
        pieces: list[dict[str, Any]] = []
        for numbers in _cut(sorted(table.numbers), _BATCH):
            limits = {number: limit for number in numbers if (limit := table.inbound_channels.get(number)) is not None}
            pieces.append({"numbers": numbers, "inbound_channels": limits})
        plain = [replace(account, numbers=()) for account in table.trunks]
        pieces += [{"trunks": [encode(account) for account in piece]} for piece in _cut(plain, _ACCOUNTS)]
        pieces += [
            {"trunk_numbers": {account.name: some}}
            for account in table.trunks
            for some in _cut(account.numbers, _BATCH)
        ]
        pieces += [{"devices": [encode(account) for account in piece]} for piece in _cut(table.devices, _ACCOUNTS)]
        pieces += [{"screens": [encode(part)]} for screen in table.screens for part in cut(screen, _SCREENED)]
        nothing: dict[str, Any] = {
            "numbers": [], "inbound_channels": {}, "trunks": [], "trunk_numbers": {}, "devices": [], "screens": [],
        }  # fmt: skip
        for at, piece in enumerate(pieces or [{}]):
            place = {"first": at == 0, "last": at >= len(pieces) - 1}
            link.post({"do": "publish", **nothing, **piece, **place})

    def _heard(self, message: dict[str, Any]) -> None:
        match message["say"]:
            case "ready":
                self._settle("")
            case "broken":
                self._settle(message["reason"])
            case "answer":
                if (asked := self._asked.get(message["number"])) is not None and not asked.done():
                    asked.set_result(message["answer"])
            case "arrival":
                self._arrived(decode_event(_ARRIVALS, message))
            case "arrived":
                self._arrived(
                    Arrived(message["call"], decode(CallResult, message["result"]), self.journal(message["call"]))
                )
            case _:
                self._heard_of_a_call(message)

    def _heard_of_a_call(self, message: dict[str, Any]) -> None:
        match message["say"]:
            case "event":
                happened = decode_event(_CALL_EVENTS, message)
                if (waiting := self._sending.get(happened.call)) is not None:
                    waiting[1](happened)
            case "result":
                result = decode(CallResult, message["result"])
                if (waiting := self._sending.get(result.call)) is not None and not waiting[0].done():
                    waiting[0].set_result(result)
            case "lost":
                self._lost(message["call"])

    def _arrived(self, arrival: Arrival) -> None:
        if isinstance(arrival, Arriving):
            self._arriving.add(arrival.call)
            self._unforgotten.add(arrival.call)
        elif isinstance(arrival, Arrived):
            self._arriving.discard(arrival.call)
        self._arrivals.put_nowait(arrival)

    def _lost(self, call: str) -> None:
        """Tell whoever waits for a call that nothing more will be heard of it."""
        if (waiting := self._sending.get(call)) is not None and not waiting[0].done():
            waiting[0].set_exception(LineDown(f"the line {self._name} lost the call"))
        elif call in self._arriving:
            result = CallResult(call, Cause.LOCAL, 0, last_page_offered=False, simulated=self._simulated)
            self._arrived(Arrived(call, result, self.journal(call)))

    def _bury(self) -> None:
        """Tell everybody who waits that the line died."""
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(LineDown(f"the line {self._name} died"))
        for call in list(self._sending):
            self._lost(call)
        for arriving in self.leftovers():
            if arriving.call not in self._unforgotten:  # it died before it could tell us
                self._arrived(arriving)
        for call in sorted(self._arriving):
            self._lost(call)


async def _end(process: asyncio.subprocess.Process) -> int:
    """Wait until the process has hung up and ended, kill it if it takes too long; return its status."""
    try:
        async with asyncio.timeout(_END):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def _cut(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
