"""Which mails a fax's sender is owed as the fax moves: a pure decision, made of an event and its rows.

A sender who may be written to (RFC 3834 section 2) gets one receipt when the fax has ended, and, before that, what its
number's policy, the mail itself or its server asked for. Where the server said of what it wants to hear (NOTIFY, RFC
3461), its word stands in place of the others: a report is owed for each event that it named, and nothing beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from relay.fax import Outbound, terminal
from relay.mailer.dsn import occasion, wishes_of
from relay.notification import Notify
from relay.outbox import Post

if TYPE_CHECKING:
    import sqlalchemy as sa

    from relay.mailer.record import Record
    from relay.notification import Wishes

RECEIPT: Final = "receipt"
WAITING: Final = "waiting"
ACCEPTED: Final = "accepted"
DELAYED: Final = "delayed"

#: Keys of a fax's settings: whether its sender hears that it was accepted, and after how many seconds that it is late.
ACCEPTED_MAIL: Final = "accepted_mail"
DELAYED_MAIL: Final = "delayed_mail"
#: Seconds after which a server that asked for it (NOTIFY=DELAY) hears of a delay, where the policy names no time.
PATIENT: Final = 15 * 60.0


def to_sender(event: sa.Row[Any], after: Outbound, fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
    """Return what the sender of a fax is owed for its move to ``after``, where there is one who may be written to."""
    if submission is None or not submission.answerable or not submission.sender:
        return []
    wishes = wishes_of(fax)
    if wishes.notify is None and _unwanted(after, fax):
        return []
    reader = submission.sender if wishes.notify is None else wishes.address
    if not reader:
        return []
    if event.before is None and not terminal(after):
        late = _late_after(fax, wishes)
        # A key of its own: what waits for its time must not hold up the receipt.
        return [] if late is None else [Post(reader, DELAYED, f"{fax.id}:{DELAYED}", after=late)]
    kind = _kind(event, after, fax, wishes)
    return [] if kind is None else [Post(reader, kind, f"{fax.id}:{reader}")]


def moot(record: Record) -> bool:
    """Whether there is no delay to tell of any more: the fax has ended, or its sender heard why it waits."""
    return terminal(Outbound(record.fax.state)) or any(_waits(event) for event in record.events)


def _unwanted(after: Outbound, fax: sa.Row[Any]) -> bool:
    """Whether the mail itself asked not to hear of this (the option ``notify``)."""
    match fax.settings.get("notify"):
        case "none":
            return True
        case "failure":
            return after is Outbound.SENT or not terminal(after)
    return False


def _kind(event: sa.Row[Any], after: Outbound, fax: sa.Row[Any], wishes: Wishes) -> str | None:
    if terminal(after):
        return RECEIPT if _wants(wishes, occasion(after)) else None
    if _waits(event):
        return WAITING if _wants(wishes, Notify.DELAY) else None
    # A fax whose pages are made again between two calls is queued from PREPARING too.
    first = after is Outbound.QUEUED and event.before != Outbound.DIALING.value and not fax.attempts
    return ACCEPTED if first and wishes.notify is None and fax.settings.get(ACCEPTED_MAIL) else None


def _waits(event: sa.Row[Any]) -> bool:
    """Whether an event is that of a fax which has to wait for its hours of sending before its first call."""
    queued = event.after == Outbound.QUEUED.value and event.before != Outbound.DIALING.value
    return queued and (event.detail or {}).get("waits_until") is not None


def _wants(wishes: Wishes, what: Notify) -> bool:
    return wishes.notify is None or what in wishes.notify


def _late_after(fax: sa.Row[Any], wishes: Wishes) -> float | None:
    """Return the seconds after which the sender hears of a delay, ``None`` for never."""
    told: float | None = fax.settings.get(DELAYED_MAIL)
    if wishes.notify is None:
        return told
    return (told or PATIENT) if Notify.DELAY in wishes.notify else None
