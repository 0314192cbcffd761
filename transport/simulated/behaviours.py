"""What can answer in the simulated network: a closed list of behaviours, each a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from transport.seam import Cause
from transport.t30 import Modem, Resolution


class Party(Enum):
    """Who is at the far end once it answered."""

    FAX = "fax"
    VOICE = "voice"
    SILENCE = "silence"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One kind of far end.

    ``summary`` and ``cause`` are what the documentation says of it; ``cause`` is that of the first call. ``refusal``:
    a SIP code instead of an answer. ``ring_seconds`` before either. ``loss``: share of packets lost, each way.
    ``noise``: root mean square of the noise on an audio line, in 16-bit steps. ``fastest``: trainings at a higher
    speed than this (bit/s) fail; 0 is all of them. ``broken_pages``: no page is received well. ``drop_after``: it
    hangs up in the page that follows this one. ``first``: the behaviour that a caller's first call to a number meets
    instead.
    """

    summary: str
    cause: Cause
    party: Party = Party.FAX
    refusal: tuple[int, str] | None = None
    ring_seconds: float = 2.0
    t38: bool = True
    ecm: bool = True
    modems: Modem = Modem.ALL
    resolutions: Resolution = Resolution.ALL
    loss: float = 0.0
    noise: float = 0.0
    fastest: int | None = None
    broken_pages: bool = False
    drop_after: int | None = None
    confirms_last_page: bool = True
    first: str | None = None


_OK = Cause.CONFIRMED
_STANDARD_ONLY = Resolution.STANDARD | Resolution.R8

#: The behaviours by name: what ``lines.simulated.behaviours`` in the settings may say.
BEHAVIOURS: dict[str, Behaviour] = {
    "fax": Behaviour("a good fax machine on T.38 (in audio where the call does not allow T.38)", _OK),
    "audio": Behaviour("a good fax machine that has no T.38: the call stays in G.711 audio", _OK, t38=False),
    "no_ecm": Behaviour("a machine without error correction", _OK, ecm=False),
    "v29": Behaviour("a machine with V.29 at most: 9600 bit/s", _OK, modems=Modem.V29 | Modem.V27TER),
    "v27ter": Behaviour("a slow machine: V.27ter, 4800 bit/s", _OK, modems=Modem.V27TER),
    "2400": Behaviour("a bad line: only V.27ter at 2400 bit/s gets through", _OK, modems=Modem.V27TER, fastest=2400),
    "standard": Behaviour(
        "a machine with standard resolution only: the second call brings it such pages",
        Cause.DOCUMENT,
        resolutions=_STANDARD_ONLY,
    ),
    "noisy": Behaviour(
        "a V.29 machine behind a noisy audio line: slower, but it works",
        _OK,
        t38=False,
        modems=Modem.V29 | Modem.V27TER,
        noise=300.0,
    ),
    "loss1": Behaviour("T.38 over a network that loses 1 % of the packets", _OK, loss=0.01),
    "loss5": Behaviour("T.38 over a network that loses 5 % of the packets", _OK, loss=0.05),
    "busy": Behaviour("busy", Cause.BUSY, refusal=(486, "Busy Here")),
    "no_answer": Behaviour(
        "rings, nobody answers", Cause.NO_ANSWER, refusal=(480, "Temporarily Unavailable"), ring_seconds=30.0
    ),
    "bad_number": Behaviour(
        "a number that does not exist", Cause.BAD_NUMBER, refusal=(404, "Not Found"), ring_seconds=0.0
    ),
    "rejected": Behaviour("the call is declined", Cause.REJECTED, refusal=(603, "Decline")),
    "trunk_down": Behaviour(
        "the trunk cannot take the call", Cause.TRUNK_DOWN, refusal=(503, "Service Unavailable"), ring_seconds=0.0
    ),
    "voice": Behaviour("a person answers, says hello and hangs up", Cause.NOT_FAX, Party.VOICE, t38=False),
    "silence": Behaviour("somebody answers and says nothing", Cause.NOT_FAX, Party.SILENCE, t38=False),
    "noise": Behaviour("steady noise, without end", Cause.NOT_FAX, Party.NOISE, t38=False),
    "drop": Behaviour("hangs up in the first page", Cause.LOST_CALL, drop_after=0),
    "drop1": Behaviour("confirms page 1, hangs up in page 2", Cause.LOST_CALL, drop_after=1),
    "drop2": Behaviour("confirms pages 1 and 2, hangs up in page 3", Cause.LOST_CALL, drop_after=2),
    "unconfirmed": Behaviour(
        "takes the whole document, never confirms the last page, hangs up: nobody knows whether it arrived",
        Cause.LOST_CALL,
        confirms_last_page=False,
    ),
    "no_training": Behaviour("no speed works: every training fails", Cause.TRAINING, fastest=0),
    "broken_pages": Behaviour(
        "every page arrives broken and is refused", Cause.PAGE_FAILED, ecm=False, broken_pages=True
    ),
    "busy_once": Behaviour("busy at a caller's first call, then a good machine", Cause.BUSY, first="busy"),
    "drop_once": Behaviour(
        "hangs up in the first page of a caller's first call, then a good machine", Cause.LOST_CALL, first="drop"
    ),
}
