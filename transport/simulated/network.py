"""A line's way to the simulated network: the network as a child of the line, or one that runs elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import sys
from typing import TYPE_CHECKING, Any

from transport.link import Link
from transport.network import Alerting, Connected, Incoming, Refused, Signal
from transport.order import Media, MediaKind
from transport.seam import T38Mode
from transport.simulated.behaviours import BEHAVIOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from transport.seam import CallRequest, LineTable

_DOWN = Refused(None, "the simulated telephone network is not running")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds between two tries to reach the network
_BATCH = 4000  # numbers of one message
#: The one trunk of this network.
TRUNK = "simulated"


class UnknownBehaviour(Exception):
    """The settings give a number a behaviour that there is none of."""


class SimulatedNetwork:
    """The link to the network, made again when it breaks."""

    simulated = True

    def __init__(self, exchange: Path | None, behaviours: Mapping[str, str], *, real_time: bool, channels: int) -> None:
        """``exchange``: the socket of a network that runs elsewhere; ``None``: start one."""
        for number, name in behaviours.items():
            if name not in BEHAVIOURS:
                raise UnknownBehaviour(
                    f"lines.simulated.behaviours: {number} cannot be {name!r}; it can be one of {', '.join(BEHAVIOURS)}"
                )
        self._exchange = exchange
        self._behaviours = dict(behaviours)
        self._real_time = real_time
        self._channels = channels
        self._numbers: tuple[str, ...] = ()
        self._link: Link | None = None
        self._legs: dict[str, SimulatedLeg] = {}
        self._ids = itertools.count(1)
        self.up = asyncio.Event()

    async def run(self, on_incoming: Callable[[Incoming], None]) -> None:
        """Keep the link up until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._connected() as link:
                    self._greet(link)
                    while (received := await link.receive()) is not None:
                        pause = _FIRST_PAUSE
                        self._heard(received[0], received[1], on_incoming)
            except OSError:
                pass  # not there yet: tried again below
            finally:
                self._link = None
                self.up.clear()
                for leg in list(self._legs.values()):
                    leg.put(_DOWN)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def publish(self, table: LineTable) -> None:
        """Say which numbers we answer; there is one trunk, and there are no devices."""
        self._numbers = tuple(sorted(table.numbers))
        if self._link is not None:
            self._publish(self._link)

    def trunks(self) -> Mapping[str, int]:
        """Return the one trunk."""
        return {TRUNK: self._channels}

    async def ask(self, question: str, name: str) -> dict[str, Any]:
        """Say of the trunk that nobody can be reached by it."""
        status = {"name": TRUNK, "up": self._link is not None, "detail": "simulated: no telephone line is involved"}
        match question, name:
            case "status", _:
                return {"trunks": [status], "devices": []}
            case "test", "simulated":
                return {"steps": [{"step": "network", "ok": self._link is not None, "detail": status["detail"]}]}
            case _:
                return {}

    def dial(self, request: CallRequest) -> SimulatedLeg:
        """Begin a call."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        leg = SimulatedLeg(self, f"o{next(self._ids)}", ours)
        self._legs[leg.name] = leg
        with theirs:
            if self._link is None:
                leg.put(_DOWN)
            else:
                order = {
                    "do": "dial", "leg": leg.name, "call": request.call,
                    "to": request.destination, "from": request.caller,
                    "t38": request.t38 is not T38Mode.NEVER, "audio": request.t38 is not T38Mode.PREFER,
                }  # fmt: skip
                self._link.post(order, [theirs.fileno()])
        return leg

    def post(self, message: dict[str, Any]) -> None:
        """Say something to the network, if it is there."""
        if self._link is not None:
            self._link.post(message)

    def forget(self, leg: str) -> None:
        """Hear no more of a leg."""
        self._legs.pop(leg, None)

    def _heard(self, message: dict[str, Any], fds: list[int], on_incoming: Callable[[Incoming], None]) -> None:
        name = message["leg"]
        if message["say"] == "incoming":
            leg = SimulatedLeg(self, name, socket.socket(fileno=fds[0]))
            self._legs[name] = leg
            leg.media = _media(t38=message["t38"])
            on_incoming(Incoming(leg, message["to"], message["from"], TRUNK))
        elif (known := self._legs.get(name)) is not None:
            known.put(_signal(message))

    def _greet(self, link: Link) -> None:
        link.post({"do": "hello", "behaviours": self._behaviours, "real_time": self._real_time})
        self._publish(link)
        self._link = link
        self.up.set()

    def _publish(self, link: Link) -> None:
        for at in range(0, max(len(self._numbers), 1), _BATCH):
            link.post({"do": "publish", "numbers": self._numbers[at : at + _BATCH], "first": at == 0})

    @contextlib.asynccontextmanager
    async def _connected(self) -> Any:
        if self._exchange is not None:
            end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with contextlib.closing(end):
                end.connect(str(self._exchange))  # a Unix socket: connects at once or not at all
                link = Link(end)
                try:
                    yield link
                finally:
                    link.close()
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "transport.simulated",
                "--descriptor",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
            )
        link = Link(ours)
        try:
            yield link
        finally:
            link.close()  # its end, too
            await process.wait()


class SimulatedLeg:
    """One call on the simulated network."""

    def __init__(self, trunk: SimulatedNetwork, name: str, media: socket.socket) -> None:
        self.name = name
        self._trunk = trunk
        self._media = media
        self._ended = False
        self.media = _media(t38=True)
        self.trace: Callable[[str, str, str], None] | None = None
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()

    def take_media(self) -> tuple[int, ...]:
        """Give away the descriptor of the media."""
        return (self._media.detach(),)

    async def signal(self) -> Signal:
        """Return what the network says next."""
        return await self._signals.get()

    def put(self, signal: Signal) -> None:
        """Tell whoever waits for a signal."""
        self._signals.put_nowait(signal)

    def answer(self) -> None:
        """Answer an incoming call."""
        self._trunk.post({"do": "answer", "leg": self.name})
        self.put(Connected(self.media))

    def refuse(self, code: int, reason: str) -> None:
        """Refuse an incoming call."""
        self._trunk.post({"do": "refuse", "leg": self.name, "code": code, "reason": reason})
        self.hang_up()

    def hang_up(self) -> None:
        """End the leg; harmless when it has ended."""
        if not self._ended:
            self._ended = True
            self._trunk.post({"do": "bye", "leg": self.name})
            self._trunk.forget(self.name)
            self._media.close()


def _media(*, t38: bool) -> Media:
    return Media(MediaKind.LOCKSTEP_T38 if t38 else MediaKind.LOCKSTEP_AUDIO)


def _signal(message: dict[str, Any]) -> Signal:
    match message["say"]:
        case "ringing":
            return Alerting()
        case "answered":
            return Connected(_media(t38=message["t38"]))
        case _:
            return Refused(message["code"], message["reason"])
