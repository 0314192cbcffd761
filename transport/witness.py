"""What the engine tells of a call, turned into evidence: the journal's records and the events, each before its effect.

The offer of the last page (EOP, PPS-EOP or EOR-EOP: T.30 5.3.6.1.6 and annex A) is on disk before the frame is
modulated, since libspandsp shows a frame before it leaves; a received page is on disk before libspandsp makes its
MCF. If the disk refuses, the exception goes through the engine to :class:`.media.Call`, which lets nothing leave any
more.
"""

from __future__ import annotations

import abc
import mmap
from dataclasses import replace
from typing import TYPE_CHECKING

from transport.journal import Kind, page_fields
from transport.messages import encode
from transport.seam import Negotiated, PageConfirmed
from transport.t30 import (
    CONFIRMS,
    LAST_PAGE,
    Agreed,
    Frame,
    agreed_in,
    command_of,
    describe,
    frame_of,
    is_image,
    takes_fine,
)
from transport.tiff import received_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transport.journal import Journal
    from transport.order import Order
    from transport.seam import CallEvent
    from transport.spandsp import Engine, Statistics

#: A received page is no longer than this: rows (60 cm at superfine), and bytes of its strip.
MAX_ROWS = 9000
MAX_STRIP = 4 * 1024 * 1024


class TooLong(Exception):
    """A received page without end."""


class Witness(abc.ABC):
    """Listens to one engine (:class:`.spandsp.Listener`). ``now`` is call time in seconds."""

    def __init__(
        self, order: Order, journal: Journal, report: Callable[[CallEvent], None], now: Callable[[], float]
    ) -> None:
        self._order = order
        self._journal = journal
        self._report = report
        self._now = now
        self._answer: Frame | None = None
        self.engine: Engine | None = None
        self.before = 0  # pages confirmed in the media that were left
        self.contacted = False
        self.ever_contacted = False
        self.fine: bool | None = None
        self.agreed: Agreed | None = None
        self.trained = False
        self.confirmed = 0
        self.statistics: Statistics | None = None
        self.last_page = False
        self.page_at = 0.0
        self.page_seconds: list[float] = []

    def begin(self, engine: Engine) -> None:
        """Listen to an engine from now on. Another one than before: T.30 starts afresh, what is proved stays proved."""
        self.engine = engine
        self.before = self.confirmed
        self.contacted = self.trained = False
        self.agreed = self.statistics = self._answer = None

    def contact(self) -> None:
        """Both machines have spoken."""
        self.contacted = self.ever_contacted = True

    def frame(self, message: bytes, *, sent: bool) -> None:
        """Read what a frame settles."""
        if is_image(message):
            return
        self._journal.note(">" if sent else "<", "t30", describe(message))
        self.agreed = agreed_in(message) or self.agreed
        frame = frame_of(message)
        if frame is Frame.DCS:
            self._journal.note(">" if sent else "<", "t30", "TCF")
        elif frame is Frame.DIS and not sent:
            self.fine = takes_fine(message)
        elif frame is Frame.CFR and not self.trained:
            self.trained = True
            self.page_at = self._now()
            self._negotiated()
        self.command(message, sent=sent)

    def page(self) -> None:
        """Count a page if it was confirmed."""
        if self.engine is None:
            return
        self.statistics = self.engine.statistics()
        self.judge(self.statistics)

    @abc.abstractmethod
    def command(self, message: bytes, *, sent: bool) -> None:
        """Read a frame for what it says of the pages."""

    @abc.abstractmethod
    def judge(self, statistics: Statistics) -> None:
        """Decide at phase D whether one more page is confirmed."""

    @abc.abstractmethod
    def check(self) -> None:
        """Look at what is under way; raises :class:`TooLong`."""

    def confirm(self, fields: dict[str, object], payload: bytes = b"") -> None:
        """Put one more confirmed page on disk, then tell of it."""
        self._journal.append(Kind.PAGE_CONFIRMED, fields, payload)
        self.confirmed += 1
        now = self._now()
        self.page_seconds.append(round(now - self.page_at, 2))
        self.page_at = now
        self._report(PageConfirmed(self._order.call, self.confirmed, self._order.pages))

    def _negotiated(self) -> None:
        agreed = self.agreed or Agreed("", 0, ecm=False)
        ident = self.engine.remote_ident() if self.engine is not None else ""
        subaddress = self.engine.subaddress() if self.engine is not None else ""
        happened = Negotiated(self._order.call, agreed.bit_rate, agreed.ecm, ident, subaddress)
        self._journal.append(Kind.NEGOTIATED, encode(happened))
        self._report(happened)


class SendingWitness(Witness):
    """Counts the far machine's confirmations."""

    def command(self, message: bytes, *, sent: bool) -> None:
        """Sync the offer of the last page before it leaves; remember the far machine's answer."""
        if not sent:
            self._answer = frame_of(message)
        elif not self.last_page and command_of(message) in LAST_PAGE:
            self._journal.append(Kind.LAST_PAGE_OFFERED)
            self.last_page = True

    def judge(self, statistics: Statistics) -> None:
        """Count a page whose answer was a confirmation; libspandsp also goes on after a negative one."""
        if self._answer in CONFIRMS and self.before + statistics.pages_sent > self.confirmed:
            self.confirm({"page": self.confirmed + 1})

    def check(self) -> None:
        """Let a page of ours take its time: T.30's timers and the call's deadline hold."""


class ReceivingWitness(Witness):
    """Keeps each page before it is confirmed. ``file``: where libspandsp stores them."""

    def __init__(
        self,
        order: Order,
        journal: Journal,
        report: Callable[[CallEvent], None],
        now: Callable[[], float],
        file: Path,
    ) -> None:
        super().__init__(order, journal, report, now)
        self.file = file
        self._command: Frame | None = None

    def command(self, message: bytes, *, sent: bool) -> None:
        """Remember what the far machine says of the page that it sent."""
        if not sent:
            self._command = command_of(message)

    def judge(self, statistics: Statistics) -> None:
        """Put a page that came well on disk; what libspandsp does not count it will not confirm either."""
        if self.before + statistics.pages_received <= self.confirmed:
            return
        with self.file.open("rb") as stored, mmap.mmap(stored.fileno(), 0, access=mmap.ACCESS_READ) as data:
            page = received_page(data, statistics.pages_received)
        page = replace(page, page=self.confirmed + 1)
        if page.height > MAX_ROWS or len(page.strip) > MAX_STRIP:
            raise TooLong(f"page {page.page} has {page.height} rows, {len(page.strip)} bytes")
        self.last_page = self._command in LAST_PAGE
        self.confirm({**page_fields(page), "last": self.last_page}, page.strip)

    def check(self) -> None:
        """Look at the page that is coming in; raises :class:`TooLong`."""
        if self.engine is not None and self.engine.code is None and self.engine.statistics().rows > MAX_ROWS:
            raise TooLong(f"a page of more than {MAX_ROWS} rows")
