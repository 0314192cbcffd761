"""What a test call tells: an event that did not happen, of numbers that nobody has."""

from __future__ import annotations

from typing import Final

from relay.callbacks.event import ENDS, MAILS, Attempt, Event, Fax, Mail, Name, Submission, Totals
from transport.seam import Cause

#: Reserved for use in stories (North American Numbering Plan, 555-0100 to 555-0199).
OURS: Final = "+12025550100"
THEIRS: Final = "+12025550101"

_INBOUND: Final = frozenset({Name.RECEIVED, *MAILS})
#: The states that are not called as the event is.
_STATES: Final = {
    Name.ATTEMPT_FAILED: "queued",
    Name.RELEASED: "queued",
    Name.REFUSED: "failed",
    Name.COMPLETED: "sent",
}
_CALL: Final = 30.0
_TESTS: Final = "a test call; no fax was sent or received"


def sample(name: Name, event_id: str, now: float) -> Event:
    """Return a test event, at ``now`` (seconds since 1970). It bears ``event_id`` in place of every id there is."""
    inbound = name in _INBOUND
    return Event(
        id=event_id,
        name=name,
        at=now,
        sequence=1,
        test=True,
        reason=_TESTS,
        fax=_received(event_id, now) if inbound else _sent(name, event_id, now),
        submission=None if inbound else _submission(name, event_id, now),
        mail=Mail("test@example.com", _TESTS) if name in MAILS else None,
    )


def _received(event_id: str, now: float) -> Fax:
    return Fax(
        id=event_id, direction="inbound", state="received", reason=_TESTS, number=OURS, peer=THEIRS, caller_id=THEIRS,
        remote_ident="TEST", document_id=event_id, pages=1, pages_confirmed=1, talk_seconds=_CALL,
        created_at=now - _CALL, ended_at=now, simulated=True,
    )  # fmt: skip


def _sent(name: Name, event_id: str, now: float) -> Fax:
    sent = name in {Name.SENT, Name.COMPLETED}
    call = Attempt(
        number=1, started_at=now - _CALL, ended_at=now, cause=Cause.CONFIRMED.value if sent else Cause.BUSY.value,
        pages_confirmed=int(sent), talk_seconds=_CALL if sent else None,
    )  # fmt: skip
    called = sent or name in {Name.FAILED, Name.ATTEMPT_FAILED}
    return Fax(
        id=event_id, direction="outbound", state=_STATES.get(name, name.value.removeprefix("fax.")), reason=_TESTS,
        number=OURS, peer=THEIRS, peer_written=THEIRS, caller_id=OURS, ident="TEST",
        remote_ident="TEST" if sent else "", document_id=event_id, pages=1, pages_confirmed=int(sent),
        attempts=(call,) if called else (), talk_seconds=call.talk_seconds, created_at=now - _CALL,
        ended_at=now if name in ENDS or name is Name.COMPLETED else None, simulated=True,
    )  # fmt: skip


def _submission(name: Name, event_id: str, now: float) -> Submission:
    sent, failed = name in {Name.SENT, Name.COMPLETED}, name in {Name.FAILED, Name.REFUSED}
    totals = Totals(
        recipients=1, called=int(sent or name in {Name.FAILED, Name.ATTEMPT_FAILED}), sent=int(sent),
        failed=int(failed), uncertain=int(name is Name.UNCERTAIN), cancelled=int(name is Name.CANCELLED),
    )  # fmt: skip
    return Submission(
        id=event_id, source="command", totals=totals, created_at=now - _CALL, sender="test@example.com", subject="Test"
    )
