"""Fax numbers in mail addresses, by one parser. Pure.

Source: RFC 3191 (``FAX=+1202...@gateway``) and RFC 3192 (``/T33S=`` sub-addresses), and the bare number that people
write. Invariants: what leaves holds ASCII digits and at most one leading ``+``; keywords count in any case; the
separators ``-`` and ``.`` mean nothing; the digits are not judged here: national ones wait for
:func:`policies.parse_number` and its region.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from policies import BadAddress, normalise_domain

#: RFC 5321 section 4.5.3.1.3: a path is at most 256 octets, its angle brackets among them.
MAX_ADDRESS = 254
#: ITU-T T.30 section 5.3.6.2.5: a sub-address has at most 20 digits.
MAX_SUBADDRESS = 20

_QUOTED = re.compile(r'"((?:[^"\\]|\\[\x20-\x7e])*)"', re.ASCII)
_NUMBER = re.compile(r"(?:FAX=)?(?P<number>\+?[0-9.-]+)(?P<qualifiers>(?:/[^/]*)*)", re.ASCII | re.IGNORECASE)
_SUBADDRESS = re.compile(r"/T33S=(?P<digits>[0-9.-]+)", re.ASCII | re.IGNORECASE)
_SEPARATORS = str.maketrans("", "", "-.")


class BadFaxAddress(ValueError):
    """The address names no fax. ``sentence`` is for its sender; it quotes nothing of the address."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class FaxAddress:
    """``number``: digits, with a leading ``+`` where one was written; ``domain`` in lower-case A-labels."""

    number: str
    subaddress: str | None
    domain: str

    def __str__(self) -> str:
        """Return the address in its one spelling."""
        suffix = f"/T33S={self.subaddress}" if self.subaddress else ""
        return f"FAX={self.number}{suffix}@{self.domain}"


@dataclass(frozen=True, slots=True)
class ReportAddress:
    """A recipient that is no fax: it takes reports on one mail of ours (:mod:`relay.intake.reports`)."""

    delivery: int


def parse_address(text: str) -> FaxAddress:
    """Read a mail address without its angle brackets; raise :class:`BadFaxAddress`.

    >>> parse_address("03-123.45678@Fax.Example.com")
    FaxAddress(number='0312345678', subaddress=None, domain='fax.example.com')
    >>> parse_address("fax=+12025550199/t33s=12-3@fax.example.com").subaddress
    '123'
    """
    local, at, domain = text.rpartition("@")
    if not at or len(text) > MAX_ADDRESS:
        raise BadFaxAddress("This is not an address of a fax: write NUMBER@DOMAIN.")
    try:
        normal = normalise_domain(domain)
    except BadAddress:
        raise BadFaxAddress("The domain of this address is not a domain name.") from None
    quoted = _QUOTED.fullmatch(local)
    matched = _NUMBER.fullmatch(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else local)
    digits = matched["number"].translate(_SEPARATORS) if matched else ""
    if matched is None or not digits.strip("+"):
        raise BadFaxAddress("This is not a fax number: write digits before the @, such as +12025550199.")
    return FaxAddress(digits, _subaddress(matched["qualifiers"]), normal)


def _subaddress(qualifiers: str) -> str | None:
    if not qualifiers:
        return None
    matched = _SUBADDRESS.fullmatch(qualifiers)
    if matched is None:
        raise BadFaxAddress("The number may be followed by /T33S= and digits, once, and by nothing else.")
    digits = matched["digits"].translate(_SEPARATORS)
    if not 0 < len(digits) <= MAX_SUBADDRESS:
        raise BadFaxAddress(f"The sub-address after /T33S= has 1 to {MAX_SUBADDRESS} digits.")
    return digits
