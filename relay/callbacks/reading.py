"""An event of a fax, read from its rows in one snapshot and made by a pure function.

The router reads each event once, when it writes what is owed for it, and keeps it with
:func:`relay.callbacks.event.encode`: what is told must not change between two attempts to tell it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from relay.callbacks.event import ENDS, MAILS, Attempt, Decision, Event, Fax, Mail, Name, Submission, Totals
from relay.errors import NotFound
from relay.fax import Direction, Outbound
from relay.mailer import record as records
from relay.outcome import WORDS, RetryRule
from relay.store import faxes, tables
from transport.seam import Cause

if TYPE_CHECKING:
    from relay.mailer.record import Record

#: Keys of the detail of a row of the kinds ``mail.…``: whom the mail went to, what that one's server answered.
RECIPIENT: Final = "recipient"
ANSWER: Final = "answer"
#: Key of a submission's settings: what its sender's program calls it.
REFERENCE: Final = "reference"

_NAMES: Final = {one.value: one for one in Name}

_DOCUMENT: Final = sa.select(tables.document).where(tables.document.c.id == sa.bindparam("one"))
_ATTEMPTS: Final = (
    sa.select(tables.attempt)
    .where(tables.attempt.c.fax_id == sa.bindparam("of_fax"))
    .order_by(tables.attempt.c.ordinal)
)
_of_it = tables.fax.c.submission_id == sa.bindparam("of_submission")
_called = sa.func.sum(sa.case((tables.fax.c.attempts > 0, 1), else_=0))
_STATES: Final = sa.select(tables.fax.c.state, sa.func.count(), _called).where(_of_it).group_by(tables.fax.c.state)
_STEP: Final = sa.select(sa.func.count()).select_from(tables.fax).where(_of_it, tables.fax.c.id <= sa.bindparam("one"))


@dataclass(frozen=True, slots=True)
class Recipients:
    """The faxes of a submission: how many there are in each state, how many were called, which one this is (from 1)."""

    states: dict[str, int]
    called: int
    step: int


@dataclass(frozen=True, slots=True)
class Rows:
    """An event's row, all of its fax, and the other recipients; those are ``None`` for a fax that we received."""

    event: sa.Row[Any]
    record: Record
    recipients: Recipients | None


def read(connection: sa.Connection, event_id: int) -> Rows:
    """Return the rows of an event; raises :class:`relay.errors.NotFound`."""
    row = connection.execute(sa.select(tables.event).where(tables.event.c.id == event_id)).first()
    if row is None:
        raise NotFound(f"there is no event {event_id}")
    record = records.read(connection, row.fax_id)
    return Rows(row, record, _recipients(connection, record.fax))


def around(connection: sa.Connection, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> Rows:
    """Return the rows of an event of which some are at hand: the router has them, and routes many."""
    document = None
    if fax.document_id is not None:
        document = connection.execute(_DOCUMENT, {"one": fax.document_id}).first()
    attempts: tuple[sa.Row[Any], ...] = ()
    if fax.attempts:
        attempts = tuple(connection.execute(_ATTEMPTS, {"of_fax": fax.id}))
    events = tuple(faxes.history(connection, fax.id)) if event.seq > 1 else (event,)
    record = records.Record(fax, submission, document, attempts, events)
    return Rows(event, record, _recipients(connection, fax))


def told(rows: Rows, download_url: str = "") -> Event | None:
    """Return what a callback may tell of an event, ``None`` where nobody outside is told of it.

    ``download_url``: where whoever may can fetch the fax.
    """
    row, record = rows.event, rows.record
    name = _NAMES.get(row.kind)
    if name is None:
        return None
    detail = row.detail or {}
    return Event(
        id=str(row.id),
        name=name,
        at=row.at,
        sequence=row.seq,
        reason=row.reason,
        fax=_fax(rows, name),
        submission=_submission(record, rows.recipients),
        decision=_decision(detail, row.reason) if "hold" in detail else None,
        mail=Mail(detail.get(RECIPIENT, ""), detail.get(ANSWER, "")) if name in MAILS else None,
        download_url=download_url,
    )


def _recipients(connection: sa.Connection, fax: sa.Row[Any]) -> Recipients | None:
    if fax.submission_id is None:
        return None
    found = list(connection.execute(_STATES, {"of_submission": fax.submission_id}))
    step = connection.execute(_STEP, {"of_submission": fax.submission_id, "one": fax.id}).scalar_one()
    return Recipients({state: count for state, count, _ in found}, sum(int(one) for *_, one in found), step)


def _fax(rows: Rows, name: Name) -> Fax:
    row, fax, document = rows.event, rows.record.fax, rows.record.document
    settings = fax.settings
    outbound = fax.direction == Direction.OUTBOUND.value
    rule = RetryRule.of_settings(settings) if "retries" in settings else None
    attempts = tuple(_attempt(one, row.at) for one in rows.record.attempts if one.started_at <= row.at)
    received = {} if outbound else _received(rows.record)
    ended = name in ENDS or name is Name.RECEIVED
    return Fax(
        id=str(fax.id),
        direction=fax.direction,
        state=row.after or fax.state,
        reason=row.reason if row.after else fax.reason,
        number=fax.number,
        peer=fax.peer,
        peer_written=fax.peer_written,
        caller_id=(settings.get("caller_id") or fax.number) if outbound else fax.peer,
        ident=(settings.get("ident") or fax.number) if outbound else "",
        remote_ident=fax.remote_ident,
        subaddress=received.get("subaddress", ""),
        header=(settings.get("header") or fax.number) if outbound else "",
        document_id=str(fax.document_id) if fax.document_id is not None else "",
        pages=fax.pages if fax.pages is not None else (document.pages if document is not None else None),
        pages_confirmed=fax.pages_confirmed,
        attempts=attempts,
        talk_seconds=attempts[-1].talk_seconds if attempts else received.get("talk_seconds"),
        resolution=settings.get("resolution", "") if outbound else "",
        paper=settings.get("paper", "") if outbound else "",
        priority=fax.priority if outbound else None,
        retries=rule.retries if rule is not None else None,
        retry_seconds=rule.delay.total_seconds() if rule is not None else None,
        scheduled_at=settings.get("earliest"),
        billing=settings.get("billing", ""),
        resend_of=str(fax.resend_of) if fax.resend_of is not None else "",
        step=rows.recipients.step if rows.recipients is not None else 1,
        created_at=fax.created_at,
        ended_at=row.at if ended else _end(rows.record, row.at),
        simulated=_simulated(rows.record, received),
    )


def _end(record: Record, at: float) -> float | None:
    """Return when a fax had ended that something else is told of: its submission, its mail."""
    kinds = {name.value for name in ENDS} | {Name.RECEIVED.value}
    return next((one.at for one in record.events if one.kind in kinds and one.at <= at), None)


def _received(record: Record) -> dict[str, Any]:
    """Return how the call of a received fax ended, as :class:`transport.seam.CallResult` names its fields."""
    results = [one.detail["result"] for one in record.events if one.detail and "result" in one.detail]
    return dict(results[-1]) if results else {}


def _simulated(record: Record, received: dict[str, Any]) -> bool:
    calls = [received, *(one.result or {} for one in record.attempts)]
    return any(one.get("simulated", False) for one in calls)


def _attempt(row: sa.Row[Any], at: float) -> Attempt:
    """Return a call as it stood at a time."""
    if row.ended_at is None or row.ended_at > at:
        return Attempt(number=row.ordinal, started_at=row.started_at, trunk=row.trunk)
    result = row.result or {}
    agreed = bool(result.get("bit_rate"))
    return Attempt(
        number=row.ordinal,
        started_at=row.started_at,
        ended_at=row.ended_at,
        trunk=row.trunk,
        cause=row.cause or "",
        why=WORDS[Cause(row.cause)] if row.cause else "",
        pages_confirmed=row.pages_confirmed,
        sip_code=result.get("sip_code"),
        sip_reason=result.get("sip_reason", ""),
        t30_code=result.get("t30_code"),
        t30_reason=result.get("t30_reason", ""),
        ring_seconds=result.get("ring_seconds"),
        talk_seconds=result.get("talk_seconds"),
        bit_rate=result["bit_rate"] if agreed else None,
        ecm=result.get("ecm") if agreed else None,
        call=result.get("call", ""),
        next=row.next,
    )


def _submission(record: Record, recipients: Recipients | None) -> Submission | None:
    row = record.submission
    if row is None or recipients is None:
        return None
    states = Counter(recipients.states)
    return Submission(
        id=str(row.id),
        source=row.source,
        totals=Totals(
            recipients=sum(states.values()),
            called=recipients.called,
            sent=states[Outbound.SENT.value],
            failed=states[Outbound.FAILED.value],
            uncertain=states[Outbound.UNCERTAIN.value],
            cancelled=states[Outbound.CANCELLED.value],
        ),
        created_at=row.created_at,
        sender=row.sender or "",
        reply_to=(row.sender or "") if row.answerable else "",
        subject=row.subject,
        message_id=row.message_id or "",
        reference=row.settings.get(REFERENCE, ""),
    )


def _decision(detail: dict[str, Any], why: str) -> Decision:
    return Decision(
        kind=detail["hold"],
        why=why,
        verdict=detail.get("verdict", ""),
        by=detail.get("by") or "",
        until=detail.get("until"),
    )
