"""What shows that a fetched message is its From address's own, where no client was seen to send it.

Source: RFC 8601 (Authentication-Results), RFC 9989 (DMARC). A prover by the message's own signatures takes this one's
place or stands beside it. Invariants:

* only the topmost Authentication-Results counts, and only with the name of the server that the administrator trusts:
  that server removes what others wrote under its name (RFC 8601 section 5);
* ``dmarc=pass`` counts for the one domain that it names, which must be the From address's to the letter;
* a field that does not read strictly proves nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from policies import Proof
from relay.auth.results import BadResults, parse_results
from relay.errors import Refusal
from relay.intake.bounds import MAX_HEADER, check_bounds

if TYPE_CHECKING:
    from pathlib import Path

    from relay.intake.proving import Prover as Signatures

#: The setting that stands for a field without a name; Microsoft 365 writes such and renames those that it receives.
NAMELESS: Final = "microsoft365"
_MAX_FIELD: Final = 8192


class Prover(Protocol):
    """Finds proofs for a message."""

    async def proofs(self, message: Path, from_address: str) -> frozenset[Proof]:
        """Return the proofs that ``message`` gives for its normalised From address.

        Raises :class:`relay.errors.Refusal` (4yz) where that cannot be told now.
        """


class OwnProof:
    """Believes a message's own signatures (DKIM, aligned as DMARC has it); no client was seen, so SPF says nothing."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures

    async def proofs(self, message: Path, from_address: str) -> frozenset[Proof]:
        """Return :attr:`Proof.DMARC` where a signature of the From domain is good."""
        try:
            return await self._signatures.proofs(message, from_address)
        except Refusal as refusal:
            if refusal.permanent:
                return frozenset()
            raise


class Either:
    """Asks several provers, until one finds a proof."""

    def __init__(self, *provers: Prover) -> None:
        self._provers = provers

    async def proofs(self, message: Path, from_address: str) -> frozenset[Proof]:
        """Return the first proof that is found."""
        for prover in self._provers:
            if found := await prover.proofs(message, from_address):
                return found
        return frozenset()


class TrustedResults:
    """Believes the Authentication-Results of one server. ``authserv_id``: its name, or :data:`NAMELESS`."""

    def __init__(self, authserv_id: str) -> None:
        self._name = None if authserv_id == NAMELESS else authserv_id.lower()

    async def proofs(self, message: Path, from_address: str) -> frozenset[Proof]:
        """Return :attr:`Proof.DMARC` where the server says that the From domain passed."""
        head = await asyncio.to_thread(_head, message)
        field = _topmost(head)
        if field is None or passed_domain(field, self._name) != from_address.rpartition("@")[2]:
            return frozenset()
        return frozenset({Proof.DMARC})


def passed_domain(field: str, name: str | None) -> str | None:
    """Return the domain for which a field says ``dmarc=pass``; ``name``: the trusted server's, None for no name.

    >>> passed_domain("mx.example; dmarc=pass (p=none) header.from=Example.com", "mx.example")
    'example.com'
    >>> passed_domain("other.example; dmarc=pass header.from=example.com", "mx.example") is None
    True
    """
    try:
        results = parse_results(field.encode(), nameless=name is None)
    except BadResults:
        return None
    findings = results.of("dmarc")
    if results.server != (name or "") or len(findings) != 1 or findings[0].result != "pass":
        return None  # two of them contradict each other, or are somebody's addition
    return findings[0].domain("header.from") or None


def _head(message: Path) -> bytes:
    with message.open("rb") as file:
        head = file.read(MAX_HEADER + 4)
    end = head.find(b"\r\n\r\n")
    return head[: end + 2] if end >= 0 else head


def _topmost(head: bytes) -> str | None:
    try:
        fields = check_bounds(head)
    except Refusal:
        return None
    value = next((field.value for field in fields if field.name == "authentication-results"), None)
    return value.decode("ascii") if value is not None and len(value) <= _MAX_FIELD and value.isascii() else None
