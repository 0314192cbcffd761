"""The exchange of the simulated network: routes calls, joins the media of two parties, plays the far ends.

Relays' lines connect by a :class:`~transport.link.Link` and say what a trunk would be told. Messages, line to
exchange::

    {"do": "hello", "behaviours": {number: name}, "real_time": bool} {"do": "publish", "numbers": [...], "first":
    bool}          the line's numbers, in parts; ``first`` clears the old ones {"do": "dial", "leg": "o1", "call":
    ..., "to": ..., "from": ..., "t38": bool, "audio": bool}  + [media] {"do": "answer", "leg": "i1"}     {"do":
    "refuse", "leg": "i1", "code": 486, "reason": ...}     {"do": "bye", "leg": ...}

and exchange to line::

    {"say": "ringing", "leg": "o1"}   {"say": "answered", "leg": "o1", "t38": bool}
    {"say": "refused", "leg": "o1", "code": 486 | null, "reason": ...}
    {"say": "incoming", "leg": "i1", "to": ..., "from": ..., "t38": bool}  + [media]

Media are lock-step sockets (:mod:`transport.lockstep`); a closed one is a hang-up, so a party that died hung up. In
real time the exchange holds each answer back until its tick is due, and so paces both ends.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
import traceback
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transport.simulated.behaviours import BEHAVIOURS, Behaviour, Party
from transport.simulated.farend import FaxMachine, Stranger
from transport.simulated.media import Conversation, Joined
from transport.simulated.numbers import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.link import Link
    from transport.simulated.record import Record

#: How long a relay may take to answer a call to one of its numbers, seconds.
_ANSWER_WITHIN = 30.0
_UNAVAILABLE = (480, "Temporarily Unavailable")


class Exchange:
    """The network: lives as long as its process.

    ``folder`` keeps what the far ends receive; without one it is in memory alone, and gone with the call.
    """

    def __init__(self, folder: Path | None, record: Record) -> None:
        self._folder = folder
        self._record = record
        self._owners: dict[str, Subscriber] = {}
        self._calls_to: Counter[tuple[str, str]] = Counter()
        self._ids = itertools.count(1)

    async def serve(self, link: Link) -> None:
        """Serve one line until it is gone; its calls are hung up then."""
        subscriber = Subscriber(self, link)
        try:
            while (received := await link.receive()) is not None:
                message, fds = received
                subscriber.obey(message, [socket.socket(fileno=descriptor) for descriptor in fds])
        except (KeyError, TypeError, IndexError):  # not a line of ours: the other lines shall not suffer for it
            traceback.print_exc()
        finally:
            subscriber.leave()
            link.close()
            for number in [number for number, owner in self._owners.items() if owner is subscriber]:
                del self._owners[number]

    def publish(self, subscriber: Subscriber, numbers: list[str], *, first: bool) -> None:
        """Give a line its numbers."""
        if first:
            for number in [number for number, owner in self._owners.items() if owner is subscriber]:
                del self._owners[number]
        self._owners.update(dict.fromkeys(numbers, subscriber))

    def owner(self, number: str) -> Subscriber | None:
        """Return the line that answers a number."""
        return self._owners.get(number)

    def behaviour(self, number: str, caller: str, own: dict[str, str]) -> Behaviour | None:
        """Return what answers a number at this call; the line's settings go before the table."""
        name = own.get(number) or (None if number in self._owners else NUMBERS.get(number))
        if name is None:
            return None
        self._calls_to[caller, number] += 1
        behaviour = BEHAVIOURS[name]
        if behaviour.first is not None and self._calls_to[caller, number] == 1:
            return BEHAVIOURS[behaviour.first]
        return behaviour

    def far_end(
        self, behaviour: Behaviour, number: str, note: Callable[..., None], *, t38: bool
    ) -> tuple[FaxMachine | Stranger, int | None]:
        """Make who answered, and say which descriptor is to be closed after the call."""
        order = next(self._ids)
        rng = random.Random(zlib.crc32(number.encode()) + order)  # noqa: S311  noise, not secrets
        if behaviour.party is not Party.FAX:
            return Stranger(behaviour.party, order), None
        name = f"{os.getpid()}-{order}.tif"
        memory = os.memfd_create(name, os.MFD_CLOEXEC) if self._folder is None else None
        file = Path(f"/proc/self/fd/{memory}") if self._folder is None else self._folder / name
        note("answered", file=name, t38=t38)
        return FaxMachine(behaviour, file, note, rng, t38=t38, ident=number), memory

    def note(self, call: str) -> Callable[..., None]:
        """Return what writes a call's events into the network's log."""
        return lambda event, **facts: self._record.write(call, event, **facts)


class Subscriber:
    """One relay's line at the exchange."""

    def __init__(self, exchange: Exchange, link: Link) -> None:
        self._exchange = exchange
        self._link = link
        self._behaviours: dict[str, str] = {}
        self._ids = itertools.count(1)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._answers: dict[str, asyncio.Future[tuple[int, str] | None]] = {}
        self.real_time = False

    def obey(self, message: dict[str, Any], fds: list[socket.socket]) -> None:
        """Do what the line says."""
        match message["do"]:
            case "hello":
                self._behaviours = message["behaviours"]
                self.real_time = message["real_time"]
            case "publish":
                self._exchange.publish(self, message["numbers"], first=message["first"])
            case "dial":
                leg = message["leg"]
                self._tasks[leg] = asyncio.create_task(self._dialled(message, fds.pop()), name=f"leg {leg}")
                self._tasks[leg].add_done_callback(lambda _: self._tasks.pop(leg, None))
            case "answer":
                self._settle(message["leg"], None)
            case "refuse":
                self._settle(message["leg"], (message["code"], message["reason"]))
            case "bye":
                if (task := self._tasks.get(message["leg"])) is not None:
                    task.cancel()
        for unused in fds:
            unused.close()

    def leave(self) -> None:
        """Hang up everything: the line is gone."""
        for task in list(self._tasks.values()):
            task.cancel()
        for leg in list(self._answers):
            self._settle(leg, _UNAVAILABLE)

    async def ring(self, number: str, caller: str, media: socket.socket, *, t38: bool) -> tuple[int, str] | None:
        """Ring this line; return how it refused, ``None`` when it answered."""
        leg = f"i{next(self._ids)}"
        answer: asyncio.Future[tuple[int, str] | None] = asyncio.get_running_loop().create_future()
        self._answers[leg] = answer
        self._link.post({"say": "incoming", "leg": leg, "to": number, "from": caller, "t38": t38}, [media.fileno()])
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                return await answer
        except TimeoutError:
            return _UNAVAILABLE
        finally:
            self._answers.pop(leg, None)

    def _settle(self, leg: str, answer: tuple[int, str] | None) -> None:
        waiting = self._answers.get(leg)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def _dialled(self, message: dict[str, Any], media: socket.socket) -> None:
        """Carry one call of this line from its dialling to its end."""
        note = self._exchange.note(message["call"])
        number, caller = message["to"], message["from"]
        note("dialled", to=number, caller=caller)
        by = "network"
        try:
            with media:
                behaviour = self._exchange.behaviour(number, caller, self._behaviours)
                if behaviour is not None:
                    by = await self._meet(message, media, behaviour, note)
                elif (owner := self._exchange.owner(number)) is not None:
                    by = await self._join(message, media, owner, note)
                else:
                    self._refuse(message["leg"], None, f"no trunk is configured for {number}")
        except asyncio.CancelledError:
            by = "caller"
            raise
        except Exception:  # noqa: BLE001  one call's fault is not the others'
            traceback.print_exc()
            self._refuse(message["leg"], 500, "Server Internal Error")
        finally:
            note("ended", by=by)

    async def _meet(
        self, message: dict[str, Any], media: socket.socket, behaviour: Behaviour, note: Callable[..., None]
    ) -> str:
        """Let a far end of the network answer, or not; return who ended the call."""
        if behaviour.ring_seconds:
            self._link.post({"say": "ringing", "leg": message["leg"]})
            if self.real_time:
                await asyncio.sleep(behaviour.ring_seconds)
        if behaviour.refusal is not None:
            self._refuse(message["leg"], *behaviour.refusal)
            return "callee"
        t38 = behaviour.t38 and message["t38"]
        if not t38 and not message["audio"]:
            self._refuse(message["leg"], 488, "Not Acceptable Here")
            return "callee"
        far_end, memory = self._exchange.far_end(behaviour, message["to"], note, t38=t38)
        self._answered(message["leg"], t38=t38)
        try:
            return await Conversation(media, far_end, real_time=self.real_time).run()
        finally:
            far_end.close()
            if memory is not None:
                os.close(memory)

    async def _join(
        self, message: dict[str, Any], media: socket.socket, owner: Subscriber, note: Callable[..., None]
    ) -> str:
        """Ring the line that has the number, and join both; return who ended the call."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                ringing = owner.ring(message["to"], message["from"], theirs, t38=message["t38"])
                self._link.post({"say": "ringing", "leg": message["leg"]})
                refusal = await ringing
            if refusal is not None:
                self._refuse(message["leg"], *refusal)
                return "callee"
            note("joined", t38=message["t38"])
            self._answered(message["leg"], t38=message["t38"])
            return await Joined(media, ours, real_time=self.real_time).run()

    def _answered(self, leg: str, *, t38: bool) -> None:
        self._link.post({"say": "answered", "leg": leg, "t38": t38})

    def _refuse(self, leg: str, code: int | None, reason: str) -> None:
        self._link.post({"say": "refused", "leg": leg, "code": code, "reason": reason})
