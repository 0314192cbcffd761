"""Why a call ended: one pure decision for each direction, and what a trunk's refusal means.

The order of the rules: confirmations count before anything else; then our own deeds (cancelled, a fault); then
whether a fax machine was there at all; then what T.30 says; and only then that the far end hung up, for many machines
hang up where the standard would have them say DCN.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from transport.seam import Cause


class Hangup(Enum):
    """What ended the media of a call."""

    DONE = "done"  # T.30 came to its end
    FAR = "far"
    CANCELLED = "cancelled"
    NO_CONTACT = "no_contact"  # no fax machine within the time that T.30 gives
    DEAF = "deaf"  # no packet came any more
    DEADLINE = "deadline"
    TOO_LONG = "too_long"  # a received page without end
    DOCUMENT = "document"  # the document cannot be sent
    FAULT = "fault"  # of ours: disk, library
    LOST_WORKER = "lost_worker"


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known at a call's end.

    ``pages``: of the document; ``None`` when receiving, where ``last_page`` says whether the page confirmed last was
    the last. ``contact``: phase B was reached; ``trained``: a training succeeded, so that pages could follow. ``code``:
    libspandsp's, ``None`` if T.30 did not end.
    """

    hangup: Hangup
    pages: int | None
    confirmed: int
    contact: bool
    trained: bool
    code: int | None
    last_page: bool = False


#: libspandsp 0.0.6's completion codes, when sending.
_SENDING: dict[int | None, Cause] = {
    **dict.fromkeys((1, 2, 3), Cause.NOT_FAX),
    **dict.fromkeys((6, 14, 20), Cause.TRAINING),
    **dict.fromkeys((8, 9, 10, 17, 19, *range(50, 62)), Cause.REJECTED),
    **dict.fromkeys((11, 12), Cause.DOCUMENT),
    **dict.fromkeys((13, 15, 16, 18, 22, 48), Cause.PAGE_FAILED),
    **dict.fromkeys(range(41, 48), Cause.DOCUMENT),
}
#: And when receiving; the files are ours then.
_RECEIVING: dict[int | None, Cause] = {
    **dict.fromkeys((1, 2), Cause.NOT_FAX),
    **dict.fromkeys((6, 14), Cause.TRAINING),
    **dict.fromkeys((8, 9, 10), Cause.REJECTED),
    **dict.fromkeys((13, 23, 24, 25, 27, 28, 40, 48), Cause.PAGE_FAILED),
    **dict.fromkeys(range(41, 48), Cause.LOCAL),
}
_OURS = {
    Hangup.CANCELLED: Cause.CANCELLED,
    Hangup.FAULT: Cause.LOCAL,
    Hangup.LOST_WORKER: Cause.LOCAL,
    Hangup.DOCUMENT: Cause.DOCUMENT,
    Hangup.TOO_LONG: Cause.PAGE_FAILED,
}


def cause_of(ending: Ending) -> Cause:
    """Return the cause of an answered call's end.

    >>> cause_of(Ending(Hangup.FAR, pages=2, confirmed=2, contact=True, trained=True, code=None))
    <Cause.CONFIRMED: 'confirmed'>
    >>> cause_of(Ending(Hangup.FAR, pages=2, confirmed=1, contact=True, trained=True, code=49))
    <Cause.LOST_CALL: 'lost_call'>
    """
    sending = ending.pages is not None
    if (ending.confirmed >= ending.pages > 0) if ending.pages is not None else (ending.confirmed and ending.last_page):
        return Cause.CONFIRMED
    if ending.hangup in _OURS:
        return _OURS[ending.hangup]
    if not ending.contact and ending.code not in _CODES_WITHOUT_CONTACT:
        return Cause.NOT_FAX
    if (
        ending.code == 0
    ):  # content with itself, but not every page was confirmed: the document was not what it should be
        return Cause.DOCUMENT if sending else Cause.LOST_CALL
    cause = (_SENDING if sending else _RECEIVING).get(ending.code, Cause.LOST_CALL)
    if cause is Cause.TRAINING and ending.trained:  # it fell from speed to speed because no page was taken
        return Cause.PAGE_FAILED
    return cause


#: T.30 can end so before phase B, and knows better than the watchdog why.
_CODES_WITHOUT_CONTACT = frozenset({8, 9, 10, 17, *range(41, 48)})

_REFUSALS = {
    **dict.fromkeys((486, 600), Cause.BUSY),
    **dict.fromkeys((404, 410, 484, 604), Cause.BAD_NUMBER),
    **dict.fromkeys((408, 480, 487), Cause.NO_ANSWER),
    **dict.fromkeys((401, 402, 407), Cause.TRUNK_DOWN),  # our account: password, credit
}
_TRUNK_FAULTS = range(500, 600)


def cause_of_refusal(sip_code: int | None) -> Cause:
    """Return what a final response before the answer means (RFC 3261 21); ``None``: no trunk took the call.

    >>> cause_of_refusal(486)
    <Cause.BUSY: 'busy'>
    """
    if sip_code is None or sip_code in _TRUNK_FAULTS:
        return Cause.TRUNK_DOWN
    return _REFUSALS.get(sip_code, Cause.REJECTED)
