"""The far ends of the simulated network: fax machines with their faults, and those that are none.

A far end gets one tick's media and returns one tick's, or ``None`` when it hangs up. Its fax machines are the same
engines that the relay's workers use; what makes them faulty is around them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from transport.legs import TICK, AudioLeg, T38Leg
from transport.simulated import impairments
from transport.simulated.behaviours import Behaviour, Party
from transport.spandsp import SILENCE, Law, Machine
from transport.t30 import LAST_PAGE, Agreed, Frame, agreed_in, command_of, frame_of
from transport.tiff import received_page

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from transport.legs import Leg

#: Seconds after its confirmation (or the start of training's end) at which a far end that drops is in the next page:
#: the frame takes 1.2 s at 300 bit/s, and the shortest page more than what is left.
_INTO_THE_PAGE = 1.6
#: How long one that confirms nothing stays silent before it hangs up.
_SULK = 2.0
_PATIENCE = 25.0  # of a person who hears a modem


class FarEnd(Protocol):
    """Whoever answered."""

    def tick(self, heard: list[bytes]) -> list[bytes] | None:
        """Exchange 20 ms of media; ``None``: it hangs up."""

    def close(self) -> None:
        """Give back what it holds: the call is over."""


class Stranger:
    """A person, silence, or noise: no fax machine, on an audio line."""

    def __init__(self, party: Party, seed: int) -> None:
        self._law = Law()
        self._party = party
        self._ticks = 0
        self._speech = impairments.speech(seed) if party is Party.VOICE else []
        self._noise = impairments.Noise(impairments.LOUD, seed) if party is Party.NOISE else None

    def tick(self, heard: list[bytes]) -> list[bytes] | None:  # noqa: ARG002  it does not listen
        """Say the next 20 ms."""
        self._ticks += 1
        if self._party is Party.VOICE and self._ticks * TICK > _PATIENCE:
            return None
        return [self._law.encode(self._block())]

    def close(self) -> None:
        """Give back nothing."""

    def _block(self) -> bytes:
        if self._speech:
            return self._speech[self._ticks % len(self._speech)]
        return self._noise.block() if self._noise is not None else SILENCE


class FaxMachine:
    """A fax machine that answers, stores what it receives in ``file``, and misbehaves as told.

    ``note(event, **facts)`` is called for what it saw, before its answer leaves.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        file: Path,
        note: Callable[..., None],
        rng: random.Random,
        *,
        t38: bool,
        ident: str,
    ) -> None:
        self._behaviour = behaviour
        self._file = file
        self._note = note
        self._t38 = t38
        self._ticks = 0
        self._pages = 0
        self._command: Frame | None = None
        self._agreed: Agreed | None = None
        self._image_expected = False
        self._training = False
        self._mute = False
        self._hang_up_at: float | None = None
        self._noise = impairments.Noise(behaviour.noise, rng.randrange(1000)) if behaviour.noise else None
        self._loud = impairments.Noise(impairments.LOUD, rng.randrange(1000))
        self._lossy = impairments.lossy(behaviour.loss if t38 else 0.0, rng)
        machine = Machine(
            calling=False,
            ident=ident,
            store=str(file),
            ecm=behaviour.ecm,
            modems=behaviour.modems,
            resolutions=behaviour.resolutions,
        )
        self._leg: Leg = T38Leg(machine, self, self._tamper) if t38 else AudioLeg(machine, self, self._tamper)

    def tick(self, heard: list[bytes]) -> list[bytes] | None:
        """Exchange 20 ms of media."""
        self._ticks += 1
        said = self._leg.tick(self._lossy(heard))
        if self._hang_up_at is not None and self._ticks * TICK >= self._hang_up_at:
            return None
        if self._mute:
            return [] if self._t38 else [b"\xd5" * len(block) for block in said]  # A-law's silence
        return self._lossy(said)

    def close(self) -> None:
        """Free the machine."""
        self._leg.close()

    def contact(self) -> None:
        """Phase B is of no interest here."""

    def frame(self, message: bytes, *, sent: bool) -> None:
        """Follow the call, to know when to misbehave."""
        frame = frame_of(message)
        if not sent:
            self._command = command_of(message)
            self._agreed = agreed_in(message) or self._agreed
            self._training = frame is Frame.DCS or self._training
            self._image_expected = False
        elif frame in (Frame.CFR, Frame.FTT):
            self._training = False
            self._image_expected = frame is Frame.CFR
            if frame is Frame.CFR and self._behaviour.drop_after == 0:
                self._hang_up_in(_INTO_THE_PAGE)
        elif frame is Frame.MCF and not self._mute:
            self._note("confirming", page=self._pages, last=self._command in LAST_PAGE)
            self._image_expected = True

    def page(self) -> None:
        """Count and keep a page that came well, before its confirmation leaves."""
        count = self._leg.engine.statistics().pages_received
        if count <= self._pages:
            return
        self._pages = count
        page = received_page(self._file.read_bytes(), count)
        last = self._command in LAST_PAGE
        digest = hashlib.sha256(page.strip).hexdigest()
        self._note("page", page=count, width=page.width, height=page.height, sha256=digest, last=last)
        if last and not self._behaviour.confirms_last_page:
            self._mute = True
            self._hang_up_in(_SULK)
        elif count == self._behaviour.drop_after:
            self._hang_up_in(_INTO_THE_PAGE)

    def _hang_up_in(self, seconds: float) -> None:
        self._hang_up_at = self._ticks * TICK + seconds

    def _tamper(self, media: bytes) -> bytes:
        """Break what this far end shall not understand: an IFP packet in T.38, a block of samples in audio."""
        fastest = self._behaviour.fastest
        too_fast = (
            self._training and fastest is not None and self._agreed is not None and self._agreed.bit_rate > fastest
        )
        if too_fast or (self._image_expected and self._behaviour.broken_pages):
            return impairments.break_image(media) if self._t38 else self._loud.add(media)
        return self._noise.add(media) if self._noise is not None and not self._t38 else media
