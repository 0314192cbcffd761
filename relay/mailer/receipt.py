"""The receipt of a fax that we sent: one object, made of its rows by a pure function; every rendering only shows it.

Its fields are those of :class:`converters.receipt.ReceiptSheet`, which the PDF shows, and what a mail adds: all text,
ready to read. Sentences are for an office worker; the codes stand beside each call. ``simulated`` is true where any
call used no telephone line, and every rendering says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from relay.mailer import writing
from relay.mailer.dsn import ended_by_call
from relay.mailer.language import ENGLISH
from transport.seam import Cause

if TYPE_CHECKING:
    from datetime import tzinfo

    import sqlalchemy as sa

    from converters.receipt import ReceiptSheet
    from relay.mailer.language import Language
    from relay.mailer.record import Record


class Status(Enum):
    """How a fax ended."""

    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Moment:
    """One time of the fax."""

    label: str
    time: str


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt. What the line did not report is empty."""

    number: str
    started: str
    ring: str
    talk: str
    trunk: str
    media: str
    speed: str
    coding: str
    ecm: str
    ecm_retries: str
    sip: str
    t30: str
    outcome: str
    pages_confirmed: str
    next: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a fax came to.

    ``title``: for a subject line; ``headline``: what happened; ``explanation``: why, and what to do.
    """

    status: Status
    title: str
    headline: str
    explanation: str
    from_number: str
    from_name: str
    from_ident: str
    to_number: str
    to_display: str
    remote_ident: str
    subject: str
    submission_id: str
    fax_id: str
    times: tuple[Moment, ...]
    pages_confirmed: str
    pages: str
    attempts: tuple[Call, ...]
    total_line_time: str
    sha256: str
    size: str
    simulated: bool
    billing: str = ""

    def as_sheet(self) -> ReceiptSheet:
        """Return what the PDF shows."""
        values = asdict(self) | {"status": self.status.value}
        values["times"], values["attempts"] = list(values["times"]), list(values["attempts"])
        del values["title"]
        return cast("ReceiptSheet", values)


def receipt(record: Record, language: Language, zone: tzinfo) -> Receipt:
    """Return the receipt of a fax that has ended."""
    fax, asked = record.fax, record.submission
    to = writing.number(fax.peer)
    status = Status(fax.state)
    pages = fax.pages if fax.pages is not None else (record.document.pages if record.document is not None else None)
    talk = sum(_result(one).get("talk_seconds", 0.0) for one in record.attempts)
    transmitted = [one for one in record.attempts if one.transmitted and _result(one).get("talk_seconds")]
    return Receipt(
        status=status,
        title=language.say(f"title_{status.value}", to=to),
        headline=language.count("sent", fax.pages, to=to)
        if status is Status.SENT
        else language.say(status.value, to=to),
        explanation=_explanation(record, status, language, zone),
        from_number=writing.number(fax.number),
        from_name=writing.one_line((asked.sender if asked is not None else None) or ""),
        from_ident=writing.one_line(fax.settings.get("ident") or fax.number),
        to_number=fax.peer,
        to_display=to,
        remote_ident=writing.one_line(fax.remote_ident),
        subject=writing.one_line(asked.subject) if asked is not None else "",
        submission_id=str(fax.submission_id) if fax.submission_id is not None else "",
        fax_id=str(fax.id),
        times=_times(record, language, zone),
        pages_confirmed=str(fax.pages_confirmed),
        pages=str(pages) if pages is not None else "",
        attempts=tuple(_call(one, pages, language, zone, last=one is record.attempts[-1]) for one in record.attempts),
        total_line_time=language.duration(talk) if talk else "",
        sha256=transmitted[-1].transmitted if transmitted else "",
        size=language.size(transmitted[-1].transmitted_size) if transmitted else "",
        billing=fax.settings.get("billing", ""),
        simulated=any(_result(one).get("simulated", False) for one in record.attempts),
    )


def _explanation(record: Record, status: Status, language: Language, zone: tzinfo) -> str:
    """Return why it ended so, how often we tried, and what its sender can do."""
    fax = record.fax
    partly = language.say("partly", confirmed=fax.pages_confirmed, pages=fax.pages) if fax.pages_confirmed else ""
    match status:
        case Status.SENT:
            parts = [_tried(record, language, zone)] if len(record.attempts) > 1 else []
        case Status.UNCERTAIN:
            parts = [language.say("unconfirmed"), partly, language.say("ask_first")]
        case Status.CANCELLED:
            parts = [partly or ("" if record.attempts else language.say("no_call"))]
        case Status.FAILED if ended_by_call(record):
            words = language.cause(Cause(record.attempts[-1].cause))
            tried = _tried(record, language, zone)
            if len({one.cause for one in record.attempts}) > 1:
                parts = [tried, language.say("last_call", sentence=words.sentence), partly, words.advice]
            else:
                parts = [words.sentence, tried, partly, words.advice]
        case Status.FAILED:
            parts = [language.reason(fax.reason), partly]
    return " ".join(part for part in parts if part)


def _tried(record: Record, language: Language, zone: tzinfo) -> str:
    first, last = writing.span(record.attempts[0].started_at, record.attempts[-1].started_at, zone)
    if len(record.attempts) > 1 and last.startswith(first):
        return language.say("tried_within_a_minute", count=len(record.attempts), last=last)
    return language.count("tried", len(record.attempts), first=first, last=last)


def _times(record: Record, language: Language, zone: tzinfo) -> tuple[Moment, ...]:
    known: list[tuple[str, float]] = [("accepted", record.fax.created_at)]
    if record.attempts:
        known.append(("first_call", record.attempts[0].started_at))
    known += [("ended", event.at) for event in record.events if event.after == record.fax.state][-1:]
    return tuple(Moment(language.say(label), writing.moment(at, zone)) for label, at in known)


def _call(row: sa.Row[Any], pages: int | None, language: Language, zone: tzinfo, *, last: bool) -> Call:
    result = _result(row)
    answered, negotiated = bool(result.get("talk_seconds")), bool(result.get("bit_rate"))
    return Call(
        number=str(row.ordinal),
        started=writing.moment(row.started_at, zone),
        ring=language.duration(result["ring_seconds"]) if result.get("ring_seconds") else "",
        talk=language.duration(result["talk_seconds"]) if answered else "",
        trunk=row.trunk,
        media=("T.38" if result.get("t38") else language.say("audio")) if answered else "",
        speed=f"{result['bit_rate']} bit/s {result.get('modem', '')}".strip() if negotiated else "",
        coding=result.get("coding", ""),
        ecm=("yes" if result["ecm"] else "no") if negotiated else "",
        ecm_retries=str(result.get("retries", 0)) if negotiated else "",
        sip=_code(result, "sip"),
        t30=_code(result, "t30"),
        outcome=language.cause(Cause(row.cause)).outcome if row.cause else "",
        pages_confirmed=language.say("of", confirmed=row.pages_confirmed, pages=pages if pages is not None else "?"),
        next=_next(row, language, last=last),
    )


def _next(row: sa.Row[Any], language: Language, *, last: bool) -> str:
    """Return what followed a call. The history is kept in English; another language says less."""
    if language.name == ENGLISH:
        return writing.sentence(row.next)
    return "" if last else language.say("another_call", number=row.ordinal + 1)


def _result(row: sa.Row[Any]) -> dict[str, Any]:
    return row.result or {}


def _code(result: dict[str, Any], kind: str) -> str:
    """Return a raw code with its sentence, which may have come from the far side."""
    code = result.get(f"{kind}_code")
    return "" if code is None else f"{code} {writing.one_line(result.get(f'{kind}_reason', ''), 120)}".strip()
