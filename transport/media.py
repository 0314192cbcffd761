"""One call's media and T.30, sans-I/O.

What is heard goes in with each tick, what is said comes out, evidence goes to the journal. Time is counted in ticks
of 20 ms, so the watchdogs measure call time, whatever the clock on the wall says. Nothing that a tick produced is
handed out if the journal could not be synced in it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from transport.causes import Hangup
from transport.legs import TICK, AudioLeg, RtpLeg, T38Leg
from transport.order import Media, MediaKind, Order, Outcome
from transport.seam import T38Started
from transport.spandsp import Machine, completion
from transport.t30 import Agreed, modems_up_to
from transport.tiff import NotFax
from transport.witness import ReceivingWitness, SendingWitness, TooLong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from transport.journal import Journal
    from transport.legs import Leg
    from transport.seam import CallEvent

#: Seconds of call time. T.30's own timers end most calls earlier; these are for those that it never ends.
NO_CONTACT = 60.0
DEAF = 15.0
AFTER_LAST_PAGE = 10.0
HELD = 60.0
LINGER_SENDING = 0.5  # until DCN and its repeats have left
LINGER_RECEIVING = 2.0  # the caller hangs up first
#: Ticks between two looks at the watchdogs, and at a page that is coming in.
_LOOK, _CHECK = 5, 25
#: What ends a call without being a fault of this program.
_FAULTS = (TooLong, OSError, ValueError, NotFax)


class Call:
    """The media of one call."""

    def __init__(
        self,
        order: Order,
        file: Path,
        journal: Journal,
        report: Callable[[CallEvent], None],
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """``file``: the document to send, or where libspandsp shall store what it receives."""
        self.order = order
        self.outcome: Outcome | None = None
        self.media = order.media
        self._file = file
        self._journal = journal
        self._report = report
        self._random_bits = random_bits
        self._ticks = 0
        self._began_at = self._heard_at = self._held_at = 0.0
        self._ended_at: float | None = None
        self._witness = (
            SendingWitness(order, journal, report, self.seconds)
            if order.sending
            else ReceivingWitness(order, journal, report, self.seconds, file)
        )
        #: What hears and says now; a change of media replaces it.
        self.leg = self._begin(order.media)

    def seconds(self) -> float:
        """Return the call time."""
        return self._ticks * TICK

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Let 20 ms pass; return what leaves. Sets :attr:`outcome` when the call is over, and then nothing leaves."""
        self._ticks = ticks = self._ticks + 1
        if heard:
            self._heard_at = ticks * TICK
        try:
            said = self.leg.tick(heard)
            if ticks % _LOOK:
                return said
            if ticks % _CHECK == 0:
                self._witness.check()
        except _FAULTS as fault:
            self._fail(fault)
        else:
            over = self._over()
            if over is None:
                return said
            self._finish(over)
        return []

    def change(self, media: Media) -> None:
        """Go on with media that were newly agreed.

        Audio that gave way to T.38 ends its engine, and T.30 starts afresh, with the first page that is not confirmed.
        T.38 does not give way to audio: gateways ask for that when the fax is over, and T.30 decides what it was.
        """
        if self.outcome is not None or self.leg.engine.code is not None:
            return
        before = self.media
        if media.t38 == before.t38:
            if media.held and not before.held:
                self._held_at = self.seconds()
            self.media = media
            self.leg.change(media)
        elif media.t38 and (self.order.pages is None or self._witness.confirmed < self.order.pages):
            self.media = media
            self._note_counters()
            self.leg.close()
            self._began_at = self._heard_at = self.seconds()
            try:
                self.leg = self._begin(media)
                self._report(T38Started(self.order.call))
            except _FAULTS as fault:
                self._fail(fault)

    def hang_up(self, why: Hangup, heard: Sequence[bytes] = ()) -> None:
        """End the call at once, for a reason from outside. ``heard``: what had come by then.

        A sender still listens to it, for a far machine hangs up behind its last confirmation. A receiver does not: a
        page that cannot be confirmed any more is one that the far machine sends again.
        """
        if self.outcome is not None:
            return
        engine = self.leg.engine
        if why is Hangup.FAR and engine.code is None:
            try:
                if self.order.sending:
                    self.leg.flush(list(heard))
                if engine.code is None:
                    engine.terminate()  # libspandsp says whether that was too early
            except _FAULTS as fault:
                self._fail(fault)
                return
        self._finish(why)

    def _begin(self, media: Media) -> Leg:
        """Start an engine on media; the first one, or the one that takes over from it."""
        order, witness = self.order, self._witness
        store = None
        if isinstance(witness, ReceivingWitness):
            store = self._file if self._ticks == 0 else self._file.with_stem(f"{self._file.stem}-t38")
            witness.file = store
        machine = Machine(
            calling=order.sending,
            ident=order.ident,
            document=str(self._file) if order.sending else None,
            first_page=witness.confirmed if order.sending else 0,
            store=str(store) if store is not None else None,
            ecm=order.ecm,
            modems=modems_up_to(order.max_rate),
        )
        leg: Leg
        if media.t38:
            leg = T38Leg(machine, witness, media=media)
        elif media.kind is MediaKind.RTP:
            leg = RtpLeg(machine, witness, media, self._random_bits)
        else:
            leg = AudioLeg(machine, witness)
        witness.begin(leg.engine)
        self._journal.note("-", "media", f"{media.kind.value} begins at {self.seconds():.1f} s")
        return leg

    def _over(self) -> Hangup | None:
        """Return why the call is over by now, ``None`` if it goes on."""
        now, witness, receiving = self.seconds(), self._witness, not self.order.sending
        if self.leg.engine.code is not None:
            self._ended_at = now if self._ended_at is None else self._ended_at
            linger = LINGER_RECEIVING if receiving else LINGER_SENDING
            return Hangup.DONE if now - self._ended_at >= linger else None
        if now >= self.order.seconds:
            return Hangup.DEADLINE
        if self.media.held:
            return Hangup.DEAF if now - self._held_at >= HELD else None
        if not witness.contacted and now - self._began_at >= NO_CONTACT:
            return Hangup.NO_CONTACT
        # A sender hears nothing while its page runs, minutes at 2400 bit/s: only its first contact is watched.
        if self.media.t38 and (receiving or not witness.contacted) and now - self._heard_at >= DEAF:
            return Hangup.DEAF
        if receiving and witness.last_page and now - witness.page_at >= AFTER_LAST_PAGE:
            return Hangup.DONE
        return None

    def _fail(self, fault: Exception) -> None:
        if isinstance(fault, TooLong):
            self._finish(Hangup.TOO_LONG, str(fault))
        else:  # the disk, or a page that is not stored as it must be
            self._finish(Hangup.FAULT, f"{type(fault).__name__}: {fault}"[:200])

    def _finish(self, hangup: Hangup, reason: str = "") -> None:
        witness, engine = self._witness, self.leg.engine
        statistics = witness.statistics or engine.statistics()
        agreed = witness.agreed or Agreed("", 0, ecm=False)
        self.outcome = Outcome(
            hangup=hangup,
            confirmed=witness.confirmed,
            contact=witness.ever_contacted,
            trained=witness.trained,
            last_page=witness.last_page,
            code=engine.code,
            reason=reason or (completion(engine.code) if engine.code is not None else ""),
            bit_rate=agreed.bit_rate,
            modem=agreed.modem,
            coding=statistics.coding if witness.trained else "",
            ecm=agreed.ecm,
            retries=statistics.retries,
            bad_rows=statistics.bad_rows,
            remote_ident=engine.remote_ident(),
            seconds=round(self.seconds(), 2),
            page_seconds=tuple(witness.page_seconds),
            media_lost=self.leg.lost,
            t38=self.media.t38,
            fine=witness.fine,
            heard=self.leg.heard,
            subaddress=engine.subaddress(),
        )
        self._note_counters()
        self.leg.close()

    def _note_counters(self) -> None:
        self._journal.note("-", "media", f"{self.seconds():.1f} s: {self.leg.counters()}")
