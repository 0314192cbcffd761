"""Who a client has shown to be, beyond its address: a user who logged in, the holder of a certificate.

An identity proves only the From addresses that it is bound to. Source: RFC 4954 (AUTH), RFC 5280 section 4.2.1.6 (the
names of a certificate).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from policies import BadAddress, Proof, normalise_address, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from policies import Pattern


@dataclass(frozen=True, slots=True)
class Identity:
    """``name``: for the log; ``patterns``: the addresses that it may send as; ``proof``: what it gives for them."""

    name: str
    proof: Proof
    patterns: tuple[Pattern, ...]

    def proves(self, address: str) -> bool:
        """Return whether a From address, in its one spelling, is this identity's own."""
        wanted = parse_pattern(address)
        return any(pattern.covers(wanted) for pattern in self.patterns)


def of_certificate(certificate: Mapping[str, Any]) -> Identity | None:
    """Return whom a verified client certificate (:meth:`ssl.SSLSocket.getpeercert`) names; ``None``: no mail sender.

    An e-mail name stands for that address, a DNS name for all addresses of that domain, and not of its subdomains.
    The common name counts for nothing.
    """
    names = list(_patterns(certificate.get("subjectAltName", ())))
    if not names:
        return None
    return Identity(f"certificate of {', '.join(map(str, names))}"[:200], Proof.CLIENT_CERT, tuple(names))


def _patterns(names: Iterable[tuple[str, str]]) -> Iterable[Pattern]:
    for kind, name in names:
        try:
            match kind:
                case "email":
                    yield parse_pattern(normalise_address(name))
                case "DNS" if "*" not in name:
                    yield parse_pattern(f"@{name}")
        except BadAddress:
            continue
