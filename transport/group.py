"""The calls of one media worker in real time: one tick of 20 ms for all of them, never a wake-up for a packet.

A tick drains and feeds every socket; ticks that were missed follow at once, for a modem's samples cannot be left out.
A quiet call lets two pass at once in every other tick; where all are quiet, nobody wakes up for the one between.
Calls begin one in a tick, after the tick's packets have left, so that a beginning (a document is read, modems are set
up) makes the others late by itself alone.

Invariant: each call ends with an outcome of its own; whatever one call's far end sends, the others of the worker are
touched only if libspandsp's memory is, and then the worker dies and the journals speak.
"""

from __future__ import annotations

import contextlib
import gc
import select
import shutil
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from transport.causes import Hangup
from transport.folder import file_of, own_folder
from transport.journal import Journal
from transport.legs import TICK
from transport.media import Call
from transport.messages import decode, encode, encode_event
from transport.order import Media, Order, Outcome
from transport.pace import FIRST, Pace
from transport.port import Port
from transport.tiff import NotFax

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transport.launcher import WorkerChannel
    from transport.seam import CallEvent

#: A worker that was stopped for longer does not make up for it: the far ends have hung up.
_MAX_BEHIND = 5.0
#: Ticks between two signs of life.
_ALIVE = 250
#: What a call's trace need not know, seconds.
_LATE = 0.005
_NOTHING: list[bytes] = []


class Carriage:
    """One call with its sockets."""

    __slots__ = ("_journal", "_owes", "_port", "_ports", "call", "worst")

    def __init__(self, call: Call, rtp: Port, udptl: Port, journal: Journal) -> None:
        self.call = call
        self.worst = 0.0  #: how late it was, seconds
        self._ports = (rtp, udptl)
        self._journal = journal
        self._port = rtp
        self._owes = False  # it left a tick to the next
        self._aim()

    def tick(self, *, odd: bool) -> bool:
        """Hear, let 20 ms pass, say; a quiet call leaves an odd tick to the next one. Return whether it did not."""
        call, port = self.call, self._port
        leg = call.leg
        if odd and leg.quiet:
            self._owes = True
            return False
        wanted = leg.wanted()
        heard = port.hear(leg.accepts, wanted) if wanted else _NOTHING
        if self._owes:
            self._owes = False
            for datagram in call.tick(heard):
                port.say(datagram)
            heard = _NOTHING
        if call.outcome is None:
            for datagram in call.tick(heard):
                port.say(datagram)
        if port.news:
            self._journal.note("<", "media", f"{port.news}, after {call.seconds():.2f} s")
            port.news = ""
        return True

    def change(self, media: Media) -> None:
        """Go on with new media."""
        self.call.change(media)
        if self.call.media is media:
            self._aim()

    def hang_up(self, why: Hangup) -> None:
        """End the call, with what has come by now."""
        self.call.hang_up(why, self._port.hear(self.call.leg.accepts))

    def close(self) -> None:
        """Note how it went, and give everything back."""
        strange, unsent = (sum(getattr(port, name) for port in self._ports) for name in ("strange", "unsent"))
        self._journal.note(
            "-", "media", f"ended: at worst {1000 * self.worst:.0f} ms late, {strange} strange, {unsent} unsent"
        )
        for port in self._ports:
            port.close()
        self._journal.close()

    def _aim(self) -> None:
        media = self.call.media
        self._port = self._ports[1 if media.t38 else 0]
        self._port.aim(media.host, media.port)
        held = ", held" if media.held else ""
        self._journal.note("-", "media", f"{media.kind.value} to {media.host} port {media.port}{held}")


class Group:
    """The loop of one worker."""

    def __init__(self, channel: WorkerChannel, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._folder = folder
        self._clock = clock
        self._carried: dict[str, Carriage] = {}
        self._beginning: deque[tuple[Order, list[int]]] = deque()
        self._due = 0.0
        self._ticks = 0
        self._resting = False  # nobody needs the next tick
        self._first = 0  # the tick up to which a call counts as begun just now
        self._pace = Pace()
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)

    def run(self) -> None:
        """Carry calls until the line is gone."""
        while True:
            idle = not self._carried and not self._beginning
            due = self._due + TICK if self._resting else self._due
            wait = None if idle else max((due - self._clock()) * 1000, 0)
            if self._poll.poll(wait):
                received = self._channel.receive()
                if received is None:
                    return
                self._obey(*received)
                if idle:
                    self._due = _next_beat(self._clock())
            self._catch_up()

    def _catch_up(self) -> None:
        """Do every tick that is due."""
        while (self._carried or self._beginning) and self._clock() >= self._due:
            self._tick()
            self._due += TICK
            if self._clock() - self._due > _MAX_BEHIND:
                self._due = _next_beat(self._clock())

    def _tick(self) -> None:
        over, ticked, odd = [], 0, self._ticks & 1 == 1
        for name, carriage in self._carried.items():
            ticked += carriage.tick(odd=odd)
            if carriage.call.outcome is not None:
                over.append(name)
        if ticked:
            late = self._clock() - self._due
            self._pace.count(late, ticked, first=self._ticks < self._first)
            if late > _LATE:
                for carriage in self._carried.values():
                    carriage.worst = max(carriage.worst, late)
        self._resting = not odd and all(carriage.call.leg.quiet for carriage in self._carried.values())
        for name in over:
            self._end(name)
        if self._beginning:
            self._begin(*self._beginning.popleft())
        self._ticks += 1
        if self._ticks % _ALIVE == 0:
            self._channel.send({"say": "alive"})

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if message["do"] == "carry":
            self._beginning.append((decode(Order, message["order"]), descriptors))
            return
        name = message["call"]
        while any(order.call == name for order, _ in self._beginning):  # what is said of a call comes after its begin
            self._begin(*self._beginning.popleft())
        if (carriage := self._carried.get(name)) is None:
            return  # it has just ended
        if message["do"] == "change":
            carriage.change(decode(Media, message["media"]))
        else:
            carriage.hang_up(Hangup(message["why"]))
        if carriage.call.outcome is not None:
            self._end(name)

    def _begin(self, order: Order, descriptors: list[int]) -> None:
        rtp, udptl, kept, *document = descriptors
        ports, journal = (Port(rtp), Port(udptl)), Journal(kept)
        folder = self._folder / order.call
        try:
            folder.mkdir()
            with contextlib.ExitStack() as papers:
                for descriptor in document:
                    papers.enter_context(open(descriptor, "rb"))  # noqa: PTH123  it is closed with the block
                file = file_of(order, document[0] if document else None, folder)
            call = Call(order, file, journal, lambda happened: self._report(order.call, happened))
        except (NotFax, OSError, ValueError) as fault:
            for port in ports:
                port.close()
            journal.close()
            hangup = Hangup.DOCUMENT if isinstance(fault, NotFax) else Hangup.FAULT
            self._tell(order.call, Outcome(hangup, reason=str(fault)[:200]))
            return
        self._first = self._ticks + FIRST
        self._carried[order.call] = Carriage(call, *ports, journal)

    def _end(self, name: str) -> None:
        carriage = self._carried.pop(name)
        carriage.close()
        if (outcome := carriage.call.outcome) is not None:
            self._tell(name, outcome)
        del carriage
        gc.collect()  # an engine and its callbacks hold each other

    def _tell(self, name: str, outcome: Outcome) -> None:
        shutil.rmtree(self._folder / name, ignore_errors=True)
        pace, self._pace = self._pace, Pace()
        self._channel.send({"say": "outcome", "call": name, "outcome": encode(outcome), "pace": pace.to_json()})

    def _report(self, name: str, happened: CallEvent) -> None:
        self._channel.send({"say": "event", "call": name, **encode_event(happened)})


def _next_beat(now: float) -> float:
    """Return when the next tick is due: at the same time for all workers, for to wake a processor costs most of all."""
    return (now // TICK + 1) * TICK


def serve(channel: WorkerChannel) -> None:
    """Carry the calls that the channel brings until it ends."""
    gc.disable()  # a collection in the midst of a tick makes all calls late; there is one at each call's end
    gc.freeze()  # and it shall not look at the programs, each time anew
    with own_folder() as folder:
        Group(channel, folder).run()
