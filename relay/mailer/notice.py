"""What is told of a fax before it ends, made of its rows by pure functions: why it waits, what its reader can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.hours import moment
from relay import hours
from relay.mailer import writing

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
    """``title``: for a subject line; ``facts``: what fax it is, as label and value; all text, ready to read."""

    title: str
    headline: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    offers: tuple[Offer, ...]
    fax_id: str


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
    until = moment(kept, record.fax.not_before) if kept else writing.moment(record.fax.not_before, zone)
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
