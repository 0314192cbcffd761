"""The desk: what a listener took in becomes a submission, or is refused with a sentence that its sender understands.

Every way in asks the same two questions: :meth:`Desk.at_recipient`, as early as it can, and :meth:`Desk.accept`, for
the whole message. One that learns the recipients from the message itself opens it first (:meth:`Desk.opened`) and
gives it to :meth:`Desk.take`. Invariants:

* when :meth:`Desk.accept` returns, the files are synced to the disk and the rows committed: a 250 may follow;
* a refusal leaves no row behind;
* a sender counts only with a proof that its listener established (:class:`policies.Proof`), judged on the one From
  address;
* a number's quota is counted in the transaction that uses it up, so that two mails at once cannot both be the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from policies import (
    BadAddress,
    Facts,
    Proof,
    check_recipient,
    decide,
    normalise_address,
    resolve_domain,
)
from relay import cover, replay
from relay.confine import ChildDied
from relay.errors import Refusal
from relay.intake import confirming, faxed, options, spool
from relay.intake.address import BadFaxAddress, FaxAddress, parse_address
from relay.intake.wishes import NO_WISHES, wished
from relay.policy import submission_settings
from relay.submission import File, Recipient, Submission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from ipaddress import IPv4Address, IPv6Address
    from pathlib import Path

    import sqlalchemy as sa

    import policies
    from policies import Decision, Number, Policy
    from relay.intake.identity import Identity
    from relay.intake.message import Attachment, MailReader, ParsedMessage
    from relay.notification import MailWishes, RecipientWishes
    from relay.outbox.mails import MailReport
    from relay.policy import PolicyHolder
    from relay.store.blobs import LocalBlobs
    from relay.submission import Submitted

log = structlog.get_logger()

#: Proofs that a listener can establish, the stronger first.
_BY_STRENGTH: Final = (Proof.AUTH, Proof.CLIENT_CERT, Proof.NETWORK, Proof.DMARC, Proof.CONFIRM, Proof.NONE)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the listener knows of a mail beside its text.

    ``recipients`` are at one fax domain. ``return_path`` is '' for the null one. ``proofs`` are those that the listener
    established; each of ``identities`` gives its own for the From addresses that are its. ``client``: the address of
    the client itself, None where nobody knows it. ``each``: the client hears of each recipient (LMTP), so that one that
    is refused becomes no fax. ``examine``: asked for what the mail proves by itself, where the policy wants that: the
    message and its From address in, proofs out, or :class:`relay.errors.Refusal`. ``asks``: the From address may be
    asked by mail to confirm it (proof confirm). ``wishes`` and ``recipient_wishes``: what the client asked to be told
    of; ``heard_from``: what it calls itself.
    """

    source: str
    recipients: tuple[FaxAddress, ...]
    return_path: str
    proofs: frozenset[Proof]
    client: IPv4Address | IPv6Address | None
    identities: tuple[Identity, ...] = ()
    each: bool = False
    examine: Callable[[Path, str], Awaitable[frozenset[Proof]]] | None = None
    wishes: MailWishes = NO_WISHES
    recipient_wishes: tuple[RecipientWishes, ...] = ()
    heard_from: str = ""
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A mail that is kept.

    ``faxes``: one id for each number, in order; ``refused`` of them failed at once, with a mail that says why.
    ``submission`` is the one that the first fax belongs to. ``repeated``: all of it was here before and nothing new
    was made. ``refusals``: what becomes of each of the envelope's recipients, ``None`` for those that are taken.
    ``unconfirmed``: its sender was asked to confirm it, and it waits.
    """

    submission: int
    faxes: tuple[int, ...]
    refused: int
    repeated: bool
    refusals: tuple[Refusal | None, ...]
    unconfirmed: bool = False


class Commits(Protocol):
    """What makes a submission safe: :class:`relay.intake.committer.Committer`, or its messenger."""

    async def commit(self, asked: Submission, beside: Callable[[sa.Connection], None] | None = None) -> Submitted:
        """Return once it is on the disk."""

    async def note(self, report: MailReport) -> bool:
        """Note a report on a mail of ours; return whether it changed something, once that is on the disk."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that was read: where it lies, what it says, and the file that its attachments lie in."""

    message: Path
    mail: ParsedMessage
    content: Path


class Desk:
    """Takes mail for every listener. ``attachment_bytes``: the largest file, decoded, whatever the policy allows."""

    def __init__(
        self,
        committer: Commits,
        blobs: LocalBlobs,
        reader: MailReader,
        policy: PolicyHolder,
        clock: Callable[[], float],
        *,
        attachment_bytes: int,
    ) -> None:
        self._committer = committer
        self._blobs = blobs
        self._reader = reader
        self._policy = policy
        self._clock = clock
        self._attachment_bytes = attachment_bytes

    def at_recipient(self, text: str, others: Sequence[FaxAddress] = ()) -> FaxAddress:
        """Return the recipient that ``text`` names, beside the ``others`` of the mail, or raise :class:`Refusal`.

        Refused here is what would be refused whoever sends; the rest waits for the From address.
        """
        try:
            address = parse_address(text)
        except BadFaxAddress as bad:
            raise Refusal(553, "5.1.3", bad.sentence) from None
        policy = self._policy.current
        domain = resolve_domain(policy, address.domain)
        if domain is None:
            raise Refusal(
                550, "5.7.1", "This server takes mail for faxes only, and this is not one of its fax domains."
            )
        if address.subaddress is not None:
            raise Refusal(553, "5.1.3", "Sub-addresses (T33S) cannot be dialled from here: write the number alone.")
        if others and others[0].domain != address.domain:
            raise Refusal(452, "4.5.3", "One mail goes to one fax domain: send it to the other domain by itself.")
        verdicts = [check_recipient(policy, address.number, region) for region in _regions(policy, address, domain)]
        if not any(verdict.accepted for verdict in verdicts) and (refusal := verdicts[0].refusal):
            raise _refusal(refusal)
        return address

    async def accept(self, message: Path, envelope: Envelope) -> Accepted:
        """Keep a mail: return when it is safe, or raise :class:`Refusal` when nothing of it is kept.

        Whoever may go away meanwhile shields the call. Faults of ours (:class:`OSError`, the database's) pass through.
        """
        async with self.opened(message) as opened:
            return await self.take(opened, envelope)

    @contextlib.asynccontextmanager
    async def opened(self, message: Path, *, head: bool = False) -> AsyncIterator[Opened]:
        """Read a message and give what it says for the length of a block; raises :class:`Refusal`.

        ``head``: the file holds a header without its message, which can be read but not taken.
        """
        with spool.beside(message, self._blobs) as content:
            try:
                mail = await self._reader.read(message, content, head=head)
            except ChildDied as fault:
                log.exception("no reader of mail could be started")
                raise Refusal(451, "4.3.0", "Mail cannot be read here at the moment. Try again later.") from fault
            yield Opened(message, mail, content)

    async def take(
        self,
        opened: Opened,
        envelope: Envelope,
        *,
        once: str | None = None,
        beside: Callable[[sa.Connection], None] | None = None,
    ) -> Accepted:
        """Keep a mail that is open, as :meth:`accept` does.

        ``once`` names it where it has no Message-ID. ``beside`` writes what is to stand or fall with it, in the same
        transaction.
        """
        mail = opened.mail
        faxed.check_loop(mail)
        facts = await self._proven(opened.message, self._facts(mail, envelope), envelope)
        if envelope.asks and _answerable(mail, envelope):
            facts = confirming.asking(self._policy.current, facts) or facts
        decision = self._decide(facts)
        if decision.sender is None:  # decide() names a number wherever it does not refuse
            raise Refusal(451, "4.3.0", "The mail cannot be taken at the moment. Try again later.")
        wish = options.asked(mail.options, mail.subject, decision.sender)
        wanted = faxed.files(mail, decision.sender, covered=wish.covered(decision.sender))
        faxed.check_files(wanted, self._attachment_bytes, mail.skipped)
        files = await asyncio.to_thread(self._keep, wanted, opened.content)
        asked, refusals = self._asked(mail, envelope, facts, decision, decision.sender, wish, files)
        if mail.message_id is None:
            asked = replace(asked, once=once)
        made = await self._committer.commit(asked, beside)
        refused = sum(recipient.refusal is not None for recipient in asked.recipients)
        accepted = Accepted(
            made.first, made.faxes, refused, repeated=made.id is None, refusals=refusals,
            unconfirmed=asked.confirm_until is not None,
        )  # fmt: skip
        log.info(
            "mail repeated" if accepted.repeated else "mail accepted",
            submission=accepted.submission,
            faxes=list(accepted.faxes),
            refused=accepted.refused,
            files=len(files),
            bytes=sum(file.size for file in files),
            skipped=mail.skipped,
        )
        return accepted

    def _facts(self, mail: ParsedMessage, envelope: Envelope) -> Facts:
        try:
            sender = normalise_address(mail.sender)
        except BadAddress:
            raise Refusal(550, "5.6.0", "The From line cannot be read: it has to hold one mail address.") from None
        return Facts(
            from_address=sender,
            recipients=tuple(address.number for address in envelope.recipients),
            domain=envelope.recipients[0].domain,
            proofs=envelope.proofs | {one.proof for one in envelope.identities if one.proves(sender)},
            client_ip=envelope.client,
            requested_number=mail.requested_number,
            attachment_bytes=tuple(file.size for file in mail.attachments),
        )

    async def _proven(self, message: Path, facts: Facts, envelope: Envelope) -> Facts:
        """Return the facts with what the mail proves by itself; it is examined only where the policy misses that."""
        if envelope.examine is None or Proof.DMARC not in decide(self._policy.current, facts).missing_proofs:
            return facts
        return replace(facts, proofs=facts.proofs | await envelope.examine(message, facts.from_address))

    def _decide(self, facts: Facts) -> Decision:
        """Return the policy's decision, or raise what it refuses the whole mail with."""
        decision = decide(self._policy.current, facts)
        if decision.refusal is not None:
            log.info(
                "mail refused by policy",
                kind=decision.refusal.kind.label,
                missing_proofs=sorted(proof.value for proof in decision.missing_proofs),
                sender=facts.from_address,
            )
            raise _refusal(decision.refusal)
        return decision

    def _keep(self, attachments: Sequence[Attachment], content: Path) -> tuple[File, ...]:
        """Keep each file as a blob, synced. Blocking."""
        kept = []
        with content.open("rb") as source:
            for file in attachments:
                with self._blobs.scratch() as path:
                    with path.open("wb") as target:
                        _copy(source.fileno(), target.fileno(), file.offset, file.size)
                    blob = self._blobs.adopt(path)
                kept.append(File(file.name, file.media_type, file.size, blob.name))
        return tuple(kept)

    def _asked(
        self,
        mail: ParsedMessage,
        envelope: Envelope,
        facts: Facts,
        decision: Decision,
        number: Number,
        wish: options.Wish,
        files: tuple[File, ...],
    ) -> tuple[Submission, tuple[Refusal | None, ...]]:
        """Return what is asked for, and why each of the envelope's recipients is refused, if it is."""
        named = list(_recipients(self._policy, number.number, envelope.recipients, decision))
        proof = self._proof(facts, number.number)
        named, kept = wished(named, envelope, mail, facts.from_address, proof)
        refusals = tuple(
            _refusal(verdict.refusal)
            if verdict.refusal
            else Refusal(550, "5.7.1", one.refusal)
            if one.refusal
            else None
            for one, verdict in zip(named, decision.recipients, strict=True)
        )
        wanted = [one for one in named if not (envelope.each and one.refusal)]
        if not wanted and (first := refusals[0]) is not None:
            raise first
        once: dict[str, Recipient] = {}
        for one in wanted:
            once.setdefault(one.number, one)
        unconfirmed = Proof.CONFIRM in facts.proofs
        asked = Submission(
            source=envelope.source,
            sender=facts.from_address,
            proof=proof,
            number=number.number,
            subject=wish.subject,
            files=files,
            recipients=tuple(once.values()),
            message_id=mail.message_id,
            thread=mail.thread,
            answerable=_answerable(mail, envelope) and not unconfirmed,
            confirm_until=self._clock() + number.confirm_within.total_seconds() if unconfirmed else None,
            settings=self._settings(mail, decision, number, wish) | kept,
            facts=replay.kept(facts),
        )
        return asked, refusals

    def _settings(self, mail: ParsedMessage, decision: Decision, number: Number, wish: options.Wish) -> dict[str, Any]:
        """Return the settings of a submission with what its mail asks for."""
        settings = submission_settings(number.settings, number, decision.language)
        if wish.covered(number):
            settings |= cover.settings_of(number, wish.look, has_text=mail.body is not None)
        return options.applied(wish.options, settings, now=self._clock(), ahead=number.schedule_within)

    def _proof(self, facts: Facts, number: str) -> str:
        """Return the strongest proof that suffices by itself for sending as ``number``."""
        if len(facts.proofs) == 1:
            return str(next(iter(facts.proofs)).value)
        for proof in _BY_STRENGTH:
            if proof in facts.proofs:
                alone = decide(self._policy.current, replace(facts, proofs=frozenset({proof})))
                if alone.sender is not None and alone.sender.number == number:
                    return str(proof.value)
        return next(str(proof.value) for proof in _BY_STRENGTH if proof in facts.proofs)


def _answerable(mail: ParsedMessage, envelope: Envelope) -> bool:
    """Whether a mail's sender may be written to (RFC 3834 section 2)."""
    return bool(envelope.return_path) and not mail.automatic


def _regions(policy: Policy, address: FaxAddress, domain: policies.Domain) -> Iterable[str | None]:
    """Return the regions by which the digits may be read, the domain's own first: the sending number decides later."""
    if address.number.startswith("+"):
        return (domain.default_region,)
    own = {number.default_region or domain.default_region for number in policy.numbers.values()}
    return (domain.default_region, *sorted(region for region in own - {domain.default_region} if region))


def _recipients(
    policy: PolicyHolder, sending: str, addresses: Sequence[FaxAddress], decision: Decision
) -> Iterable[Recipient]:
    """Yield what is asked for; a number may be among it twice, in other spellings."""
    for address, verdict in zip(addresses, decision.recipients, strict=True):
        number = verdict.dialled or verdict.number or address.number[:16]
        yield policy.recipient(sending, number, f"{address.number}@{address.domain}", verdict)


def _refusal(refusal: policies.Refusal) -> Refusal:
    return Refusal(refusal.kind.smtp_code, refusal.kind.enhanced_code, refusal.sentence)


def _copy(source: int, target: int, offset: int, size: int) -> None:
    while size:
        copied = os.sendfile(target, source, offset, size)
        if copied == 0:
            raise OSError("the content of a mail ended early: its reader named bytes that are not there")
        offset, size = offset + copied, size - copied
