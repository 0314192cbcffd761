"""A delivery status notification's facts (RFC 3464), made of a fax's rows by a pure function.

Invariants: ``delivered`` is said of a fax whose last page the far machine confirmed, and of no other; every value is
one line of printable ASCII, for a machine reads it and text from outside must not write fields.

How a call's end is told as a status (RFC 3463). Class 4 beside ``failed`` says that a later mail may succeed, class 5
that the same mail will not:

* busy, nobody answered: 4.4.1, "either the remote system was busy, or was unable to take a call";
* cut, bad training, a page not received: 4.4.2, "inadequate connection quality";
* no trunk: 4.4.4; a fault of ours: 4.3.0; the number does not exist: 5.1.1; no fax machine: 5.1.2, "incapable of
  accepting mail"; rejected: 5.7.1; a document that cannot be faxed: 5.6.3 by a call, 5.6.1 before one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from relay.fax import Outbound
from relay.mailer import writing
from relay.mailer.multipart import DELIVERY, Machine
from relay.notification import ORIGINAL, Notify, Wishes
from relay.outcome import WORDS, RetryRule
from transport.seam import Cause

if TYPE_CHECKING:
    import sqlalchemy as sa

    from relay.mailer.multipart import Fields
    from relay.mailer.record import Record

_DIAGNOSTIC: Final = 400

STATUS: Final = {
    Cause.CONFIRMED: "2.0.0",
    Cause.BUSY: "4.4.1",
    Cause.NO_ANSWER: "4.4.1",
    Cause.BAD_NUMBER: "5.1.1",
    Cause.REJECTED: "5.7.1",
    Cause.NOT_FAX: "5.1.2",
    Cause.TRAINING: "4.4.2",
    Cause.PAGE_FAILED: "4.4.2",
    Cause.DOCUMENT: "5.6.3",
    Cause.LOST_CALL: "4.4.2",
    Cause.TRUNK_DOWN: "4.4.4",
    Cause.CANCELLED: "5.0.0",
    Cause.LOCAL: "4.3.0",
}
_DELIVERED: Final = "2.0.0"
#: Of class 5, though the call was cut like others: class 4 invites a program to send the mail again, and the fax may
#: have arrived. Only a person, who can ask, may do that.
_UNCERTAIN: Final = "5.4.2"
_REFUSED: Final = "5.7.1"
_NOT_FAXABLE: Final = "5.6.1"
_UNDEFINED: Final = "5.0.0"
_WAITING: Final = "4.4.5"  # RFC 3463: congestion; it waits for a line, an hour or a person


class Action(Enum):
    """What became of it, RFC 3464 section 2.3.3; nothing is ever ``relayed``: the far machine answers or not."""

    DELIVERED = "delivered"
    FAILED = "failed"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class Report:
    """One fax's report. Times are seconds since 1970; what is not known is empty or ``None``."""

    reporting: str
    envid: str
    received_from: str
    arrived: float
    original: str
    final: str
    action: Action
    status: str
    diagnostic: str
    last_attempt: float | None
    retry_until: float | None
    fax_id: str
    simulated: bool

    def groups(self) -> tuple[Fields, Fields]:
        """Return the fields of the message and those of its recipient, in the order of RFC 3464."""
        message = [
            ("Original-Envelope-Id", self.envid),
            ("Reporting-MTA", f"dns; {_ascii(self.reporting)}"),
            ("Received-From-MTA", f"dns; {self.received_from}" if self.received_from else ""),
            ("Arrival-Date", _date(self.arrived)),
        ]
        recipient = [
            ("Original-Recipient", self.original),
            ("Final-Recipient", self.final),
            ("Action", self.action.value),
            ("Status", self.status),
            ("Diagnostic-Code", self.diagnostic),
            ("Last-Attempt-Date", _date(self.last_attempt)),
            ("Final-Log-ID", self.fax_id),
            ("Will-Retry-Until", _date(self.retry_until)),
            ("X-Fax-Simulated", "yes" if self.simulated else ""),
        ]
        return _told(message), _told(recipient)


def machine(record: Record, hostname: str, now: float) -> Machine:
    """Return what machines read of a fax as it stands: the report, and the header of the mail that asked for it.

    The message itself is not kept, so RET=FULL is answered with its header too (RFC 3461 section 4.3 leaves it to us).
    """
    original = record.submission.settings.get(ORIGINAL, "") if record.submission is not None else ""
    return Machine(DELIVERY, report(record, hostname, now).groups(), original)


def wishes_of(fax: sa.Row[Any]) -> Wishes:
    """Return what is owed to a fax's sender by its mail.

    A fax that was sent again belongs to the person who did that: the mail's own report has gone out, and a mail has one
    disposition notification at most (RFC 8098 section 2.1). NEVER stays.
    """
    wishes = Wishes.of_settings(fax.settings)
    if fax.resend_of is None:
        return wishes
    return replace(wishes, notify=None if wishes.notify else wishes.notify, read_receipt="")


def occasion(state: Outbound) -> Notify:
    """Return what a sender has to wish for to hear of this state."""
    if state is Outbound.SENT:
        return Notify.SUCCESS
    if state in {Outbound.FAILED, Outbound.UNCERTAIN, Outbound.CANCELLED}:
        return Notify.FAILURE
    return Notify.DELAY


def report(record: Record, hostname: str, now: float) -> Report:
    """Return the report of a fax as it stands; ``now`` is when it is told."""
    fax, wishes = record.fax, wishes_of(record.fax)
    where = Outbound(fax.state)
    action = {Notify.SUCCESS: Action.DELIVERED, Notify.FAILURE: Action.FAILED, Notify.DELAY: Action.DELAYED}[
        occasion(where)
    ]
    last = record.attempts[-1] if record.attempts else None
    status = _status(record, where)
    return Report(
        reporting=hostname,
        envid=wishes.envid,
        received_from=wishes.heard_from,
        arrived=record.submission.created_at if record.submission is not None else fax.created_at,
        original=wishes.original,
        final=final_recipient(record),
        action=action,
        status=status,
        diagnostic=_diagnostic(record, where, status),
        last_attempt=(last.ended_at or last.started_at) if last is not None else None,
        retry_until=retries_until(record, now) if action is Action.DELAYED else None,
        fax_id=str(fax.id),
        simulated=any((one.result or {}).get("simulated", False) for one in record.attempts),
    )


def final_recipient(record: Record) -> str:
    """Return whom a fax was for, as a field of a report has it."""
    return f"rfc822;{_line(record.fax.peer_written)}"


def retries_until(record: Record, now: float) -> float:
    """Return when the last call that the number's rule allows can be due: an estimate that errs on the late side."""
    fax, rule = record.fax, RetryRule.of_settings(record.fax.settings)
    left = max(rule.retries + 1 - (fax.attempts - fax.free_attempts), 1)
    pause = max([rule.delay, *rule.delays.values()]).total_seconds() * 1.1  # outcome.decide() spreads by a tenth
    return float(max(now, fax.not_before) + (left - 1) * pause)


def last_cause(record: Record) -> Cause | None:
    """Return how the last call ended, ``None`` where none has."""
    ended = [one.cause for one in record.attempts if one.cause]
    return Cause(ended[-1]) if ended else None


def ended_by_call(record: Record) -> bool:
    """Whether a call's end failed the fax, and not a refusal or an administrator while it waited."""
    moves = [event for event in record.events if event.after == record.fax.state]
    called = bool(record.attempts) and record.attempts[-1].cause is not None
    return called and bool(moves) and moves[-1].before == Outbound.DIALING.value


def _status(record: Record, where: Outbound) -> str:
    cause = last_cause(record)
    match where:
        case Outbound.SENT:
            return _DELIVERED
        case Outbound.UNCERTAIN:
            return _UNCERTAIN
        case Outbound.CANCELLED:
            return STATUS[Cause.CANCELLED]
        case Outbound.FAILED if cause is not None and ended_by_call(record):
            return STATUS[cause]
        case Outbound.FAILED if record.fax.document_id is None:
            return _REFUSED
        case Outbound.FAILED if record.document is not None and record.document.refusal is not None:
            return _NOT_FAXABLE
        case Outbound.FAILED:
            return _UNDEFINED
    # RFC 3463 section 2: what is delayed is a transient failure, whatever its cause would be in the end.
    return f"4{STATUS[cause][1:]}" if cause is not None else _WAITING


def _diagnostic(record: Record, where: Outbound, status: str) -> str:
    fax, cause = record.fax, last_cause(record)
    if where is Outbound.FAILED and not ended_by_call(record):
        refused = fax.document_id is None
        return f"smtp; 550 {status} {_line(fax.reason)}" if refused else f"x-fax; {_line(fax.reason)}"
    if where is Outbound.UNCERTAIN:
        said = "the last page was sent but not confirmed: it may have arrived"
    elif where is Outbound.CANCELLED or cause is None:
        said = fax.reason or where.value
    else:
        said = WORDS[cause]
    result = (record.attempts[-1].result or {}) if record.attempts else {}
    codes = [
        f"{name} {result[f'{kind}_code']} {result.get(f'{kind}_reason') or ''}".strip()
        for kind, name in (("sip", "SIP"), ("t30", "T.30"))
        if result.get(f"{kind}_code") is not None
    ]
    told = ", ".join(codes)
    return f"x-fax; {_line(f'{said} ({told})' if told else said)}"


def _line(text: str) -> str:
    return _ascii(writing.one_line(text, _DIAGNOSTIC))


def _ascii(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def _date(at: float | None) -> str:
    return "" if at is None else format_datetime(datetime.fromtimestamp(at, UTC))


def _told(fields: list[tuple[str, str]]) -> Fields:
    return tuple((name, value) for name, value in fields if value)
