"""The mails about faxes that wait for a person: to whoever may decide, and to the sender who waits.

Invariants: a mail asks only whom its event names; the mail to a sender who has proved nothing quotes nothing of what
came in that sender's name, so that nobody's words reach a stranger through us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from converters import Broken, Refused
from relay.errors import Decided, IllegalMove
from relay.mailer import writing
from relay.mailer.notice import Notice, Offer, facts
from relay.outbox import Post
from relay.store import faxes, holds

if TYPE_CHECKING:
    from datetime import tzinfo

    import sqlalchemy as sa

    from relay.mailer.enclosures import Enclosures
    from relay.mailer.language import Language
    from relay.mailer.record import Record

log = structlog.get_logger()

APPROVAL: Final = "approval"
CONFIRM: Final = "confirm"
HELD: Final = "held"
KINDS: Final = frozenset({APPROVAL, CONFIRM, HELD})

#: Numbers that one mail lists; of more it tells the count.
_LISTED = 20


class AnswerLink(Protocol):
    """Gives the URL by which one of those who were asked decides about a fax."""

    def __call__(self, answer: str, fax_id: int, position: int, until: float) -> str:
        """Return it. ``answer``: approve, deny, confirm; ``position``: of the person among those asked."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a fax waits for, and the numbers of all that wait with it."""

    question: holds.Question
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file that goes with a mail; ``media_type`` such as application/pdf."""

    data: bytes
    media_type: str
    name: str


def posts(event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
    """Return the mails that a fax's coming to wait asks for: to those who may decide, and to its sender."""
    detail = event.detail or {}
    asked: list[str] = detail.get("asks") or []
    kind = detail.get("hold")
    found = [Post(address, str(kind), f"{fax.id}:{address}") for address in asked]
    told = fax.settings.get("notify", "all") == "all"
    if asked and told and kind == APPROVAL and submission is not None and submission.answerable and submission.sender:
        found.append(Post(submission.sender, HELD, f"{fax.id}:{submission.sender}:held"))
    return found


def read(connection: sa.Connection, fax_id: int, kind: str) -> Waiting | str:
    """Return what a fax waits for, or why it does not wait any more. ``kind``: of the mail about it."""
    try:
        asked = holds.question(connection, fax_id, holds.Kind.CONFIRM if kind == CONFIRM else holds.Kind.APPROVAL)
    except (Decided, IllegalMove) as over:
        return str(over)
    return Waiting(asked, tuple(faxes.get(connection, one).peer for one in asked.fax_ids))


def approval(
    record: Record, waiting: Waiting, address: str, language: Language, zone: tzinfo, link: AnswerLink
) -> Notice:
    """Return the notice that asks ``address`` to approve."""
    asked = waiting.question
    until = writing.moment(asked.until, zone)
    position = asked.asked.index(address)
    return Notice(
        title=language.say("title_approval", to=_whom(waiting, language)),
        headline=language.say("approval", to=_whom(waiting, language)),
        lines=(language.say("approval_until", until=until), *_listed(waiting)),
        facts=facts(record, language, zone),
        offers=tuple(
            Offer(language.say(f"offer_{answer}"), link(answer, record.fax.id, position, asked.until), until)
            for answer in ("approve", "deny")
        ),
        fax_id=str(record.fax.id),
    )


def confirm(record: Record, waiting: Waiting, language: Language, zone: tzinfo, link: AnswerLink) -> Notice:
    """Return the notice that asks whom a mail claims to be from whether it is."""
    asked = waiting.question
    until = writing.moment(asked.until, zone)
    return Notice(
        title=language.say("title_confirm", to=_whom(waiting, language)),
        headline=language.say("confirm", to=_whom(waiting, language)),
        lines=(language.say("confirm_until", until=until),),
        facts=tuple(one for one in facts(record, language, zone) if one[0] != language.say("fact_subject")),
        offers=(Offer(language.say("offer_confirm"), link("confirm", record.fax.id, 0, asked.until), until),),
        fax_id=str(record.fax.id),
    )


def held(record: Record, waiting: Waiting, language: Language, zone: tzinfo) -> Notice:
    """Return the notice that tells a sender whose approval the fax waits for."""
    asked = waiting.question
    until = writing.moment(asked.until, zone)
    return Notice(
        title=language.say("title_held", to=_whom(waiting, language)),
        headline=language.say("waiting", to=_whom(waiting, language)),
        lines=(language.say("held_until", by=", ".join(asked.asked), until=until), *_listed(waiting)),
        facts=facts(record, language, zone),
        offers=(),
        fax_id=str(record.fax.id),
    )


async def enclosures(record: Record, made: Enclosures) -> tuple[Enclosed, ...]:
    """Return what of a fax whoever approves it may see, by its number's content level: nothing, page 1, or all."""
    match record.fax.settings.get("receipt_pages", "first"):
        case "all":
            try:
                pages = await made.fax_pdf(record)
            except (Broken, Refused):
                log.exception("the pages for approval cannot be drawn", fax=record.fax.id)
                return ()
            return (Enclosed(pages, "application/pdf", f"fax_{record.fax.id}.pdf"),)
        case "first":
            picture = await made.thumbnail(record)
            return () if picture is None else (Enclosed(picture, "image/png", "page1.png"),)
        case _:
            return ()


def _whom(waiting: Waiting, language: Language) -> str:
    first, *more = waiting.peers
    to = writing.number(first)
    return language.count("and_more", len(more), to=to) if more else to


def _listed(waiting: Waiting) -> tuple[str, ...]:
    """Return a line of the numbers, where there are several."""
    if len(waiting.peers) == 1:
        return ()
    shown = ", ".join(writing.number(peer) for peer in waiting.peers[:_LISTED])
    return (shown + ("…" if len(waiting.peers) > _LISTED else ""),)
