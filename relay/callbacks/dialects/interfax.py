"""``interfax``: POST of a form with 34 fields, in the order of the document that it comes from.

It is told of every fax that we sent and that ended; the document knows no other. ``Status`` is a code of
:mod:`relay.callbacks.codes`. What the relay has no figure for is blank. ``PostponeTime`` is zeros where the fax was
not to wait, as the document has it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from relay.callbacks import codes
from relay.callbacks.dialects import writing
from relay.callbacks.endpoint import Unfit
from relay.callbacks.event import ENDS
from relay.callbacks.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.endpoint import Endpoint
    from relay.callbacks.event import Event

OPTIONS: Final[Mapping[str, str]] = {}
PRESET: Final[tuple[float, ...]] = ()

_NO_TIME: Final = "00/00/0000 00:00:00"


class Kind(Enum):
    """The type of a field."""

    STRING = "string"
    LONG = "long"
    INT = "int"
    DECIMAL = "decimal"
    TIME = "dateTime"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``value``: a time in seconds since 1970; ``None`` where nothing is known."""

    name: str
    kind: Kind
    value: str | float | None


def check(endpoint: Endpoint) -> None:
    """Raise :class:`Unfit` where the endpoint has an address for received faxes alone, or half a login."""
    if endpoint.inbound_url not in {"", endpoint.url}:
        raise Unfit("inbound_url", "this dialect tells of faxes that were sent, and of no received ones")
    if endpoint.password and not endpoint.user:
        raise Unfit("user", "a password stands without a user")
    if ":" in endpoint.user:
        raise Unfit("user", "a user's name holds no colon (RFC 7617 section 2)")


def render(event: Event, endpoint: Endpoint, now: float) -> Request | None:
    """Return the request of a fax that ended."""
    del now
    told = fields(event)
    if told is None or not endpoint.url:
        return None
    headers = (("Content-Type", "application/x-www-form-urlencoded"), *login(endpoint))
    body = writing.lower_form([(one.name, _written(one)) for one in told]).encode("ascii")
    return Request("POST", endpoint.url, writing.with_own(headers, endpoint.headers), body)


def understood(status: int, body: bytes) -> bool:
    """Return whether the status is of class 2."""
    del body
    return writing.good(status)


def login(endpoint: Endpoint) -> writing.Pairs:
    """Return the header of HTTP basic authentication (RFC 7617), where the endpoint has a user."""
    if not endpoint.user:
        return ()
    return (("Authorization", "Basic " + base64.b64encode(f"{endpoint.user}:{endpoint.password}".encode()).decode()),)


def fields(event: Event) -> tuple[Field, ...] | None:
    """Return the 34 fields of a fax that we sent and that ended, ``None`` for any other event."""
    fax, asked = event.fax, event.submission
    if fax is None or event.inbound or event.name not in ENDS:
        return None
    several = asked is not None and asked.totals.recipients > 1
    return (
        Field("TransactionIDType", Kind.STRING, "Outbound"),
        Field("TransactionID", Kind.LONG, fax.id),
        Field("CompletionTime", Kind.TIME, event.at),
        Field("Contact", Kind.STRING, ""),
        Field("CostPerUnit", Kind.DECIMAL, None),
        Field("DeleteAfterUsage", Kind.STRING, ""),
        Field("DestinationFax", Kind.STRING, fax.peer),
        Field("Duration", Kind.INT, fax.talk_seconds),
        Field("JobID", Kind.STRING, ""),
        Field("MessageID", Kind.STRING, ""),
        Field("Mode", Kind.STRING, ""),
        Field("NumOfTransactions", Kind.INT, asked.totals.recipients if asked is not None else None),
        Field("PageHeader", Kind.STRING, fax.header),
        Field("PageOrientation", Kind.STRING, "portrait"),  # a landscape page is turned before it is sent
        Field("PageResolution", Kind.STRING, {"standard": "standard", "": ""}.get(fax.resolution, "high")),
        Field("PageSize", Kind.STRING, fax.paper),
        Field("PagesSent", Kind.INT, fax.pages_confirmed),
        Field("PagesSubmitted", Kind.INT, fax.pages),
        Field("ParentTransactionID", Kind.LONG, asked.id if asked is not None and several else None),
        Field("PostponeTime", Kind.TIME, fax.scheduled_at),
        Field("Priority", Kind.INT, fax.priority),
        Field("RemoteCSID", Kind.STRING, fax.remote_ident),
        Field("RenderingQuality", Kind.STRING, ""),
        Field("ReplyEmail", Kind.STRING, asked.reply_to if asked is not None else ""),
        Field("RetriesInterval", Kind.INT, fax.retry_seconds),
        Field("RetriesToPerform", Kind.INT, fax.retries),
        Field("SenderCSID", Kind.STRING, fax.ident),
        Field("Status", Kind.INT, codes.error(event)),
        Field("Subject", Kind.STRING, asked.subject if asked is not None else ""),
        Field("SubmitTime", Kind.TIME, fax.created_at),
        Field("TrialsPerformed", Kind.INT, len(fax.attempts)),
        Field("Units", Kind.DECIMAL, None),
        Field("UserData", Kind.STRING, ""),
        Field("UserID", Kind.STRING, asked.sender if asked is not None else ""),
    )


def plain(one: Field) -> str:
    """Return a value that is no time as text; empty where there is none."""
    if one.kind is Kind.INT and isinstance(one.value, int | float):
        return writing.figure(one.value)
    return str(one.value) if one.value is not None else ""


def _written(one: Field) -> str:
    if one.kind is not Kind.TIME:
        return plain(one)
    return writing.day_first(one.value) if isinstance(one.value, int | float) else _NO_TIME
