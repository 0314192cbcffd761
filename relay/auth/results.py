"""Authentication-Results: what a hop that the administrator trusts found out.

Source: RFC 8601. A small strict reader of ours: a header that does not keep to the grammar says nothing. Pure.

Invariants: only the topmost field counts, and only with the configured authserv-id: whatever stands below it may have
come with the message. That the topmost is the hop's own is the hop's promise (RFC 8601 section 5: it removes those
that claim its name, and adds its own to every message).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.auth.domains import BadDomain, domain_of

if TYPE_CHECKING:
    from relay.auth.header import Header

MAX_FIELD: Final = 8192
MAX_RESULTS: Final = 50
_MAX_NESTING: Final = 5

_SERVER = re.compile(r"[ \t]*(?P<id>[A-Za-z0-9._/-]+|\"[^\"\\]*\")(?:[ \t]+[0-9]+)?[ \t]*", re.ASCII)
_METHOD = re.compile(
    r"[ \t]*(?P<method>[A-Za-z][A-Za-z0-9-]*)(?:[ \t]*/[ \t]*[0-9]+)?[ \t]*=[ \t]*(?P<result>[A-Za-z]+)", re.ASCII
)
_PROPERTY = re.compile(
    r"[ \t]+(?P<name>[A-Za-z][A-Za-z0-9-]*(?:[ \t]*\.[ \t]*[A-Za-z0-9_-]+)?)[ \t]*=[ \t]*"
    r"(?:\"(?P<quoted>[^\"\\]*)\"|(?P<plain>[^ \t\";]+))"
)


class BadResults(ValueError):
    """The field does not keep to the grammar."""


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One finding: ``method`` and ``result`` in lower case, ``properties`` as ``header.from``."""

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()

    def domain(self, name: str) -> str:
        """Return the domain of a property (an address or a domain) in its one spelling, '' where there is none."""
        for known, value in self.properties:
            if known == name:
                try:
                    return domain_of(value.rpartition("@")[2])
                except BadDomain:
                    return ""
        return ""


@dataclass(frozen=True, slots=True)
class Results:
    """What a server found. ``server`` is its authserv-id in lower case."""

    server: str
    found: tuple[MethodResult, ...] = ()

    def of(self, method: str) -> tuple[MethodResult, ...]:
        """Return the findings of a method."""
        return tuple(each for each in self.found if each.method == method)

    def dmarc_passed(self, domain: str) -> bool:
        """Whether the server says once, and says no other, that DMARC passed for this From domain (one spelling)."""
        findings = self.of("dmarc")
        return len(findings) == 1 and findings[0].result == "pass" and findings[0].domain("header.from") == domain


def topmost(header: Header, server: str) -> Results | None:
    """Return what the topmost Authentication-Results of a message says, if it is the one of ``server``.

    None: there is none, it is another's, or it cannot be read.
    """
    fields = header.named("authentication-results")
    if not fields:
        return None
    try:
        results = parse_results(fields[0].value)
    except BadResults:
        return None
    return results if results.server == server.lower() else None


def parse_results(value: bytes, *, nameless: bool = False) -> Results:
    """Return an unfolded Authentication-Results value as findings; raise :class:`BadResults`.

    ``nameless``: it begins with the findings, as Microsoft 365 writes it; ``server`` is then ''.
    """
    if len(value) > MAX_FIELD:
        raise BadResults("the field is too long")
    try:
        text = _without_comments(value.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadResults("the field is not UTF-8") from None
    head, *parts = _split(text)
    if len(parts) > MAX_RESULTS:
        raise BadResults("the field has too many findings")
    server = ""
    if nameless:
        parts.insert(0, head)
    elif (matched := _SERVER.fullmatch(head)) is not None:
        server = matched["id"].strip('"').lower()
    else:
        raise BadResults("the field names no server")
    if parts and not parts[-1].strip(" \t"):
        parts.pop()
    if len(parts) == 1 and parts[0].strip(" \t").lower() == "none":
        return Results(server)
    return Results(server, tuple(_finding(part) for part in parts))


def _finding(text: str) -> MethodResult:
    matched = _METHOD.match(text)
    if matched is None:
        raise BadResults("a finding cannot be read")
    properties: dict[str, str] = {}
    at = matched.end()
    while text[at:].strip(" \t"):
        found = _PROPERTY.match(text, at)
        if found is None:
            raise BadResults("a property cannot be read")
        name = re.sub(r"[ \t]+", "", found["name"]).lower()
        if name in properties and name.startswith(("header.", "smtp.")):
            raise BadResults(f"the property {name} stands twice")
        properties[name] = found["plain"] if found["quoted"] is None else found["quoted"]
        at = found.end()
    return MethodResult(matched["method"].lower(), matched["result"].lower(), tuple(properties.items()))


def _split(text: str) -> list[str]:
    """Split at semicolons outside of quotes, all of which end."""
    parts, quoted = [""], False
    for piece in re.split(r'([";])', text):
        if piece == '"':
            quoted = not quoted
        if piece == ";" and not quoted:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _without_comments(text: str) -> str:
    """Replace each comment with a blank (RFC 5322 section 3.2.2)."""
    kept = []
    depth, quoted = 0, False
    for piece in re.split(r'(\\.|["()])', text):
        if piece == '"' and not depth:
            quoted = not quoted
        if piece == "(" and not quoted:
            depth += 1
            kept.append(" ")
        elif piece == ")" and not quoted:
            depth -= 1
        elif not depth:
            kept.append(piece)
        if not 0 <= depth <= _MAX_NESTING:
            raise BadResults("a comment cannot be read")
    if depth or quoted:
        raise BadResults("a comment or a quotation does not end")
    return "".join(kept)
