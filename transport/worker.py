"""The media worker: the confined child that carries one call (``transport.worker:carry``).

Its channel brings the order with the descriptors it may use: the media, the journal, and the document when sending.
It reports events and, last, the outcome; the line's death or its own ends everything, and the journal speaks.
libspandsp wants paths, so the document is copied into the sandbox's private ``/tmp``, and removed when the call ends;
a worker that was killed leaves its folder, which the next one sweeps away.

Messages, line to worker::

    {"do": "carry", "order": {...}}  + [media, journal] or [media, journal, document]
    {"do": "hang_up", "why": "cancelled"}

and worker to line: ``{"say": "event", ...}`` (:func:`.messages.encode_event`) and ``{"say": "outcome", "outcome":
{...}}``.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from transport import lockstep
from transport.causes import Hangup
from transport.journal import Journal
from transport.media import Call
from transport.messages import decode, encode, encode_event
from transport.order import Order, Outcome
from transport.spandsp import library
from transport.t30 import ident_problem
from transport.tiff import NotFax, check_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transport.launcher import WorkerChannel
    from transport.seam import CallEvent

library()  # once, in the nursery: its children inherit what is loaded, and start without it in milliseconds

_FOLDER = "call-"
_CHUNK = 1 << 20


def carry(channel: WorkerChannel, _fds: list[int]) -> None:
    """Carry one call: the nursery's entry."""
    received = channel.receive()
    if received is None:
        return
    message, descriptors = received
    order = decode(Order, message["order"])
    media = socket.socket(fileno=descriptors[0])
    journal = Journal(descriptors[1])
    with _folder() as folder:
        try:
            file = _document(order, descriptors[2], folder) if order.sending else folder / "received.tif"
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
        self._call.hang_up(Hangup(received[0]["why"]))


def _report(channel: WorkerChannel, happened: CallEvent) -> None:
    channel.send({"say": "event", **encode_event(happened)})


def _document(order: Order, descriptor: int, folder: Path) -> Path:
    """Check the document and the ident, and copy it to where libspandsp can open it; raises :class:`.tiff.NotFax`."""
    problem = ident_problem(order.ident)
    if problem is not None:
        raise NotFax(problem)
    if order.pages is None or os.fstat(descriptor).st_size == 0:
        raise NotFax("the document is empty")
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        check_document(data, order.pages)
        file = folder / "document.tif"
        with file.open("wb") as copy:
            for at in range(0, len(data), _CHUNK):
                copy.write(data[at : at + _CHUNK])
    return file


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder of this process's own in the private ``/tmp``; sweep away those of processes that were killed."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_FOLDER}*"):
        owner = left.name.removeprefix(_FOLDER).split("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
