"""How dialects write times, numbers, queries and headers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import phonenumbers

if TYPE_CHECKING:
    from collections.abc import Sequence

Pairs = tuple[tuple[str, str], ...]

_ESCAPE: Final = re.compile("%[0-9A-F]{2}")


def good(status: int) -> bool:
    """Return whether an HTTP status is of class 2."""
    return status // 100 == 2  # noqa: PLR2004  the class is the figure


def iso(at: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC with milliseconds.

    >>> iso(1425686344.5), iso(None)
    ('2015-03-06T23:59:04.500Z', None)
    """
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_seconds(at: float | None) -> str:
    """Return a time as ISO 8601 in UTC with whole seconds, empty where there is none.

    >>> iso_seconds(1425686344.9)
    '2015-03-06T23:59:04Z'
    """
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None else ""


def day_first(at: float | None) -> str:
    """Return a time as ``dd/mm/yyyy hh:mm:ss`` in UTC, empty where there is none.

    >>> day_first(1425686344.9)
    '06/03/2015 23:59:04'
    """
    return datetime.fromtimestamp(int(at), UTC).strftime("%d/%m/%Y %H:%M:%S") if at is not None else ""


def figure(value: float | None) -> str:
    """Return a whole number, rounded; empty where there is none."""
    return str(round(value)) if value is not None else ""


def digits(number: str) -> str:
    """Return the digits of a number.

    >>> digits("+972 3-765")
    '9723765'
    """
    return "".join(letter for letter in number if letter in "0123456789")


def dashed(number: str) -> str:
    """Return an E.164 number as country code, ``-`` and the rest; what is none stays as it is.

    >>> dashed("+15555551212"), dashed("anonymous")
    ('1-5555551212', 'anonymous')
    """
    if not number.startswith("+"):
        return number
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return digits(number)
    code = str(parsed.country_code)
    return f"{code}-{digits(number).removeprefix(code)}"


def national(number: str, region: str) -> str:
    """Return a number as it is dialled within ``region`` (ISO 3166), else the digits with its country code.

    >>> national("+84901888484", "VN"), national("+15555551212", "VN")
    ('0901888484', '15555551212')
    """
    if number.startswith("+") and region:
        try:
            parsed = phonenumbers.parse(number, None)
        except phonenumbers.NumberParseException:
            return digits(number)
        if parsed.country_code == phonenumbers.country_code_for_region(region):
            return digits(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL))
    return digits(number)


def lower_form(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a form with lower-case escapes and ``+`` for a space.

    >>> lower_form([("at", "23:59"), ("csid", "Test CSID")])
    'at=23%3a59&csid=Test+CSID'
    """
    return "&".join(f"{quote(key, safe='')}={_lower(value)}" for key, value in pairs)


def _lower(value: str) -> str:
    escaped = quote(value, safe="-_.!*() ", errors="replace").replace(" ", "+").replace("~", "%7E")
    return _ESCAPE.sub(lambda found: found[0].lower(), escaped)


def upper_query(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a query with upper-case escapes, ``%20`` for a space, and braces as they are.

    >>> upper_query([("error_info", '{"a b"}')])
    'error_info={%22a%20b%22}'
    """
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='{}', errors='replace')}" for key, value in pairs)


def with_query(url: str, query: str) -> str:
    """Return an address with a query behind what it already asks; a fragment is left out: no server gets to see it.

    >>> with_query("https://example.com/a?b=c#d", "e=f")
    'https://example.com/a?b=c&e=f'
    """
    bare = url.partition("#")[0]
    if "?" not in bare:
        return f"{bare}?{query}"
    return f"{bare}{query}" if bare.endswith(("?", "&")) else f"{bare}&{query}"


def with_own(headers: Pairs, own: Pairs) -> Pairs:
    """Return the dialect's headers, then the endpoint's own; one that the dialect sets cannot be set twice."""
    taken = {name.lower() for name, _ in headers}
    return (*headers, *((name, value) for name, value in own if name.lower() not in taken))
