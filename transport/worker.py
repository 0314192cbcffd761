"""The media worker: the confined child that carries calls.

It has two entries:

* ``transport.worker:carry``: one call whose media are in lock-step with its far end (the simulated network);
* ``transport.worker:serve``: up to a group of calls in real time, on UDP sockets (:mod:`.group`).

The channel brings orders with the descriptors that they may use; the worker reports events and, last, the outcome. The
line's death or its own ends everything, and the journals speak. Messages, line to worker (``call``: to ``serve``)::

    {"do": "carry", "order": {...}}  + [media, journal] or [media, journal, document]            carry
                                     + [rtp, udptl, journal] or [rtp, udptl, journal, document]  serve
    {"do": "change", "call": ..., "media": {...}}
    {"do": "hang_up", "call": ..., "why": "cancelled"}

and worker to line: ``{"say": "event", "call": ..., ...}`` (:func:`.messages.encode_event`), ``{"say": "outcome",
"call": ..., "outcome": {...}, "pace": {...}}``, and ``{"say": "alive"}`` every five seconds.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING

from transport import group, lockstep
from transport.causes import Hangup
from transport.folder import file_of, own_folder
from transport.journal import Journal
from transport.media import Call
from transport.messages import decode, encode, encode_event
from transport.order import Order, Outcome
from transport.spandsp import library
from transport.tiff import NotFax

if TYPE_CHECKING:
    from transport.launcher import WorkerChannel
    from transport.seam import CallEvent

library()  # once, in the nursery: its children inherit what is loaded, and start without it in milliseconds


def serve(channel: WorkerChannel, _fds: list[int]) -> None:
    """Carry calls in real time until the line is gone: the nursery's entry."""
    group.serve(channel)


def carry(channel: WorkerChannel, _fds: list[int]) -> None:
    """Carry one call in lock-step: the nursery's entry."""
    received = channel.receive()
    if received is None:
        return
    message, descriptors = received
    order = decode(Order, message["order"])
    media = socket.socket(fileno=descriptors[0])
    journal = Journal(descriptors[1])
    with own_folder() as folder:
        try:
            file = file_of(order, descriptors[2] if order.sending else None, folder)
        except NotFax as fault:
            outcome: Outcome | None = Outcome(Hangup.DOCUMENT, reason=str(fault))
        else:
            call = Call(order, file, journal, lambda happened: _report(channel, happened))
            outcome = _Carriage(call, media, channel).run()
    media.close()
    journal.close()
    if outcome is not None:
        channel.send({"say": "outcome", "outcome": encode(outcome)})
        while channel.receive() is not None:  # an end that closes with an order unread would take its last word with it
            pass


class _Carriage:
    """The loop that moves a call's media in lock-step with its far end, listening to the line meanwhile."""

    def __init__(self, call: Call, media: socket.socket, channel: WorkerChannel) -> None:
        self._call = call
        self._media = media
        self._channel = channel
        self._poll = select.poll()
        self._poll.register(media, select.POLLIN)
        self._poll.register(channel.fileno(), select.POLLIN)

    def run(self) -> Outcome | None:
        """Return the call's outcome, ``None`` if the line is gone."""
        heard: list[bytes] = []
        while True:
            said = self._call.tick(heard)
            if self._call.outcome is None:
                try:
                    heard = self._exchange(said)
                except ConnectionError:
                    return None
            if self._call.outcome is not None:
                return self._call.outcome

    def _exchange(self, said: list[bytes]) -> list[bytes]:
        """Say and hear one tick's media; raises :class:`ConnectionError` when the line is gone."""
        try:
            self._media.send(lockstep.pack(said))
        except ConnectionError:
            self._call.hang_up(Hangup.FAR)
            return []
        while self._call.outcome is None:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._channel.fileno():
                    self._obey()
                else:
                    return self._hear()
        return []

    def _hear(self) -> list[bytes]:
        with contextlib.suppress(ConnectionResetError):
            message = self._media.recv(lockstep.MAX_MESSAGE)
            if message:
                return lockstep.unpack(message)
        self._call.hang_up(Hangup.FAR)
        return []

    def _obey(self) -> None:
        received = self._channel.receive()
        if received is None:
            raise ConnectionError("the line is gone")
        if received[0]["do"] == "hang_up":  # media in lock-step never change
            self._call.hang_up(Hangup(received[0]["why"]))


def _report(channel: WorkerChannel, happened: CallEvent) -> None:
    channel.send({"say": "event", **encode_event(happened)})
