"""Journals that are synced beside the calls: a disk that takes its time does not make eight calls late.

A record is written at once, so that the worker's death takes nothing with it; what is synced later is only what the
machine's death would take. In real time there is room for that: what a record vouches for is a frame of V.21, which has
a preamble of a second before it (T.30 5.3.1), in T.38 as well. A call whose record is not on disk after :data:`GRACE`
stands still until it is, so that the order holds: evidence before its effect.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from transport.journal import Journal, Kind, _record

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a call goes on while its record is on the way to the disk.
GRACE = 0.3


class Syncer:
    """A thread that syncs. A worker that may not have one (its limits) syncs where it stands."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="syncs journals", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._alone = False
        else:
            self._alone = True

    def do(self, work: Callable[[], None]) -> None:
        """Have something done, in the order of asking."""
        if self._alone:
            self._work.put(work)
        else:
            work()

    def _run(self) -> None:
        while True:
            self._work.get()()


class LateJournal(Journal):
    """A journal of a call in real time."""

    def __init__(self, descriptor: int, syncer: Syncer, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(descriptor)
        self._syncer = syncer
        self._clock = clock
        self._written = self._synced = 0
        self._since = 0.0
        self._fault: OSError | None = None

    @property
    def unsynced(self) -> bool:
        """Whether a record is on the way."""
        return self._written != self._synced or self._fault is not None

    @property
    def overdue(self) -> bool:
        """Whether the call must wait for the disk; raises :class:`OSError` if that refused."""
        if self._fault is not None:
            raise self._fault
        return self._clock() - self._since > GRACE

    def append(self, kind: Kind, fields: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        """Write one record, and have it synced. Raises :class:`OSError` if the disk has refused one."""
        if self._fault is not None:
            raise self._fault
        self._write(_record(kind, fields or {}, payload))
        if self._written == self._synced:
            self._since = self._clock()
        self._written += 1
        self._syncer.do(self._sync)

    def close(self) -> None:
        """Give the descriptor back, once all is synced."""
        self._syncer.do(super().close)

    def _sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as fault:
            self._fault = fault
        self._synced += 1
