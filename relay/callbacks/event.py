"""What a callback may tell of one event of one fax: true values, or nothing where nothing is known.

Every dialect is a projection of :class:`Event` and reads no row. Times are seconds since 1970 (UTC), durations are
seconds, numbers are E.164, ids are text. A text that is not known is empty, a figure that is not known is ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal  # noqa: TC003  pydantic reads it
from enum import Enum
from typing import Any, Final

from pydantic import TypeAdapter

#: The version of what is told: it grows when a field changes its meaning, never when one is added.
VERSION: Final = 1


class Name(Enum):
    """The events that are told outside."""

    RECEIVED = "fax.received"
    ACCEPTED = "fax.accepted"
    HELD = "fax.held"
    RELEASED = "fax.released"
    REFUSED = "fax.refused"
    QUEUED = "fax.queued"
    DIALING = "fax.dialing"
    ATTEMPT_FAILED = "fax.attempt_failed"
    SENT = "fax.sent"
    FAILED = "fax.failed"
    UNCERTAIN = "fax.uncertain"
    CANCELLED = "fax.cancelled"
    COMPLETED = "submission.completed"
    MAIL_DELIVERED = "mail.delivered"
    MAIL_BOUNCED = "mail.bounced"
    MAIL_OPENED = "mail.opened"
    SUSPENDED = "callback.suspended"


#: The ends of a fax that we send.
ENDS: Final = frozenset({Name.SENT, Name.FAILED, Name.UNCERTAIN, Name.CANCELLED, Name.REFUSED})
MAILS: Final = frozenset({Name.MAIL_DELIVERED, Name.MAIL_BOUNCED, Name.MAIL_OPENED})


class Occasion(Enum):
    """As what an event is told: the act itself, the end of one recipient, the end of the whole submission."""

    ACTION = "action"
    STEP = "step"
    FLOW = "flow"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call. ``cause``: of :class:`transport.seam.Cause`, empty while it lasts; ``why``: the same as a sentence.

    ``sip_code`` and ``t30_code``: the raw codes. ``call``: the line's name for it. ``next``: what followed, as a
    sentence.
    """

    number: int
    started_at: float
    ended_at: float | None = None
    trunk: str = ""
    cause: str = ""
    why: str = ""
    pages_confirmed: int = 0
    sip_code: int | None = None
    sip_reason: str = ""
    t30_code: int | None = None
    t30_reason: str = ""
    ring_seconds: float | None = None
    talk_seconds: float | None = None
    bit_rate: int | None = None
    ecm: bool | None = None
    call: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Fax:
    """The fax. ``number`` is ours, ``peer`` the far one; ``peer_written``: the recipient as its sender wrote it.

    ``ident`` is what our machine calls itself, ``remote_ident`` what the far one does; ``document_id`` names its
    pages. ``step``: which recipient of its submission it is, from 1. ``scheduled_at``: before when its sender did not
    want it dialled. ``talk_seconds``: of the call that ended it. ``retries`` are allowed after the first call,
    ``retry_seconds`` apart. ``credits``: what it came to. ``simulated``: a call of it used no telephone line.
    """

    id: str
    direction: str
    state: str
    number: str
    peer: str
    created_at: float
    reason: str = ""
    peer_written: str = ""
    caller_id: str = ""
    ident: str = ""
    remote_ident: str = ""
    subaddress: str = ""
    header: str = ""
    document_id: str = ""
    pages: int | None = None
    pages_confirmed: int = 0
    attempts: tuple[Attempt, ...] = ()
    talk_seconds: float | None = None
    resolution: str = ""
    paper: str = ""
    priority: int | None = None
    retries: int | None = None
    retry_seconds: float | None = None
    scheduled_at: float | None = None
    billing: str = ""
    resend_of: str = ""
    step: int = 1
    ended_at: float | None = None
    credits: Decimal | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """The recipients of a submission, and of them: how many were called, and how many ended in which way."""

    recipients: int
    called: int = 0
    sent: int = 0
    failed: int = 0
    uncertain: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Submission:
    """One mail or one call of the API. ``sender``: the proven address.

    ``reply_to``: who gets its receipts; ``reference``: what its sender's program calls it; ``credits``: its sum.
    """

    id: str
    source: str
    totals: Totals
    created_at: float
    sender: str = ""
    reply_to: str = ""
    subject: str = ""
    message_id: str = ""
    reference: str = ""
    credits: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a held fax waits or waited for: ``kind`` and ``verdict`` as in the table ``hold``; ``by``: who decided."""

    kind: str
    why: str = ""
    verdict: str = ""
    by: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail with a received fax: whom it went to, and what that one's server answered."""

    recipient: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Suspension:
    """An endpoint that is not called any more: its name, its failures in a row, and why."""

    endpoint: str
    failures: int
    why: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``id`` stays the same over every attempt to tell it; ``sequence`` grows per fax, 0 without a fax.

    ``test``: somebody asked for this call, and what it tells did not happen. ``download_url``: where the pages can be
    fetched by whoever may.
    """

    id: str
    name: Name
    at: float
    sequence: int = 0
    version: int = VERSION
    test: bool = False
    reason: str = ""
    fax: Fax | None = None
    submission: Submission | None = None
    decision: Decision | None = None
    mail: Mail | None = None
    suspension: Suspension | None = None
    download_url: str = ""
    occasion: Occasion = Occasion.ACTION

    @property
    def inbound(self) -> bool:
        """Whether it is of a fax that we received."""
        return self.fax is not None and self.fax.direction == "inbound"

    @property
    def success(self) -> bool | None:
        """Whether it tells of a good end (``True``), a bad one (``False``) or of none.

        A submission has a good end when every recipient was sent to; an uncertain fax has not.
        """
        if self.name is Name.COMPLETED and self.submission is not None:
            return self.submission.totals.sent == self.submission.totals.recipients
        if self.name in {Name.SENT, Name.RECEIVED, Name.MAIL_DELIVERED, Name.MAIL_OPENED}:
            return True
        bad = self.name in ENDS or self.name in {Name.MAIL_BOUNCED, Name.ATTEMPT_FAILED, Name.SUSPENDED}
        return False if bad else None

    def told_as(self, occasion: Occasion) -> Event:
        """Return the same event, told as something else."""
        return replace(self, occasion=occasion)


_EVENTS: Final = TypeAdapter(Event)


def encode(event: Event) -> dict[str, Any]:
    """Return an event as JSON values, to be kept until it has been told."""
    kept: dict[str, Any] = _EVENTS.dump_python(event, mode="json")
    return kept


def decode(kept: dict[str, Any]) -> Event:
    """Return the event that :func:`encode` kept."""
    return _EVENTS.validate_python(kept)
