"""The quarantine: a received fax whose caller the policy blocks is kept, and a person may let it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.errors import IllegalMove
from relay.fax import Inbound
from relay.inbound import devices, reading
from relay.ledger import submit
from relay.store import faxes
from relay.store.engine import Topic, announce
from relay.store.tables import document
from relay.submission import File

if TYPE_CHECKING:
    from relay.ids import IdSource


def release(connection: sa.Connection, ids: IdSource, fax_id: int, now: float, who: str) -> None:
    """Deliver a fax to those whom it was for when it came, in the caller's transaction.

    Raises :class:`relay.errors.NotFound`, and :class:`relay.errors.IllegalMove` for one that is not in quarantine.
    """
    row = faxes.get(connection, fax_id, lock=True)
    if row.state != Inbound.QUARANTINED.value:
        raise IllegalMove(f"fax {fax_id} is {row.state}: only a fax in quarantine can be released")
    meant_for = row.settings.get("meant_for", {})
    settings: dict[str, Any] = {**row.settings, **meant_for}
    after, reason = reading.next_of(settings, f"let out of the quarantine by {who}")
    faxes.move(connection, ids, fax_id, after, at=now, reason=reason, changes={"settings": settings})
    if after is Inbound.READING:
        announce(connection, Topic.READ)
    kept = connection.execute(sa.select(document).where(document.c.id == row.document_id)).first()
    if kept is not None and kept.blob is not None:
        onward = devices.passed_on(settings, row.number, File("fax.tif", "image/tiff", kept.size, kept.blob), fax_id)
        if onward is not None:
            submit(connection, ids, onward, now)
