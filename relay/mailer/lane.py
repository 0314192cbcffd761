"""The outbox's mail lane: which events are mailed to whom, and how one delivery becomes a letter.

A fax that waits for a person: a mail to each who may decide (:mod:`relay.mailer.asking`). A fax that we sent: what its
sender is owed (:mod:`relay.mailer.owed`), as a report for machines too where the sender's server asked for one (RFC
3464). A fax that we received: a mail to each mailbox of its number. A mail that was fetched and is not faxed: the
reason, for its proven sender. A mail that is refused ends there: it is never answered by another mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from policies import OpenedBy
from relay.fax import Direction, Inbound, Outbound, state
from relay.mailer import asking, dsn, notice, owed, writing
from relay.mailer import record as records
from relay.mailer.alarm import alarm
from relay.mailer.compose import (
    Envelope,
    Identity,
    Invitation,
    Thread,
    notice_letter,
    receipt_letter,
    received_letter,
    refusal_letter,
)
from relay.mailer.owed import to_sender
from relay.mailer.receipt import Status, receipt
from relay.mailer.received import received_fax
from relay.outbox import ALARM, RECEIVED_FAX, REFUSAL, Delivered, Outcome, Patience, Post

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    import sqlalchemy as sa

    from relay.mailer.enclosures import Enclosures
    from relay.mailer.language import Languages
    from relay.mailer.letter import Carrier, Letter
    from relay.mailer.multipart import Machine
    from relay.mailer.record import Record
    from relay.store.engine import Store
    from relay.store.queue import Claim

MISSED_FAX: Final = "missed_fax"


@dataclass(frozen=True, slots=True)
class Followed:
    """How the relay follows the mail of a received fax.

    ``link``: gives the URL by which it is opened, and its end, for a delivery and the time at which it is given out;
    ``reports``: gives the address to which others report on a delivery's mail, empty for none.
    """

    link: Callable[[int, float], tuple[str, float]] | None = None
    reports: Callable[[int], str] = lambda _: ""


_NOTICES: Final = frozenset({owed.WAITING, owed.ACCEPTED, owed.DELAYED})
#: Whose sender may want it sent again.
_RESENDABLE = frozenset({Status.FAILED, Status.UNCERTAIN})


class MailLane:
    """Mails receipts and received faxes.

    ``resend_link``: gives the URL that sends a fax again, and when it ends, for a fax id and the time at which it is
    given out. ``answer_link``: gives those by which people decide. ``hostname``: what the relay calls itself in
    reports. ``followed``: how the mails of received faxes are followed. A mailbox is never suspended: each mail is
    tried for three days and then fails with the server's words.
    """

    name = "mail"

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        enclosures: Enclosures,
        languages: Languages,
        identity: Identity,
        resend_link: Callable[[int, float], tuple[str, float]],
        answer_link: asking.AnswerLink,
        *,
        hostname: str,
        zone: tzinfo,
        followed: Followed | None = None,
    ) -> None:
        self._followed = followed or Followed()
        self._answer_link = answer_link
        self.patience = Patience()
        self._store = store
        self._carrier = carrier
        self._enclosures = enclosures
        self._languages = languages
        self._identity = identity
        self._resend_link = resend_link
        self._hostname = hostname
        self._zone = zone

    def routes(self, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
        """Return the mails that an event asks for."""
        if event.after is None:
            return []
        direction = Direction(fax.direction)
        after = state(direction, event.after)
        if isinstance(after, Outbound):
            if after is Outbound.HELD:
                return asking.posts(event, fax, submission)
            return to_sender(event, after, fax, submission)
        if after is Inbound.RECEIVED:
            kind = RECEIVED_FAX
        elif after is Inbound.UNDELIVERABLE and event.before == Inbound.RECEIVING.value:
            kind = MISSED_FAX
        else:
            return []
        return [_post(fax.id, kind, address) for address in dict.fromkeys(fax.settings.get("deliver_to", ()))]

    async def deliver(self, claim: Claim) -> Outcome:
        """Compose the mail of one delivery and hand it over."""
        envelope = Envelope(claim.row.target, claim.id, claim.row.created_at)
        if claim.row.kind == REFUSAL:
            return await self._carrier.send(self._refusal(claim.row.payload, envelope))
        if claim.row.kind == ALARM:
            told = alarm(claim.row.payload, self._zone)
            letter = notice_letter(told, self._languages.get("en"), self._identity, envelope, thread=Thread())
            return await self._carrier.send(letter)
        record = await self._store.read(records.read, claim.row.fax_id)
        if claim.row.kind == owed.DELAYED and owed.moot(record):
            return Delivered("not sent: there is no delay to tell of any more")
        if claim.row.kind in _NOTICES:
            return await self._carrier.send(self._notice(claim.row.kind, record, envelope))
        if claim.row.kind in asking.KINDS:
            return await self._ask(record, claim.row.kind, envelope)
        compose = self._receipt if claim.row.kind == owed.RECEIPT else self._received
        return await self._carrier.send(await compose(record, envelope))

    def _notice(self, kind: str, record: Record, envelope: Envelope) -> Letter:
        language = self._languages.get(record.fax.settings.get("language", "en"))
        match kind:
            case owed.WAITING:
                told = notice.waiting(record, language, self._zone)
            case owed.DELAYED:
                told = notice.delayed(record, language, self._zone, envelope.made_at)
            case _:
                told = notice.accepted(record, language, self._zone)
        return notice_letter(
            told, language, self._identity, envelope, thread=_thread(record), machine=self._machine(record, envelope)
        )

    def _machine(self, record: Record, envelope: Envelope) -> Machine | None:
        """Return the report for machines, where the sender's server asked for one."""
        if dsn.wishes_of(record.fax).notify is None:
            return None
        return dsn.machine(record, self._hostname, envelope.made_at)

    async def _ask(self, record: Record, kind: str, envelope: Envelope) -> Outcome:
        """Mail about a fax that waits for a person, unless it waits no more."""
        waiting = await self._store.read(asking.read, record.fax.id, kind)
        if isinstance(waiting, str):
            return Delivered(f"not mailed: {waiting}")
        language = self._languages.get(record.fax.settings.get("language", "en"))
        zone, link, thread = self._zone, self._answer_link, Thread()
        enclosed: tuple[asking.Enclosed, ...] = ()
        if kind == asking.APPROVAL:
            notice = asking.approval(record, waiting, envelope.to, language, zone, link)
            enclosed = await asking.enclosures(record, self._enclosures)
        elif kind == asking.CONFIRM:
            notice = asking.confirm(record, waiting, language, zone, link)
        else:
            notice, thread = asking.held(record, waiting, language, zone), _thread(record)
        letter = notice_letter(notice, language, self._identity, envelope, thread=thread, enclosed=enclosed)
        return await self._carrier.send(letter)

    async def _receipt(self, record: Record, envelope: Envelope) -> Letter:
        language = self._languages.get(record.fax.settings.get("language", "en"))
        told = receipt(record, language, self._zone)
        return receipt_letter(
            told,
            language,
            self._identity,
            envelope,
            thread=_thread(record),
            pdf=await self._enclosures.receipt_pdf(told, record),
            resend=self._invitation(record, told.status, envelope.made_at),
            machine=self._machine(record, envelope),
        )

    async def _received(self, record: Record, envelope: Envelope) -> Letter:
        language = self._languages.get(record.fax.settings.get("language", "en"))
        told = received_fax(record, language, self._zone)
        asked = record.fax.settings.get("opened_by", ())
        return received_letter(
            told,
            language,
            self._identity,
            envelope,
            pdf=await self._enclosures.fax_pdf(record) if told.pages else None,
            thumbnail=await self._enclosures.thumbnail(record) if told.pages else None,
            link=self._opening(envelope) if told.pages and OpenedBy.LINK.value in asked else None,
            reports=self._followed.reports(envelope.delivery) if told.pages else "",
            receipt=OpenedBy.RECEIPT.value in asked,
        )

    def _opening(self, envelope: Envelope) -> Invitation | None:
        """Return the link by which the mail of a delivery is opened."""
        if self._followed.link is None:
            return None
        url, until = self._followed.link(envelope.delivery, envelope.made_at)
        return Invitation(url, writing.moment(until, self._zone))

    def _refusal(self, told: Mapping[str, Any], envelope: Envelope) -> Letter:
        return refusal_letter(
            told["reasons"],
            told["subject"],
            self._languages.get(told.get("language", "en")),
            self._identity,
            envelope,
            thread=Thread(told["message_id"] or "", told["thread"]),
        )

    def _invitation(self, record: Record, status: Status, at: float) -> Invitation | None:
        """Return a link to send it again, where there is something to send."""
        if status not in _RESENDABLE or record.document is None or record.document.blob is None:
            return None
        if any(event.kind == "fax.refused" for event in record.events):
            return None  # whoever decides about it has answered: a link would only ask again
        url, until = self._resend_link(record.fax.id, at)
        return Invitation(url, writing.moment(until, self._zone))


def _thread(record: Record) -> Thread:
    asked = record.submission
    return Thread(asked.message_id or "", asked.thread) if asked is not None else Thread()


def _post(fax_id: int, kind: str, address: str) -> Post:
    return Post(address, kind, f"{fax_id}:{address}")
