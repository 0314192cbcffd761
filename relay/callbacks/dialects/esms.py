"""``esms``: GET about text messages; a submission is the message, and the type decides which keys stand.

Escapes are as in the document's samples: upper case, ``%20`` for a space, braces as they are. Of a message without a
telephone number (type 1) only what holds for all its recipients is told.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import phonenumbers

from relay.callbacks import codes
from relay.callbacks.dialects import writing
from relay.callbacks.endpoint import Unfit
from relay.callbacks.event import ENDS, Name
from relay.callbacks.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.endpoint import Endpoint
    from relay.callbacks.event import Event, Submission

OPTIONS: Final[Mapping[str, str]] = {
    "type_id": "TypeId, which decides which keys stand: 1, 2 (unless told), 23, 24, 25, 26, 27.",
    "telcoid": "What telcoid says, for types that have it; blank unless told.",
    "oaid": "What oaid says, likewise.",
    "tempid": "What tempid says, likewise.",
    "region": "Country (ISO 3166, such as VN) whose numbers are written as they are dialled there; the others have "
    "their country code. Unless told, all have it.",
    "secret_key": "Name of the query key that holds the endpoint's secret; `key` unless told.",
}
#: It stops after 5 attempts. The document names no pause; a minute unless the endpoint says.
PRESET: Final = (60.0, 60.0, 60.0, 60.0)

_TYPE: Final = "2"
#: The keys behind TypeId. There is no sample of 24; it is told like 25, which is of the same service.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "1": (),
    "2": ("telcoid", "phonenumber", "switchsmsid"),
    "23": ("telcoid", "phonenumber"),
    "24": ("telcoid", "phonenumber", "partnerids", "error_info", "oaid", "tempid"),
    "25": ("telcoid", "phonenumber", "partnerids", "error_info", "oaid", "tempid"),
    "26": ("phonenumber", "error_info", "oaid", "partnerids"),
    "27": ("phonenumber", "error_info", "oaid", "partnerids"),
}
#: Ends that no far side decided.
_NOT_BY_A_CALL: Final = frozenset({Name.CANCELLED, Name.REFUSED, Name.UNCERTAIN})
_NESTED: Final = frozenset({"26", "27"})
_STATUS: Final = {
    Name.HELD: 1,
    Name.QUEUED: 2,
    Name.RELEASED: 2,
    Name.ATTEMPT_FAILED: 2,
    Name.REFUSED: 4,
    Name.DIALING: 7,
    Name.COMPLETED: 5,
    **dict.fromkeys(ENDS - {Name.REFUSED}, 5),
}
_OWN: Final = frozenset(
    {
        "SMSID", "SendFailed", "SendStatus", "SendSuccess", "TotalPrice", "TotalReceiver", "TotalSent", "RequestId",
        "TypeId", "telcoid", "phonenumber", "partnerids", "error_info", "oaid", "tempid", "switchsmsid",
    }
)  # fmt: skip
#: What ECMAScript's encodeURI leaves as it is, beside letters and digits.
_URI: Final = "-_.!~*'();/?:@&=+$,#"
#: RFC 3261 section 21.2.1: the call was answered.
_OK: Final = 200


def check(endpoint: Endpoint) -> None:
    """Raise :class:`Unfit` for an unknown type or country, a clash of keys, or received faxes."""
    if endpoint.inbound_url not in {"", endpoint.url}:
        raise Unfit("inbound_url", "this dialect tells of messages that were sent, and of no received ones")
    if endpoint.options.get("type_id", _TYPE) not in _KEYS:
        raise Unfit("type_id", f"it is one of {', '.join(_KEYS)}")
    region = endpoint.options.get("region", "")
    if region and region not in phonenumbers.SUPPORTED_REGIONS:
        raise Unfit("region", "it is the code of a country, such as VN")
    if endpoint.options.get("secret_key", "key") in _OWN:
        raise Unfit("secret_key", "the dialect has a key of this name")


def render(event: Event, endpoint: Endpoint, now: float) -> Request | None:
    """Return the request of a fax that is held, waits, is called or ended, or of a submission that did."""
    del now
    asked, status = event.submission, _STATUS.get(event.name)
    if asked is None or event.fax is None or event.inbound or status is None or not endpoint.url:
        return None
    kind = endpoint.options.get("type_id", _TYPE)
    if kind == "1" and event.name is not Name.COMPLETED and asked.totals.recipients > 1:
        return None
    pairs = [*_totals(asked, status), ("TypeId", kind), *((key, _value(key, event, endpoint)) for key in _KEYS[kind])]
    if endpoint.secrets:
        pairs.append((endpoint.options.get("secret_key", "key"), endpoint.secrets[0]))
    return Request("GET", writing.with_query(endpoint.url, writing.upper_query(pairs)), endpoint.headers)


def understood(status: int, body: bytes) -> bool:
    """Return whether the status is of class 2."""
    del body
    return writing.good(status)


def _totals(asked: Submission, status: int) -> writing.Pairs:
    totals = asked.totals
    return (
        ("SMSID", asked.id),
        ("SendFailed", str(totals.failed + totals.cancelled)),
        ("SendStatus", str(status)),
        ("SendSuccess", str(totals.sent)),
        ("TotalPrice", f"{asked.credits:.4f}" if asked.credits is not None else ""),
        ("TotalReceiver", str(totals.recipients)),
        ("TotalSent", str(totals.called)),
        ("RequestId", asked.reference),
    )


def _value(key: str, event: Event, endpoint: Endpoint) -> str:
    fax, asked = event.fax, event.submission
    if fax is None or asked is None or (event.name is Name.COMPLETED and asked.totals.recipients > 1):
        fax = None  # it is of no one recipient
    match key:
        case "phonenumber":
            return writing.national(fax.peer, endpoint.options.get("region", "")) if fax is not None else ""
        case "partnerids":
            return fax.attempts[-1].call if fax is not None and fax.attempts else ""
        case "error_info":
            return _error(event, nested=endpoint.options.get("type_id") in _NESTED) if fax is not None else ""
        case "switchsmsid":
            return ""
    return endpoint.options.get(key, "")


def _error(event: Event, *, nested: bool) -> str:
    """Return what became of it as the samples write it; blank before a fax has ended."""
    fax = event.fax
    if fax is None or event.success is None:
        return ""
    why = event.reason or fax.reason
    told = {"error": 0, "message": "Success"} if event.success else {"error": _code(event), "message": why}
    if not nested:
        return _json(_json(told))
    data = {"message_id": fax.id, "user_id": fax.peer_written}
    return quote(f"{_json({'data': data, **told})}____{writing.day_first(event.at)}", safe=_URI, errors="replace")


def _code(event: Event) -> int:
    """Return the far side's own code where it did not take the call, else the relay's."""
    last = codes.deciding(event) if event.name not in _NOT_BY_A_CALL else None
    return last.sip_code if last is not None and last.sip_code not in {None, _OK} else codes.error(event)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
