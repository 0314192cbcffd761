"""The outbox's device lane: the receipt of what one of our own machines sent, printed by that machine.

A delivery here is a submission of one fax to the device; how that ends is the new fax's affair. The submission is
named by the delivery, so that a delivery that is made twice is one fax.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from relay.fax import Direction, Outbound, state, terminal
from relay.ledger import submit
from relay.mailer import record as records
from relay.mailer.receipt import receipt
from relay.outbox import Delivered, Outcome, Patience, Post, Refused
from relay.submission import File, Recipient, Submission
from transport.accounts import DEVICE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    import sqlalchemy as sa

    from relay.ids import IdSource
    from relay.mailer.enclosures import Enclosures
    from relay.mailer.language import Languages
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store
    from relay.store.queue import Claim

RECEIPT: Final = "receipt"


class DeviceLane:
    """Faxes receipts to the devices whose policy asks for them (``receipts_to_device``)."""

    name = "device"

    def __init__(
        self,
        store: Store,
        blobs: LocalBlobs,
        enclosures: Enclosures,
        languages: Languages,
        ids: IdSource,
        clock: Callable[[], float],
        *,
        zone: tzinfo,
    ) -> None:
        self.patience = Patience()
        self._store = store
        self._blobs = blobs
        self._enclosures = enclosures
        self._languages = languages
        self._ids = ids
        self._clock = clock
        self._zone = zone

    def routes(self, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
        """Return the device's post where a fax that it sent has ended."""
        device = fax.settings.get("receipt_device")
        if event.after is None or submission is None or device is None or fax.direction != Direction.OUTBOUND.value:
            return []
        after = state(Direction.OUTBOUND, event.after)
        ended = isinstance(after, Outbound) and terminal(after)
        return [Post(device, RECEIPT, f"{fax.id}:{device}")] if ended else []

    async def deliver(self, claim: Claim) -> Outcome:
        """Submit the receipt as a fax to the device."""
        record = await self._store.read(records.read, claim.row.fax_id)
        language = self._languages.get(record.fax.settings.get("language", "en"))
        pdf = await self._enclosures.receipt_pdf(receipt(record, language, self._zone), record)
        if pdf is None:
            return Refused("the receipt's PDF cannot be made")
        blob = await asyncio.to_thread(self._blobs.put, pdf)
        device, number = claim.row.target, record.fax.number
        asked = Submission(
            source="relay",
            sender=None,
            proof="relay",
            number=number,
            subject=f"Receipt of fax {record.fax.id}",
            files=(File("receipt.pdf", "application/pdf", blob.size, blob.name),),
            recipients=(Recipient(number, device, {"trunks": [f"{DEVICE}{device}"], "pinned": True}),),
            answerable=False,
            once=f"receipt {claim.id}",
        )
        made = await self._store.write(submit, self._ids, asked, self._clock())
        return Delivered(f"fax {made.faxes[0]}")
