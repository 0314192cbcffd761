"""``assinaturas``: POST of JSON about documents that people sign, and about registered mails.

A submission is the document, each recipient a step of it. What a recipient or a person did is an action; the mail with
a received fax is the registered mail. An id is a number as in the document's sample, but text, as in its table, where
a JavaScript receiver could not hold the number exactly.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from relay.callbacks.dialects import writing
from relay.callbacks.endpoint import Unfit
from relay.callbacks.event import ENDS, MAILS, Name, Occasion
from relay.callbacks.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.endpoint import Endpoint
    from relay.callbacks.event import Event, Fax

OPTIONS: Final[Mapping[str, str]] = {
    "signature": "The action that tells that a recipient got the fax: SIGNATURE-SERVER (unless told), "
    "SIGNATURE-DIGITAL or SIGNATURE-ELETRONIC.",
}
#: Every 30 minutes for 24 hours.
PRESET: Final = (1800.0,) * 48

_SIGNED: Final = "SIGNATURE-SERVER"
_SIGNATURES: Final = frozenset({_SIGNED, "SIGNATURE-DIGITAL", "SIGNATURE-ELETRONIC"})
_REJECTED: Final = "SIGNATURE-NOK"
#: The first words of an action that answers a hold of a kind.
_DECISIONS: Final = {"approval": "APPROVAL", "confirm": "AUTHORIZATION"}
_MAILS: Final = {
    Name.MAIL_DELIVERED: "DELIVERED",
    Name.MAIL_BOUNCED: "NOT-DELIVERED",
    Name.MAIL_OPENED: "OPENED",
}
#: ECMAScript's Number.MAX_SAFE_INTEGER.
_EXACT: Final = 2**53 - 1


def check(endpoint: Endpoint) -> None:
    """Raise :class:`Unfit` for an action that the dialect does not know."""
    action = endpoint.options.get("signature", _SIGNED)
    if action not in _SIGNATURES:
        raise Unfit("signature", f"it is one of {', '.join(sorted(_SIGNATURES))}")


def render(event: Event, endpoint: Endpoint, now: float) -> Request | None:
    """Return the request of an action, a step, a flow or a mail."""
    del now
    url = endpoint.inbound_url if event.inbound else endpoint.url
    told = _mail(event) if event.name in MAILS else _document(event, endpoint)
    if told is None or not url:
        return None
    headers = (("Content-Type", "application/json; charset=utf-8"),)
    body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    return Request("POST", url, writing.with_own(headers, endpoint.headers), body)


def understood(status: int, body: bytes) -> bool:
    """Return whether the status is of class 2."""
    del body
    return writing.good(status)


def _document(event: Event, endpoint: Endpoint) -> dict[str, Any] | None:
    fax, asked = event.fax, event.submission
    if fax is None or asked is None or event.inbound:
        return None
    action = _action(event, fax, endpoint.options.get("signature", _SIGNED))
    if action is None:
        return None
    name, identifier = _who(event, fax, action)
    message = "" if event.name in {Name.SENT, Name.COMPLETED} else event.reason
    return {
        "documentID": _id(asked.id),
        "name": name,
        "identifier": identifier,
        "action": action,
        "message": "test" if event.test else message,
        "apiDownload": event.download_url,
    }


def _action(event: Event, fax: Fax, signed: str) -> str | None:
    if event.occasion is Occasion.FLOW or event.name is Name.COMPLETED:
        return "FLOW"
    if event.occasion is Occasion.STEP:
        return f"STEP-{fax.step}"
    match event.name:
        case Name.SENT:
            return signed
        case Name.ATTEMPT_FAILED:
            return _REJECTED
        case Name.RELEASED | Name.REFUSED if event.decision is not None:
            word = "OK" if event.name is Name.RELEASED else "NOK"
            return f"{_DECISIONS.get(event.decision.kind, 'AUTHORIZATION')}-{word}"
    return _REJECTED if event.name in ENDS else None


def _who(event: Event, fax: Fax, action: str) -> tuple[str, str]:
    """Return the name and the identifier of whoever acted; of a person only the address is known.

    The end of a flow is nobody's act.
    """
    if action == "FLOW":
        return "", ""
    if event.decision is not None and action.startswith(("APPROVAL", "AUTHORIZATION")):
        return "", event.decision.by
    return fax.remote_ident, fax.peer


def _mail(event: Event) -> dict[str, Any] | None:
    if event.fax is None or event.mail is None:
        return None
    return {
        "type": "REGISTERED-MAIL",
        "registeredMailId": _id(event.fax.id),
        "recipient": event.mail.recipient,
        "action": _MAILS[event.name],
        "info": {"message": event.mail.answer},
    }


def _id(written: str) -> int | str:
    exact = written.isascii() and written.isdigit() and str(int(written)) == written and int(written) <= _EXACT
    return int(written) if exact else written
