"""The outbox's lane for disposition notifications (RFC 8098): a mail program asked to hear that its mail was processed.

A lane of its own, because one event owes one target of a lane one delivery, and the receipt is that. Invariants: said
of a fax whose last page was confirmed and of no other; sent to the proven sender alone, who is also the return path
(:mod:`relay.intake.wishes` holds RFC 8098 section 2.1), once per fax, never where the fax was sent again by a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from relay.fax import Direction, Outbound
from relay.mailer import notice
from relay.mailer import record as records
from relay.mailer.compose import Envelope, Identity, Thread, notice_letter
from relay.mailer.dsn import final_recipient, wishes_of
from relay.mailer.multipart import DISPOSITION, Machine
from relay.notification import ORIGINAL
from relay.outbox import Outcome, Patience, Post

if TYPE_CHECKING:
    from datetime import tzinfo

    import sqlalchemy as sa

    from relay.mailer.language import Languages
    from relay.mailer.letter import Carrier
    from relay.mailer.multipart import Fields
    from relay.mailer.record import Record
    from relay.store.engine import Store
    from relay.store.queue import Claim

PROCESSED: Final = "processed"


class DispositionLane:
    """Mails disposition notifications. ``hostname``: what the relay calls itself in them."""

    name = "disposition"

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        languages: Languages,
        identity: Identity,
        *,
        hostname: str,
        zone: tzinfo,
    ) -> None:
        self.patience = Patience()
        self._store = store
        self._carrier = carrier
        self._languages = languages
        self._identity = identity
        self._hostname = hostname
        self._zone = zone

    def routes(self, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
        """Return the notification that a confirmed fax asks for."""
        sent = fax.direction == Direction.OUTBOUND.value and event.after == Outbound.SENT.value
        if not sent or submission is None or not submission.answerable:
            return []
        reader = wishes_of(fax).read_receipt
        return [Post(reader, PROCESSED, f"{fax.id}:{reader}")] if reader and reader == submission.sender else []

    async def deliver(self, claim: Claim) -> Outcome:
        """Compose one notification and hand it over."""
        record = await self._store.read(records.read, claim.row.fax_id)
        language = self._languages.get(record.fax.settings.get("language", "en"))
        asked = record.submission
        letter = notice_letter(
            notice.processed(record, language, self._zone),
            language,
            self._identity,
            Envelope(claim.row.target, claim.id, claim.row.created_at),
            thread=Thread(asked.message_id or "", asked.thread) if asked is not None else Thread(),
            machine=disposition(record, self._hostname),
        )
        return await self._carrier.send(letter)


def disposition(record: Record, hostname: str) -> Machine:
    """Return what machines read of a fax that was confirmed (RFC 8098 section 3.2)."""
    asked, wishes = record.submission, wishes_of(record.fax)
    told = (
        ("Reporting-UA", f"{hostname}; faxrelay"),
        ("Original-Recipient", wishes.original),
        ("Final-Recipient", final_recipient(record)),
        ("Original-Message-ID", (asked.message_id or "") if asked is not None else ""),
        ("Disposition", "automatic-action/MDN-sent-automatically; processed"),
    )
    fields: Fields = tuple((name, value) for name, value in told if value)
    return Machine(DISPOSITION, (fields,), asked.settings.get(ORIGINAL, "") if asked is not None else "")
