"""The ladder: how a call is tried, from the fastest way to the surest, one rung lower after each call that failed.

A rung says whether T.38 is offered, at which speed at most, and whether errors are corrected (ITU-T T.30 annex A).
What worked for a destination is remembered and tried first. Pure decisions; the policy's overrides of a destination
hold on every rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transport.seam import Cause, T38Mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to make a call; ``max_rate`` in bit/s."""

    t38: bool
    max_rate: int = 14400
    ecm: bool = True


#: The rungs by the names that policy files give them.
RUNGS = {
    "t38": Rung(t38=True),
    "t38-9600": Rung(t38=True, max_rate=9600),
    "g711": Rung(t38=False),
    "g711-9600-no-ecm": Rung(t38=False, max_rate=9600, ecm=False),
}
#: After these another way may do better; a busy number or a dead trunk says nothing of the way.
ADVANCING = frozenset({Cause.NOT_FAX, Cause.TRAINING, Cause.PAGE_FAILED, Cause.LOST_CALL, Cause.REJECTED})


def pick(settings: Mapping[str, Any], remembered: str | None, tried: Sequence[str]) -> str:
    """Return the rung of the next call: the remembered one, then the others in their order, then the last again.

    >>> pick({}, None, []), pick({}, "g711", []), pick({}, "g711", ["g711"])
    ('t38', 'g711', 't38')
    >>> pick({"t38": "never"}, None, ["g711"])
    'g711-9600-no-ecm'
    """
    ladder = [str(name) for name in settings.get("retries", {}).get("ladder", RUNGS) if name in RUNGS]
    allowed = [name for name in ladder if not RUNGS[name].t38 or settings.get("t38") != T38Mode.NEVER.value]
    order = allowed or ["g711"]
    if remembered in order:
        order = [str(remembered), *(name for name in order if name != remembered)]
    return next((name for name in order if name not in tried), order[-1])


def request(settings: Mapping[str, Any], rung: str) -> dict[str, Any]:
    """Return what a rung and the destination's overrides mean for a call, as fields of :class:`CallRequest`."""
    step = RUNGS[rung]
    return {
        "t38": T38Mode(settings.get("t38", "auto")) if step.t38 else T38Mode.NEVER,
        "max_rate": min(settings.get("max_rate", 14400), step.max_rate),
        "ecm": settings.get("ecm", True) and step.ecm,
    }
