"""The types of values in policy files: from the text that was written to the value that is meant.

Every type takes text, because :mod:`policies.document` keeps all scalars as written, and refuses with a message and a
remedy. Each carries the JSON Schema that an editor should apply, where an unquoted number is a number.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Any, TypeAlias, TypeVar

import phonenumbers
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from policies.addresses import BadAddress, Pattern, normalise_address, normalise_domain, parse_pattern
from policies.numbers import BadNumber, parse_number
from policies.policy import MEGABYTE, Network
from policies.rewriting import BadRewrite, compile_pattern
from policies.secrets import BadReference, SecretReference, parse_reference

#: The error type under which a message and its remedy travel through pydantic.
TOLD = "told"
#: Keys beside JSON Schema's own, for the reference: what a value is called, its unit, whether a list may be one value.
VALUE, UNIT, SINGLE = "x-value", "x-unit", "x-single"

_MAX_TEXT = 500
_MAX_HEADER = 50
_COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?", re.ASCII)
_MAX_DURATION = timedelta(days=7)
_MAX_LONG_DURATION = timedelta(days=365)
_SIZE = re.compile(r"(\d{1,12}) ?(KB|MB|)", re.ASCII)
_SIZE_UNITS = {"": 1, "KB": 1024, "MB": MEGABYTE}
#: ITU-T T.30 table 3: what a TSI may hold.
_IDENT = re.compile(r"[0-9+ ]{1,20}", re.ASCII)
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
#: What stands in routes, channels and file names: no comma, no colon, no dot, and no sign at the beginning.
_LINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,29}", re.ASCII)
#: Names of what is no trunk and no device.
_TAKEN_NAMES = frozenset({"simulated", "device"})
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_MAX_HOST = 253
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):([0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65535
#: Printable ASCII without space and what ends a quoted or bracketed part of a SIP header (RFC 3261 25.1).
_USER_NAME = re.compile(r"[!#-;=?-\[\]-~]{1,64}", re.ASCII)
_DIAL_PREFIX = re.compile(r"[0-9*#]{1,10}", re.ASCII)
_COST = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)
_RATES = (2400, 4800, 7200, 9600, 12000, 14400)


def told(message: str, remedy: str) -> PydanticCustomError:
    """Return the error that a validator raises: what is wrong and what would be right."""
    return PydanticCustomError(TOLD, "{message}", {"message": message, "remedy": remedy})


def text_of(value: object) -> str:
    """Return the text of a value; raises for a list or a mapping."""
    if not isinstance(value, str):
        raise told("this must be one value", "write it on the line of its key")
    return value


def _free_text(value: object) -> str:
    text = text_of(value).strip()  # a YAML block ends with a line break
    if len(text) > _MAX_TEXT or not text.isprintable():
        raise told("the text is too long or holds signs that cannot be shown", f"write one line of up to {_MAX_TEXT}")
    return text


def _number(value: object, info: ValidationInfo) -> str:
    try:
        return parse_number(text_of(value), info.data.get("default_region") or info.data.get("region"))
    except BadNumber as error:
        sentence = error.sentence.rstrip(".")
        raise told(sentence[0].lower() + sentence[1:], "write it like +972312345678") from None


def _country(value: object) -> str:
    text = text_of(value).upper()
    if text not in _COUNTRIES:
        raise told(f"there is no country {shown(text)}", "write its two letters of ISO 3166, such as IL or US")
    return text


def _language(value: object, info: ValidationInfo) -> str:
    text = text_of(value)
    known: frozenset[str] = (info.context or {}).get("languages", frozenset({"en"}))
    if text not in known:
        raise told(f"there is no language {shown(text)} here", f"write one of {', '.join(sorted(known))}")
    return text


def _domain(value: object) -> str:
    try:
        return normalise_domain(text_of(value))
    except BadAddress as error:
        raise told(f"this is no mail domain: {error}", "write it like fax.example.com") from None


def _address(value: object) -> str:
    try:
        return normalise_address(text_of(value))
    except BadAddress as error:
        raise told(f"this is no mail address: {error}", "write it like user@example.com") from None


def _pattern(value: object) -> Pattern:
    try:
        return parse_pattern(text_of(value))
    except BadAddress as error:
        remedy = "write user@example.com, @example.com or @*.example.com"
        raise told(f"this names no sender: {error}", remedy) from None


def _network(value: object) -> Network:
    text = text_of(value)
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        remedy = f"write {ip_network(text, strict=False)}"
    except ValueError:
        remedy = "write it like 192.0.2.0/24 or 2001:db8::/32"
    raise told(f"{shown(text)} is no network", remedy)


def _flag(value: object) -> bool:
    if value in {"true", "True", "false", "False"}:
        return value in {"true", "True"}
    raise told("this is neither true nor false", "write true or false")


def _count(value: object) -> int:
    text = text_of(value)
    if not _COUNT.fullmatch(text):
        raise told(f"{shown(text)} is no whole number", "write digits only, such as 20")
    return int(text)


def length_of_time(text: str, longest: timedelta) -> timedelta:
    """Return the length of time that a text means; raises for what is none, and above ``longest``."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise told(f"{shown(text)} is no length of time", "write it like 90s, 5m or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if duration > longest:
        raise told(f"{text} is longer than {longest.days} days", f"write {longest.days}d at most")
    return duration


def _duration(value: object) -> timedelta:
    return length_of_time(text_of(value), _MAX_DURATION)


def _long_duration(value: object) -> timedelta:
    return length_of_time(text_of(value), _MAX_LONG_DURATION)


def _seconds(value: object) -> int:
    text = text_of(value)
    return int(text) if _COUNT.fullmatch(text) else int(length_of_time(text, _MAX_DURATION).total_seconds())


def _size(value: object) -> int:
    text = text_of(value)
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise told(f"{shown(text)} is no size", "write bytes, or 500KB, or 10MB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def _ident(value: object) -> str:
    text = text_of(value)
    if not _IDENT.fullmatch(text):
        raise told("an ident holds up to 20 of digits, space and + (ITU-T T.30)", "write it like +972 3 123 45678")
    return text


def _header(value: object) -> str:
    text = text_of(value)
    if len(text) > _MAX_HEADER or not text.isprintable():
        raise told(f"a header line holds up to {_MAX_HEADER} printable characters", "shorten it")
    return text


def _prefix(value: object) -> str:
    text = text_of(value)
    if not _PREFIX.fullmatch(text):
        raise told(f"{shown(text)} is no prefix", "write + and up to 15 digits, beginning with the country code: +4420")
    return text


def _rate(value: object) -> int:
    if value not in {str(rate) for rate in _RATES}:
        raise told("there is no such speed", f"write one of {', '.join(map(str, _RATES))}")
    return int(text_of(value))


def _regex(value: object) -> re.Pattern[str]:
    try:
        return compile_pattern(text_of(value))
    except BadRewrite as error:
        raise told(str(error), error.remedy) from None


def _line_name(value: object) -> str:
    text = text_of(value)
    if not _LINE_NAME.fullmatch(text):
        raise told(
            f"{shown(text)} is no name of a trunk or device",
            "write up to 30 letters, digits, - and _, beginning with a letter or digit",
        )
    if text.lower() in _TAKEN_NAMES:
        raise told(f"the name {text} means something else here", "choose another, such as carrier or reception")
    return text


def _host(value: object) -> str:
    text = text_of(value)
    if _WITH_PORT.fullmatch(text):
        raise told(f"{shown(text)} is a host with a port", "write the host alone, and the port in the key port")
    return _host_alone(text)


def _host_alone(text: str) -> str:
    """Return a name in lower case, or an address without brackets."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare or text != bare or bare.replace(".", "").isdigit():
        try:
            address = ip_address(bare)
        except ValueError:
            address = None
        if address is not None and (text == bare or isinstance(address, IPv6Address)) and "%" not in bare:
            return str(address)
    elif len(text) <= _MAX_HOST and _HOST.fullmatch(text):
        return text.lower()
    remedy = "write a name or an address alone, like sip.example.com or 192.0.2.1"
    raise told(f"{shown(text)} is no host", remedy)


def _host_port(value: object) -> str:
    text = text_of(value)
    match = _WITH_PORT.fullmatch(text)
    host = _host_alone(match[1] if match else text)
    shown = f"[{host}]" if ":" in host else host
    if match is None:
        return shown
    if not 0 < int(match[2]) <= _HIGHEST_PORT:
        raise told(f"there is no port {match[2]}", f"write 1 to {_HIGHEST_PORT}")
    return f"{shown}:{int(match[2])}"


def _user_name(value: object) -> str:
    text = text_of(value)
    if not _USER_NAME.fullmatch(text):
        raise told(
            "a user name holds up to 64 printable ASCII signs other than space, quotes, <, > and \\",
            "write it as the carrier gave it",
        )
    return text


def _secret(value: object) -> SecretReference:
    try:
        return parse_reference(text_of(value))
    except BadReference as error:
        raise told(str(error), error.remedy) from None


def _dial_prefix(value: object) -> str:
    text = text_of(value)
    if not _DIAL_PREFIX.fullmatch(text):
        raise told(f"{shown(text)} cannot be dialled", "write up to 10 of digits, * and #, such as 9")
    return text


def _cost(value: object) -> Decimal:
    text = text_of(value)
    if not _COST.fullmatch(text):
        raise told(f"{shown(text)} is no cost", "write it like 0.015, without a currency")
    return Decimal(text)


def _absolute_path(value: object) -> str:
    text = text_of(value)
    if not text.startswith("/") or len(text) > _MAX_TEXT or not text.isprintable():
        raise told("the path must be absolute", "write it like /etc/faxrelay/carrier.pem")
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_empty(value: list[Any]) -> list[Any]:
    if not value:
        raise told("the list is empty", "name at least one, or remove the key")
    return value


def shown(text: str) -> str:
    """Return a text from a file as a message quotes it."""
    return repr(text if len(text) <= _MAX_HEADER else text[:_MAX_HEADER] + "...")


T = TypeVar("T")


def written(value: str, **json_schema: Any) -> WithJsonSchema:
    """Return the schema of a value, called ``value`` in the reference; text unless told otherwise."""
    return WithJsonSchema({"type": "string", **json_schema, VALUE: value})


_DIGITS_TOO = ["string", "integer"]
_NUMBERS_TOO = ["string", "number"]

Text: TypeAlias = Annotated[str, PlainValidator(_free_text), written("text", type=_NUMBERS_TOO)]
TelephoneNumber: TypeAlias = Annotated[str, PlainValidator(_number), written("telephone number", type=_DIGITS_TOO)]
CountryCode: TypeAlias = Annotated[
    str, PlainValidator(_country), written("country (ISO 3166)", pattern="^[A-Za-z]{2}$")
]
LanguageCode: TypeAlias = Annotated[str, PlainValidator(_language), written("language, such as `en`")]
MailDomain: TypeAlias = Annotated[str, PlainValidator(_domain), written("mail domain")]
MailAddress: TypeAlias = Annotated[str, PlainValidator(_address), written("mail address", pattern="@")]
SenderPattern: TypeAlias = Annotated[Pattern, PlainValidator(_pattern), written("sender", pattern="@")]
NetworkText: TypeAlias = Annotated[Network, PlainValidator(_network), written("network (CIDR)")]
Flag: TypeAlias = Annotated[bool, PlainValidator(_flag), written("`true` or `false`", type="boolean")]
Count: TypeAlias = Annotated[int, BeforeValidator(_count)]
Positive: TypeAlias = Annotated[int, Field(ge=1), BeforeValidator(_count)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=_HIGHEST_PORT), BeforeValidator(_count)]
Duration: TypeAlias = Annotated[
    timedelta,
    PlainValidator(_duration),
    written("length of time, such as `90s`, `5m`, `1h30m`", pattern="^([0-9]+[dhms])+$"),
]
LongDuration: TypeAlias = Annotated[
    timedelta, PlainValidator(_long_duration), written("length of time, such as `30d`", pattern="^([0-9]+[dhms])+$")
]
#: Seconds, which may also be written as a length of time. The bounds of the key are checked after the reading.
Seconds: TypeAlias = Annotated[
    int, BeforeValidator(_seconds), written("seconds, or a length of time such as `10m`", type=_DIGITS_TOO)
]
Size: TypeAlias = Annotated[int, PlainValidator(_size), written("size", type=_DIGITS_TOO)]
Ident: TypeAlias = Annotated[str, PlainValidator(_ident), written("digits, space, +", type=_DIGITS_TOO)]
HeaderLine: TypeAlias = Annotated[str, PlainValidator(_header), written("text", type=_NUMBERS_TOO)]
Prefix: TypeAlias = Annotated[str, PlainValidator(_prefix), written("first digits, such as `+4420`", type=_DIGITS_TOO)]
Rate: TypeAlias = Annotated[int, PlainValidator(_rate), WithJsonSchema({"enum": list(_RATES)})]
Regex: TypeAlias = Annotated[re.Pattern[str], PlainValidator(_regex), written("regular expression")]
LineName: TypeAlias = Annotated[str, PlainValidator(_line_name), written("name", type=_DIGITS_TOO)]
HostName: TypeAlias = Annotated[str, PlainValidator(_host), written("host name or address")]
HostPort: TypeAlias = Annotated[str, PlainValidator(_host_port), written("`host` or `host:port`")]
UserName: TypeAlias = Annotated[str, PlainValidator(_user_name), written("text", type=_DIGITS_TOO)]
SecretText: TypeAlias = Annotated[
    SecretReference, PlainValidator(_secret), written("`env:NAME` or `file:/PATH`", pattern="^(env:|file:/)")
]
DialPrefix: TypeAlias = Annotated[str, PlainValidator(_dial_prefix), written("digits, `*`, `#`", type=_DIGITS_TOO)]
Cost: TypeAlias = Annotated[Decimal, PlainValidator(_cost), written("amount, such as `0.015`", type=_NUMBERS_TOO)]
AbsolutePath: TypeAlias = Annotated[str, PlainValidator(_absolute_path), written("absolute path", pattern="^/")]
#: A list that may be written as a single value, and is never written empty.
OneOrMore: TypeAlias = Annotated[list[T], AfterValidator(_not_empty), BeforeValidator(_listed)]
