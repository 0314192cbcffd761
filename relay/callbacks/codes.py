"""Why a fax ended, as a figure: for dialects that know codes. 0 is success; the figures never change their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.callbacks.event import Name
from relay.outcome import WORDS
from transport.seam import Cause

if TYPE_CHECKING:
    from relay.callbacks.event import Attempt, Event

#: How it ended.
RESULTS: Final = {Name.SENT: 0, Name.RECEIVED: 0, Name.FAILED: 1, Name.UNCERTAIN: 2, Name.CANCELLED: 3, Name.REFUSED: 4}
#: Why: the cause of the call that ended it.
CAUSES: Final = {
    Cause.CONFIRMED: 0,
    Cause.BUSY: 11,
    Cause.NO_ANSWER: 12,
    Cause.BAD_NUMBER: 13,
    Cause.REJECTED: 14,
    Cause.NOT_FAX: 15,
    Cause.TRAINING: 16,
    Cause.PAGE_FAILED: 17,
    Cause.DOCUMENT: 18,
    Cause.LOST_CALL: 19,
    Cause.TRUNK_DOWN: 20,
    Cause.CANCELLED: 21,
    Cause.LOCAL: 22,
}
#: Why, where no call says it: it ended without one, it was cancelled, nobody released it, its end is not known.
WITHOUT_A_CALL: Final = 30
CANCELLED: Final = 31
REFUSED: Final = 32
UNCONFIRMED: Final = 33

_OK: Final = "OK"
_SHORT: Final = {
    Name.UNCERTAIN: "the last page was not confirmed",
    Name.CANCELLED: "the fax was cancelled",
    Name.REFUSED: "the fax was not released",
}


def error(event: Event) -> int:
    """Return why a fax ended, or why its call failed; 0 for one that was confirmed."""
    match event.name:
        case Name.SENT | Name.RECEIVED:
            return 0
        case Name.UNCERTAIN:
            return UNCONFIRMED
        case Name.CANCELLED:
            return CANCELLED
        case Name.REFUSED:
            return REFUSED
    last = deciding(event)
    return CAUSES[Cause(last.cause)] if last is not None else WITHOUT_A_CALL


def words(event: Event) -> tuple[str, str]:
    """Return why a fax ended in a few words and as a sentence; ``OK`` twice for one that was confirmed."""
    if error(event) == 0:
        return _OK, _OK
    last = deciding(event)
    short = _SHORT.get(event.name) or (WORDS[Cause(last.cause)] if last is not None else "it ended without a call")
    return short, event.reason or short


def deciding(event: Event) -> Attempt | None:
    """Return the call whose end the event tells of, or which ended the fax; ``None`` where it was no call's end.

    What a call's end decides is committed with it, so both bear the same time.
    """
    fax = event.fax
    if fax is None or not fax.attempts or not fax.attempts[-1].cause:
        return None
    moment = fax.ended_at if fax.ended_at is not None else event.at
    return fax.attempts[-1] if fax.attempts[-1].ended_at == moment else None
