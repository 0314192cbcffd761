"""What becomes of the mail with a received fax after a server took it: its recipient opens it, or it comes back.

Inside a caller's transaction: what changes and the event that tells it are one. Invariants: each is told once for one
mail, however often it is reported; nothing is told of a mail that is no received fax's, or whose fax was erased.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from relay.errors import Refusal
from relay.outbox.lane import State
from relay.store import faxes
from relay.store.tables import RECEIVED_FAX, delivery, event, fax

if TYPE_CHECKING:
    from relay.ids import IdSource

OPENED: Final = "mail.opened"
BOUNCED: Final = "mail.bounced"
DELIVERED: Final = "mail.delivered"
_MAIL: Final = "mail"
_UNDER_WAY: Final = "What became of the mail is not written yet. Try again later."


@dataclass(frozen=True, slots=True)
class MailReport:
    """What somebody reported on a mail: ``opened``, or else returned. ``words``: how it is known, one line."""

    delivery: int
    opened: bool
    words: str


def of_delivery(connection: sa.Connection, delivery_id: int) -> sa.Row[Any] | None:
    """Return the delivery of a received fax's mail, ``None`` where there is none of that id."""
    here = sa.and_(delivery.c.id == delivery_id, delivery.c.kind == RECEIVED_FAX, delivery.c.lane == _MAIL)
    return connection.execute(sa.select(delivery).where(here, delivery.c.fax_id.is_not(None))).first()


def note(connection: sa.Connection, ids: IdSource, report: MailReport, now: float) -> bool:
    """Write what was reported, with its event; return ``False`` where it changes nothing.

    Raises a temporary :class:`Refusal` for a mail that came back before we wrote that a server had it.
    """
    row = of_delivery(connection, report.delivery)
    if row is None:
        return False
    faxes.get(connection, row.fax_id, lock=True)  # two reports at once are one
    if report.opened:
        return _opened(connection, ids, row, report.words, now)
    return _bounced(connection, ids, row, report.words, now)


def told(recipient: str, answer: str, delivery_id: int) -> dict[str, Any]:
    """Return the detail of an event of a mail."""
    return {"recipient": recipient, "answer": answer, "delivery": str(delivery_id)}


def _opened(connection: sa.Connection, ids: IdSource, row: sa.Row[Any], words: str, now: float) -> bool:
    of_fax = sa.select(event.c.detail).where(event.c.fax_id == row.fax_id, event.c.kind == OPENED)
    if any(known["delivery"] == str(row.id) for known in connection.execute(of_fax).scalars()):
        return False
    detail = told(row.target, words, row.id)
    faxes.note(connection, ids, row.fax_id, OPENED, at=now, reason=words, detail=detail, outside=True)
    return True


def _bounced(connection: sa.Connection, ids: IdSource, row: sa.Row[Any], words: str, now: float) -> bool:
    """Note that a mail came back which a server had taken; one that was never tried, or was refused, is told already.

    A quick server returns a mail before our connection to it has ended, and its report comes once: whoever brings it
    is asked to bring it again. ``row`` decides, read before the update: what was ended in between is asked for too.
    """
    taken = sa.and_(delivery.c.id == row.id, delivery.c.state == State.DONE.value)
    if connection.execute(delivery.update().where(taken).values(state=State.FAILED.value, answer=words)).rowcount != 1:
        if row.state == State.DUE.value and row.attempts > 0:
            raise Refusal(451, "4.3.0", _UNDER_WAY)
        return False
    reason = f"the mail to {row.target} came back: {words}"
    detail = told(row.target, words, row.id)
    faxes.note(connection, ids, row.fax_id, BOUNCED, at=now, reason=reason, detail=detail, outside=True)
    others = sa.select(delivery.c.id).where(
        delivery.c.fax_id == row.fax_id, delivery.c.kind == RECEIVED_FAX, delivery.c.state != State.FAILED.value
    )
    if connection.execute(others.limit(1)).first() is None:
        connection.execute(fax.update().where(fax.c.id == row.fax_id).values(reason=reason, updated_at=now))
    return True
