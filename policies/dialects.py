"""What each dialect of callbacks knows, so that an entry that asks for more is refused when it is read.

``relay.callbacks.dialects`` writes the requests; tests hold the two together.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final

import phonenumbers

from policies.endpoints import CallbackEvent, Dialect, Method

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The options that a dialect knows, and whether it has to have them.
OPTIONS: Final[Mapping[Dialect, Mapping[str, bool]]] = {
    Dialect.SFAX: {"user": True, "api_key": True, "iv": False},
    Dialect.ASSINATURAS: {"signature": False},
    Dialect.ESMS: dict.fromkeys(("type_id", "telcoid", "oaid", "tempid", "region", "secret_key"), False),
}
#: Dialects that sign, and cannot without a secret.
SIGNING: Final = frozenset({Dialect.STANDARD, Dialect.SFAX})
#: Dialects that do something with a secret.
SECRETIVE: Final = SIGNING | {Dialect.ESMS}
#: Dialects that tell nothing of received faxes.
OUTBOUND_ONLY: Final = frozenset({Dialect.INTERFAX, Dialect.INTERFAX_SOAP, Dialect.ESMS})
#: Dialects that know HTTP basic authentication.
LOGGING_IN: Final = frozenset({Dialect.INTERFAX, Dialect.INTERFAX_SOAP})
#: How the requests of a dialect can be made, the usual way first.
METHODS: Final[Mapping[Dialect, tuple[Method, ...]]] = {
    Dialect.STANDARD: (Method.POST, Method.PUT),
    Dialect.SFAX: (Method.GET,),
    Dialect.INTERFAX: (Method.POST,),
    Dialect.INTERFAX_SOAP: (Method.POST,),
    Dialect.ASSINATURAS: (Method.POST,),
    Dialect.ESMS: (Method.GET,),
}
#: Headers that a dialect writes itself, in lower case, beside those that every request has.
WRITTEN: Final[Mapping[Dialect, frozenset[str]]] = {Dialect.INTERFAX_SOAP: frozenset({"soapaction"})}

_ENDS: Final = frozenset(
    {CallbackEvent.SENT, CallbackEvent.FAILED, CallbackEvent.UNCERTAIN, CallbackEvent.CANCELLED, CallbackEvent.REFUSED}
)
_MAILS: Final = frozenset({CallbackEvent.MAIL_DELIVERED, CallbackEvent.MAIL_BOUNCED, CallbackEvent.MAIL_OPENED})
_ON_THE_WAY: Final = frozenset({CallbackEvent.RELEASED, CallbackEvent.ATTEMPT_FAILED, CallbackEvent.COMPLETED})
#: The events that a dialect can tell.
TOLD: Final[Mapping[Dialect, frozenset[CallbackEvent]]] = {
    Dialect.STANDARD: frozenset(CallbackEvent),
    Dialect.SFAX: _ENDS | {CallbackEvent.RECEIVED},
    Dialect.INTERFAX: _ENDS,
    Dialect.INTERFAX_SOAP: _ENDS,
    Dialect.ASSINATURAS: _ENDS | _ON_THE_WAY | _MAILS,
    Dialect.ESMS: _ENDS | _ON_THE_WAY | {CallbackEvent.HELD, CallbackEvent.QUEUED, CallbackEvent.DIALING},
}

_LONGEST_KEY: Final = 32
_IV: Final = 16
_SIGNATURES: Final = ("SIGNATURE-SERVER", "SIGNATURE-DIGITAL", "SIGNATURE-ELETRONIC")
_TYPES: Final = ("1", "2", "23", "24", "25", "26", "27")
#: Types of `esms` without a key that an option fills.
_WITHOUT: Final = {
    "telcoid": frozenset({"1", "26", "27"}),
    "oaid": frozenset({"1", "2", "23"}),
    "tempid": frozenset({"1", "2", "23", "26", "27"}),
    "region": frozenset({"1"}),
}
_QUERY_KEYS: Final = frozenset(
    {"SMSID", "SendFailed", "SendStatus", "SendSuccess", "TotalPrice", "TotalReceiver", "TotalSent", "RequestId",
     "TypeId", "telcoid", "phonenumber", "partnerids", "error_info", "oaid", "tempid", "switchsmsid"}
)  # fmt: skip


def option_fault(name: str, value: str, options: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with the value of an option, and the remedy; ``None`` where it can be used.

    ``options``: all of the entry. What is secret is not looked at before it is used.
    """
    kind = options.get("type_id", "2")
    if kind in _WITHOUT.get(name, ()):
        return f"the option {name} has no effect with type_id {kind}", "remove one of the two"
    return _value_fault(name, value)


def _value_fault(name: str, value: str) -> tuple[str, str] | None:
    match name:
        case "user" | "api_key" if not value or "&" in value or "=" in value:
            return f"{name} is empty or holds & or =, which the token cannot carry", "write it without them"
        case "api_key" if len(value) > _LONGEST_KEY:
            return f"an API key has at most {_LONGEST_KEY} characters", "shorten it"
        case "iv" if not value.isascii() or len(value) != _IV:
            return f"an initialisation vector has {_IV} ASCII characters", "write so many, or remove the option"
        case "signature" if value not in _SIGNATURES:
            return f"{_shown(value)} is no action of a signature", f"write one of {', '.join(_SIGNATURES)}"
        case "type_id" if value not in _TYPES:
            return f"{_shown(value)} is no type", f"write one of {', '.join(_TYPES)}"
        case "region" if value not in phonenumbers.SUPPORTED_REGIONS:
            return f"{_shown(value)} is no country", "write its code (ISO 3166), such as VN"
        case "secret_key" if value in _QUERY_KEYS or not value:
            return "the dialect has a key of this name, or it is empty", "write another name, such as key"
    return None


def _shown(value: str) -> str:
    """Return a value as an error repeats it: short and printable."""
    return "".join(letter if letter in string.printable[:95] else "?" for letter in value[:40]) or "an empty text"
