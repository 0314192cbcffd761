"""What becomes of one fetched message: faxes, a refusal that its sender reads, or another try.

Invariants:

* the message's row, its faxes and the mail that refuses it are one transaction: after a crash there is all or nothing;
* the sender counts only with a proof that the message itself carries: IMAP shows no client;
* only a proven sender is answered, never a program (RFC 3834), and once for one message;
* what is refused for now (a quota, a fault of ours) is tried again for :data:`PATIENCE`, as a mail server would.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from policies import BadAddress, Proof, normalise_address, resolve_domain
from relay.errors import Refusal
from relay.intake.bounds import MAX_ADDRESSED
from relay.intake.desk import Desk, Envelope
from relay.intake.imap.addressing import Addressed, by_addresses, by_subject
from relay.outbox import REFUSAL, Post, mails, post
from relay.store import mailboxes
from relay.store.mailboxes import AlreadyJudged, Fate, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import sqlalchemy as sa

    from relay.ids import IdSource
    from relay.intake.imap.proof import Prover
    from relay.intake.message import ParsedMessage
    from relay.intake.reports import Reports
    from relay.outbox.mails import MailReport
    from relay.policy import PolicyHolder
    from relay.store.engine import Store

log = structlog.get_logger()

#: RFC 5321 section 4.5.4.1: a mail that cannot be taken now is given up after four or five days.
PATIENCE: Final = 4 * 24 * 3600.0
#: Proofs that show an address to be its sender's own, so that it may be written to.
_PROVEN: Final = frozenset({Proof.DMARC, Proof.AUTH, Proof.CLIENT_CERT, Proof.CONFIRM})


@dataclass(frozen=True, slots=True)
class Rule:
    """How a mailbox is read. ``domain``: the fax domain of the numbers in its subjects; None: its addresses count."""

    domain: str | None = None
    most_recipients: int = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message, and why, for the log."""

    fate: Fate
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Sender:
    """A message's sender as far as it is known. ``address``: whom a refusal may be mailed to, in ``language``."""

    proofs: frozenset[Proof] = frozenset()
    address: str | None = None
    subject: str = ""
    message_id: str | None = None
    thread: str = ""
    language: str = "en"


class Judge:
    """Judges the messages of one mailbox."""

    def __init__(
        self,
        desk: Desk,
        store: Store,
        policy: PolicyHolder,
        prover: Prover,
        rule: Rule,
        ids: IdSource,
        clock: Callable[[], float],
        reports: Reports | None = None,
    ) -> None:
        self._reports = reports
        self._desk = desk
        self._store = store
        self._policy = policy
        self._prover = prover
        self._rule = rule
        self._ids = ids
        self._clock = clock

    async def known(self, place: Place) -> Fate | None:
        """Return what was decided of a message before; None where it is to be judged."""
        known = await self._store.read(mailboxes.find, place)
        return None if known is None or known.fate is Fate.WAITING else known.fate

    async def unfiled(self, place: Place) -> None:
        """Note that a decided message is still where it was, so that it stays known."""
        await self._store.write(mailboxes.touch, place, self._clock())

    async def judge(self, message: Path, place: Place) -> Outcome:
        """Take a whole message or refuse it; when this returns, its fate is committed.

        Faults of ours (:class:`OSError`, the database's) pass through: nothing is decided then.
        """
        digest = await asyncio.to_thread(_digest, message)
        if await self._store.read(mailboxes.has, place.mailbox, digest, Fate.ACCEPTED):
            return await self._repeated(place, digest)
        sender = _Sender()
        try:
            if self._reports is not None and (reported := await self._reported(message, self._reports)) is not None:
                return await self._note(place, digest, reported)
            async with self._desk.opened(message) as opened:
                sender = await self._sender(message, opened.mail)
                addressed = self._addressed(opened.mail)
                return_path = "" if opened.mail.bounce else opened.mail.sender
                envelope = Envelope("imap", addressed.recipients, return_path, sender.proofs, None)

                def beside(connection: sa.Connection) -> None:
                    mailboxes.record(connection, place, digest, Fate.ACCEPTED, self._clock())
                    if addressed.refused:
                        reasons = [f"{text}: {refusal.sentence}" for text, refusal in addressed.refused]
                        self._answer(connection, sender, reasons)

                accepted = await self._desk.take(opened, envelope, once=f"imap {digest}", beside=beside)
        except Refusal as refusal:
            return await self._refused(place, digest, sender, refusal)
        except AlreadyJudged:
            return await self._as_decided(place)
        return Outcome(Fate.ACCEPTED, f"submission {accepted.submission}")

    async def _reported(self, message: Path, reports: Reports) -> MailReport | str | None:
        """Return what a message reports on a mail of ours, a sentence for nothing; ``None``: it is to be faxed."""
        try:
            report, delivery = await reports.read(message)
        except Refusal as refusal:
            if not refusal.permanent:
                raise
            return None  # the desk says what is wrong with it
        if delivery is None:
            return None
        return report or "it came to an address for reports and says nothing"

    async def _note(self, place: Place, digest: str, reported: MailReport | str) -> Outcome:
        def work(connection: sa.Connection) -> str:
            mailboxes.record(connection, place, digest, Fate.ACCEPTED, self._clock())
            if isinstance(reported, str):
                return reported
            changed = mails.note(connection, self._ids, reported, self._clock())
            return f"a report on the mail {reported.delivery}{'' if changed else ', which changes nothing'}"

        return Outcome(Fate.ACCEPTED, await self._store.write(work))

    async def refuse(self, head: Path, place: Place, refusal: Refusal) -> Outcome:
        """Refuse a message of which only the header was fetched."""
        sender = _Sender()
        try:
            async with self._desk.opened(head, head=True) as opened:
                sender = await self._sender(head, opened.mail)
        except Refusal as unread:
            log.info("the header of a refused message cannot be read", why=unread.sentence)
        return await self._refused(place, await asyncio.to_thread(_digest, head), sender, refusal)

    async def _sender(self, message: Path, mail: ParsedMessage) -> _Sender:
        try:
            address = normalise_address(mail.sender)
        except BadAddress:
            return _Sender()  # the desk refuses it
        proofs = await self._prover.proofs(message, address)
        writable = not (mail.automatic or mail.bounce or mail.looped) and not proofs.isdisjoint(_PROVEN)
        return _Sender(
            proofs, address if writable else None, mail.subject, mail.message_id, mail.thread, self._language(mail)
        )

    def _language(self, mail: ParsedMessage) -> str:
        """Return the language of the fax domain that the mail is for, English where it names none."""
        named = [self._rule.domain or "", *(address.rpartition("@")[2] for address in mail.addressed)]
        found = (resolve_domain(self._policy.current, name) for name in named)
        return next((domain.language for domain in found if domain is not None), "en")

    def _addressed(self, mail: ParsedMessage) -> Addressed:
        check = self._desk.at_recipient
        if self._rule.domain is not None:
            return by_subject(mail.subject, self._rule.domain, check)
        if len(mail.addressed) >= MAX_ADDRESSED:  # a number among those that were not read would be lost in silence
            raise Refusal(550, "5.5.3", f"The mail names {MAX_ADDRESSED} addresses or more: name fewer.")
        addressed = by_addresses(self._policy.current, mail.addressed, check)
        if len(addressed.recipients) > self._rule.most_recipients:
            most = self._rule.most_recipients
            raise Refusal(550, "5.5.3", f"One mail goes to at most {most} numbers; send the others by another.")
        return addressed

    async def _repeated(self, place: Place, digest: str) -> Outcome:
        try:
            await self._store.write(mailboxes.record, place, digest, Fate.ACCEPTED, self._clock())
        except AlreadyJudged:
            return await self._as_decided(place)
        return Outcome(Fate.ACCEPTED, "it was taken before under another UID; no second fax is made")

    async def _refused(self, place: Place, digest: str, sender: _Sender, refusal: Refusal) -> Outcome:
        try:
            return await self._store.write(self._write_refusal, place, digest, sender, refusal)
        except AlreadyJudged:
            return await self._as_decided(place)

    def _write_refusal(
        self, connection: sa.Connection, place: Place, digest: str, sender: _Sender, refusal: Refusal
    ) -> Outcome:
        now = self._clock()
        known = mailboxes.find(connection, place)
        since = known.since if known is not None else now
        fate = Fate.REJECTED if refusal.permanent or now - since > PATIENCE else Fate.WAITING
        answered = mailboxes.has(connection, place.mailbox, digest, Fate.REJECTED)
        mailboxes.record(connection, place, digest, fate, now)
        if fate is Fate.REJECTED and not answered:
            self._answer(connection, sender, [refusal.sentence])
        return Outcome(fate, str(refusal))

    def _answer(self, connection: sa.Connection, sender: _Sender, reasons: Sequence[str]) -> None:
        """Tell a proven sender why."""
        if sender.address is None:
            return
        payload = {
            "reasons": list(reasons),
            "subject": sender.subject,
            "message_id": sender.message_id,
            "thread": sender.thread,
            "language": sender.language,
        }
        one = Post(sender.address, REFUSAL, f"refusal:{self._ids()}", payload)
        post(connection, self._ids, "mail", None, None, [one], self._clock())

    async def _as_decided(self, place: Place) -> Outcome:
        known = await self._store.read(mailboxes.find, place)
        if known is None:  # the server gave the UID away once more: look again
            return Outcome(Fate.WAITING, "another message has its place")
        return Outcome(known.fate, "another node judged it")


def _digest(message: Path) -> str:
    with message.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
