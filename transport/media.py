"""One call's media and T.30, sans-I/O.

What is heard goes in with each tick, what is said comes out, evidence goes to the journal. Time is counted in ticks
of 20 ms, so the watchdogs measure call time, whatever the clock on the wall says. Nothing that a tick produced is
handed out if the journal could not be synced in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transport.causes import Hangup
from transport.legs import TICK, AudioLeg, T38Leg
from transport.order import Order, Outcome
from transport.spandsp import Machine, completion
from transport.t30 import Agreed, modems_up_to
from transport.tiff import NotFax
from transport.witness import ReceivingWitness, SendingWitness, TooLong

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transport.journal import Journal
    from transport.legs import Leg
    from transport.seam import CallEvent

#: Seconds of call time. T.30's own timers end most calls earlier; these are for those that it never ends.
NO_CONTACT = 60.0
DEAF = 15.0
AFTER_LAST_PAGE = 10.0
LINGER_SENDING = 0.5  # until DCN and its repeats have left
LINGER_RECEIVING = 2.0  # the caller hangs up first
_CHECK = 25  # ticks


class Call:
    """The media of one call."""

    def __init__(self, order: Order, file: Path, journal: Journal, report: Callable[[CallEvent], None]) -> None:
        """``file``: the document to send, or where libspandsp shall store what it receives."""
        self.order = order
        self.outcome: Outcome | None = None
        self._ticks = 0
        self._heard_at = 0.0
        self._ended_at: float | None = None
        self._witness = (
            SendingWitness(order, journal, report, self.seconds)
            if order.sending
            else ReceivingWitness(order, journal, report, self.seconds, file)
        )
        machine = Machine(
            calling=order.sending,
            ident=order.ident,
            document=str(file) if order.sending else None,
            store=None if order.sending else str(file),
            ecm=order.ecm,
            modems=modems_up_to(order.max_rate),
        )
        self._leg: Leg = (T38Leg if order.media.t38 else AudioLeg)(machine, self._witness)
        self._witness.engine = self._leg.engine

    def seconds(self) -> float:
        """Return the call time."""
        return self._ticks * TICK

    def tick(self, heard: list[bytes]) -> list[bytes]:
        """Let 20 ms pass; return what leaves. Sets :attr:`outcome` when the call is over, and then nothing leaves."""
        self._ticks += 1
        if heard:
            self._heard_at = self.seconds()
        try:
            said = self._leg.tick(heard)
            if self._ticks % _CHECK == 0:
                self._witness.check()
        except TooLong as fault:
            self._finish(Hangup.TOO_LONG, str(fault))
        except (OSError, ValueError, NotFax) as fault:  # the disk, or a page that is not stored as it must be
            self._finish(Hangup.FAULT, f"{type(fault).__name__}: {fault}"[:200])
        else:
            over = self._over()
            if over is None:
                return said
            self._finish(over)
        return []

    def hang_up(self, why: Hangup) -> None:
        """End the call at once, for a reason from outside."""
        if self.outcome is None:
            if why is Hangup.FAR and self._leg.engine.code is None:
                self._leg.engine.terminate()  # libspandsp says whether that was too early
            self._finish(why)

    def _over(self) -> Hangup | None:
        """Return why the call is over by now, ``None`` if it goes on."""
        now, witness, receiving = self.seconds(), self._witness, not self.order.sending
        if self._leg.engine.code is not None:
            self._ended_at = now if self._ended_at is None else self._ended_at
            linger = LINGER_RECEIVING if receiving else LINGER_SENDING
            return Hangup.DONE if now - self._ended_at >= linger else None
        if now >= self.order.seconds:
            return Hangup.DEADLINE
        if not witness.contacted and now >= NO_CONTACT:
            return Hangup.NO_CONTACT
        # A sender hears nothing while its page runs, minutes at 2400 bit/s: only its first contact is watched.
        if self.order.media.t38 and (receiving or not witness.contacted) and now - self._heard_at >= DEAF:
            return Hangup.DEAF
        if receiving and witness.last_page and now - witness.page_at >= AFTER_LAST_PAGE:
            return Hangup.DONE
        return None

    def _finish(self, hangup: Hangup, reason: str = "") -> None:
        witness, engine = self._witness, self._leg.engine
        statistics = witness.statistics or engine.statistics()
        agreed = witness.agreed or Agreed("", 0, ecm=False)
        self.outcome = Outcome(
            hangup=hangup,
            confirmed=witness.confirmed,
            contact=witness.contacted,
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
            media_lost=self._leg.lost,
            t38=self.order.media.t38,
        )
        self._leg.close()
