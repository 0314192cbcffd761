"""SIP and tel URIs, and the addresses of From, To, Contact, Route (RFC 3261 19.1, 20.10; RFC 3966).

Reading is lenient, for carriers write much; what is written by us is escaped, so that nothing from outside can end a
header. A text that has no usable address raises :class:`BadAddress`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 1024  # characters of one address
#: What a user part may hold as it is (RFC 3261 25.1: unreserved, user-unreserved).
_USER_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,;?/")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\]", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+", re.ASCII)
_HIGHEST_PORT = 65535


class BadAddress(ValueError):
    """The text is no address that can be used."""


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI. ``host`` is empty for ``tel:``; IPv6 hosts are without brackets. ``params``: lower-case name to value."""

    scheme: str
    user: str
    host: str
    port: int | None = None
    params: tuple[tuple[str, str | None], ...] = ()

    def param(self, name: str) -> str | None:
        """Return a parameter's value, empty where it has none; ``None`` where it is not there."""
        return next((value or "" for key, value in self.params if key == name), None)

    @property
    def transport(self) -> str:
        """What carries messages to it: ``udp``, ``tcp``, ``tls``, or empty where it does not say."""
        if self.scheme == "sips":
            return "tls"
        return (self.param("transport") or "").lower()

    def __str__(self) -> str:
        """Return it as it goes into a header, escaped."""
        user = "".join(
            one if one in _USER_SAFE else "".join(f"%{byte:02X}" for byte in one.encode(errors="surrogateescape"))
            for one in self.user
        )
        if self.scheme == "tel":
            return f"tel:{user}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        params = "".join(f";{key}" if value is None else f";{key}={value}" for key, value in self.params)
        return f"{self.scheme}:{user}{'@' if user else ''}{host}{port}{params}"


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a header: a display name, a URI, the header's own parameters (lower-case names)."""

    uri: Uri
    display: str = ""
    params: dict[str, str | None] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The tag, empty without one."""
        return self.params.get("tag") or ""


def parse_uri(text: str) -> Uri:
    """Return the URI of a text; raises :class:`BadAddress`."""
    text = text.strip()
    if len(text) > _MOST:
        raise BadAddress("an address is too long")
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in ("sip", "sips", "tel"):
        raise BadAddress("an address is neither sip:, sips: nor tel:")
    if scheme == "tel":
        number = rest.split(";", 1)[0]
        if not number:
            raise BadAddress("a tel: address has no number")
        return Uri("tel", unquote(number), "")
    user, at, host = rest.partition("@")  # a user part may hold ? and ;, but no @ (RFC 3261 25.1)
    if not at:
        user, host = "", rest
    hostport, *params = host.split("?", 1)[0].split(";")
    user = user.split(":", 1)[0].split(";", 1)[0]
    return Uri(scheme, unquote(user, errors="replace"), *_host_port(hostport), params=tuple(_uri_params(params)))


def _host_port(text: str) -> tuple[str, int | None]:
    match = _HOST.match(text)
    if match is None:
        raise BadAddress("an address has no host")
    host, rest = match[0], text[match.end() :]
    port: int | None = None
    if rest:
        if not re.fullmatch(r":[0-9]{1,5}", rest, re.ASCII):
            raise BadAddress("an address has a bad port")
        port = int(rest[1:])
        if not 0 < port <= _HIGHEST_PORT:
            raise BadAddress("an address has a bad port")
    return host.strip("[]"), port


def _uri_params(params: list[str]) -> Iterator[tuple[str, str | None]]:
    for param in params:
        name, equals, value = param.partition("=")
        name = name.strip().lower()
        if _TOKEN.fullmatch(name) and (not equals or re.fullmatch(r"[^\s<>;,\"@?]*", value.strip())):
            yield name, (value.strip() if equals else None)


def parse_address(text: str) -> Address:
    """Return the address of a From, To, Contact, Route... value; raises :class:`BadAddress`."""
    text = text.strip()
    if len(text) > 2 * _MOST:
        raise BadAddress("an address is too long")
    display = ""
    if text.startswith('"'):
        quoted = re.match(r'"((?:[^"\\]|\\.)*)"\s*', text, re.DOTALL)
        if quoted is None:
            raise BadAddress("a display name has no end")
        display, text = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL), text[quoted.end() :]
        if not text.startswith("<"):
            raise BadAddress("an address has no brackets after its display name")
    if "<" in text:
        before, _, rest = text.partition("<")
        inner, closed, after = rest.partition(">")
        if not closed:
            raise BadAddress("an address has no closing bracket")
        display = display or before.strip()
        return Address(parse_uri(inner), display, dict(_header_params(after)))
    bare, _, after = text.partition(";")  # without brackets, parameters are the header's (RFC 3261 20)
    return Address(parse_uri(bare), display, dict(_header_params(";" + after)))


def _header_params(text: str) -> Iterator[tuple[str, str | None]]:
    for param in split(text, ";"):
        name, equals, value = param.partition("=")
        name = name.strip().lower()
        if _TOKEN.fullmatch(name):
            yield name, (value.strip().strip('"') if equals else None)


def split(text: str, separator: str = ",") -> list[str]:
    """Return the parts of a header's value, split at separators outside quotes and angle brackets."""
    parts, depth, quoted, start, at = [], 0, False, 0, 0
    while at < len(text):
        one = text[at]
        if quoted:
            if one == "\\":
                at += 1
            elif one == '"':
                quoted = False
        elif one == '"':
            quoted = True
        elif one == "<":
            depth += 1
        elif one == ">":
            depth = max(depth - 1, 0)
        elif one == separator and not depth:
            parts.append(text[start:at].strip())
            start = at + 1
        at += 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def quote_display(text: str) -> str:
    """Return a display name in quotes, printable ASCII without what could end it."""
    return '"' + "".join(one for one in text if " " <= one <= "~" and one not in '"\\') + '"'
