"""URLs of HTTP endpoints, read strictly: what two programs would read in two ways is refused.

Sources: RFC 3986, RFC 9110 4.2.4 (no user information), and the WHATWG URL Standard for what browsers take for an
address: a host whose last label is a number is an address, and is taken in its one usual spelling alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

#: The longest URL, characters: what receivers commonly take.
MAX_URL: Final = 8000
_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.ASCII | re.IGNORECASE)
_SIGNS: Final = re.compile(r"[!$-;=?-Z\[\]_a-z~]*", re.ASCII)
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?", re.ASCII)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_MAX_NAME: Final = 253
_HIGHEST_PORT: Final = 65535
_REMEDY: Final = "write it like https://fax.example.com/callback"


class BadUrl(ValueError):
    """The text is no URL that can be called. ``remedy`` says what to write; neither repeats the text."""

    def __init__(self, message: str, remedy: str = _REMEDY) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """``host``: a name in lower case, or an address without brackets; ``target``: path and query, byte for byte."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Return the host as a Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(text: str) -> HttpUrl:
    """Return what a URL means; raise :class:`BadUrl`.

    >>> parse_url("https://Fax.example.com:8443/a?b=%2f").authority
    'fax.example.com:8443'
    >>> parse_url("http://2130706433/")
    Traceback (most recent call last):
        ...
    policies.urls.BadUrl: the host is an address in an unusual spelling
    """
    if len(text) > MAX_URL:
        raise BadUrl(f"the URL is longer than {MAX_URL} characters", "shorten it")
    if "#" in text:
        raise BadUrl("a fragment (#) is never sent", "leave it out")
    match = _URL.fullmatch(text)
    if match is None:
        raise BadUrl("the URL does not begin with https:// or http://")
    if not _SIGNS.fullmatch(text):
        raise BadUrl("the URL holds signs that must be escaped", "write them as %20 and the like, a name as xn--...")
    scheme, authority, target = match[1].lower(), match[2], match[3]
    if "@" in authority:
        raise BadUrl("a URL must not hold a user or a password", "use the key for secrets")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or not parts[1]:
        raise BadUrl("the URL names no host")
    port = int(parts[2]) if parts[2] else _PORTS[scheme]
    if not 0 < port <= _HIGHEST_PORT:
        raise BadUrl(f"there is no port {port}", f"write 1 to {_HIGHEST_PORT}")
    return HttpUrl(scheme, _host(parts[1]), port, target if target.startswith("/") else f"/{target}")


def _host(text: str) -> str:
    if text.startswith("["):
        return _address_6(text[1:-1])
    name = text.lower().removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            address = str(IPv4Address(name))
        except AddressValueError:
            address = ""
        if address != text:
            raise BadUrl("the host is an address in an unusual spelling", "write four numbers without leading zeros")
        return address
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise BadUrl("the URL names no host")
    return name


def _address_6(text: str) -> str:
    if "%" in text:
        raise BadUrl("an address with a zone means something on one machine only", "write an address without a zone")
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise BadUrl("the host is no IPv6 address") from None
