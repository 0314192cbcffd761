"""What is told of a fax before it ends, made of its rows by pure functions: why it waits, what its reader can do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from relay import hours
from relay.mailer import writing
from relay.mailer.dsn import last_cause, retries_until

if TYPE_CHECKING:
    from datetime import tzinfo

    from relay.mailer.language import Language
    from relay.mailer.record import Record


@dataclass(frozen=True, slots=True)
class Offer:
    """A link that does something once: what it does, and its end, ready to read."""

    label: str
    url: str
    until: str


@dataclass(frozen=True, slots=True)
class Notice:
    """``title``: for a subject line; ``facts``: what fax it is, as label and value; all text, ready to read.

    ``simulated``: a call of it used no telephone line.
    """

    title: str
    headline: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    offers: tuple[Offer, ...]
    fax_id: str
    simulated: bool = False


def accepted(record: Record, language: Language, zone: tzinfo) -> Notice:
    """Return the notice of a fax that waits for its first call."""
    to = writing.number(record.fax.peer)
    return Notice(
        title=language.say("title_accepted", to=to),
        headline=language.say("waiting", to=to),
        lines=(language.say("receipt_follows"),),
        facts=facts(record, language, zone),
        offers=(),
        fax_id=str(record.fax.id),
    )


def delayed(record: Record, language: Language, zone: tzinfo, now: float) -> Notice:
    """Return the notice of a fax that has not ended by ``now``, in seconds since 1970."""
    cause, to = last_cause(record), writing.number(record.fax.peer)
    lines = [language.say("not_called_yet")]
    if cause is not None:
        calls = [one for one in record.attempts if one.cause]
        last = writing.moment(calls[-1].started_at, zone)
        lines = [
            language.count("called_in_vain", len(calls), last=last),
            language.say("last_call", sentence=language.cause(cause).sentence),
        ]
    until = (language.say("fact_until"), writing.moment(retries_until(record, now), zone))
    return Notice(
        title=language.say("title_delayed", to=to),
        headline=language.say("delayed", to=to),
        lines=(" ".join(lines), language.say("nothing_to_do")),
        facts=(*facts(record, language, zone), until),
        offers=(),
        fax_id=str(record.fax.id),
        simulated=_simulated(record),
    )


def processed(record: Record, language: Language, zone: tzinfo) -> Notice:
    """Return what people read in the disposition notification of a fax that was confirmed (RFC 8098 section 3)."""
    to = writing.number(record.fax.peer)
    return Notice(
        title=language.say("title_processed", to=to),
        headline=language.say("processed", to=to),
        lines=(language.say("not_read"),),
        facts=facts(record, language, zone),
        offers=(),
        fax_id=str(record.fax.id),
        simulated=_simulated(record),
    )


def waiting(record: Record, language: Language, zone: tzinfo) -> Notice:
    """Return the notice of a fax that waits for its number's hours of sending, or for the time that was asked for."""
    to = writing.number(record.fax.peer)
    if record.fax.settings.get("earliest") == record.fax.not_before:
        return Notice(
            title=language.say("title_scheduled", to=to),
            headline=language.say("waiting", to=to),
            lines=(language.say("scheduled_for", at=hours.scheduled(record.fax.settings)),),
            facts=facts(record, language, zone),
            offers=(),
            fax_id=str(record.fax.id),
        )
    kept = hours.of_settings(record.fax.settings)
    until = writing.moment(record.fax.not_before, zone)
    if kept is not None:  # in the hours' own zone, as their policy is written
        at = datetime.fromtimestamp(record.fax.not_before, ZoneInfo(kept.zone))
        until = language.say("until", weekday=language.weekday(at), time=f"{at:%Y-%m-%d %H:%M} ({kept.zone})")
    return Notice(
        title=language.say("title_waiting", to=to),
        headline=language.say("waiting", to=to),
        lines=(language.say("waiting_until", until=until),),
        facts=facts(record, language, zone),
        offers=(),
        fax_id=str(record.fax.id),
    )


def facts(record: Record, language: Language, zone: tzinfo) -> tuple[tuple[str, str], ...]:
    """Return what fax it is: who sent what to whom, when."""
    fax, asked = record.fax, record.submission
    known = (
        ("fact_to", writing.number(fax.peer)),
        ("fact_from", writing.number(fax.number)),
        ("fact_sender", writing.one_line((asked.sender if asked is not None else None) or "")),
        ("fact_subject", writing.one_line(asked.subject) if asked is not None else ""),
        ("fact_pages", str(fax.pages or "")),
        ("accepted", writing.moment(fax.created_at, zone)),
    )
    return tuple((language.say(key), value) for key, value in known if value)


def _simulated(record: Record) -> bool:
    return any((one.result or {}).get("simulated", False) for one in record.attempts)
