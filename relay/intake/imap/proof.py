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
import re
from typing import TYPE_CHECKING, Final, Protocol

from policies import BadAddress, Proof, normalise_domain
from relay.errors import Refusal
from relay.intake.bounds import MAX_HEADER, check_bounds

if TYPE_CHECKING:
    from pathlib import Path

    from relay.intake.proving import Prover as Signatures

#: The setting that stands for a field without a name; Microsoft 365 writes such and renames those that it receives.
NAMELESS: Final = "microsoft365"
_MAX_FIELD: Final = 8192

_SPACE: Final = re.compile(r"[ \t]*")
_NAME: Final = re.compile(r'(?P<id>[A-Za-z0-9._-]{1,255}|"[A-Za-z0-9._@ -]{1,255}")(?:[ \t]+\d+)?')
_METHOD: Final = re.compile(r"(?P<method>[A-Za-z][A-Za-z0-9-]*)(?:/\d+)?[ \t]*=[ \t]*(?P<result>[a-z]+)", re.ASCII)
_PROPERTY: Final = re.compile(
    r'(?P<name>[A-Za-z][A-Za-z0-9._-]*)[ \t]*=[ \t]*(?P<value>"[^"\\]*"|[^\s"();]+)', re.ASCII
)


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
    bare = _without_comments(field)
    if bare is None:
        return None
    first, *results = _statements(bare)
    if name is None:
        results.insert(0, first)
    else:
        matched = _NAME.fullmatch(first)
        if matched is None or matched["id"].strip('"').lower() != name:
            return None
    found = [_result(one) for one in results if one]
    if any(one is None for one in found):
        return None
    dmarc = [one for one in found if one is not None and one[0] == "dmarc"]
    if len(dmarc) != 1 or dmarc[0][1] != "pass":  # two of them contradict each other, or are somebody's addition
        return None
    try:
        return normalise_domain(dmarc[0][2].get("header.from", ""))
    except BadAddress:
        return None


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


def _without_comments(text: str) -> str | None:
    """Return the text with each comment (RFC 5322 section 3.2.2) as a space; None where one does not close."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for c in text:
        if escaped:
            escaped = False
            if not depth:
                return None  # a quoted pair outside of comments: nobody writes it, so nobody's reading of it is trusted
        elif c == "\\":
            escaped = True
        elif depth:
            depth += (c == "(") - (c == ")")
        elif c == '"':
            quoted = not quoted
            kept.append(c)
        elif c == "(" and not quoted:
            depth = 1
            kept.append(" ")
        else:
            kept.append(c)
    return None if depth or quoted or escaped else "".join(kept)


def _statements(text: str) -> list[str]:
    """Return what stands between semicolons that are not quoted."""
    parts = re.findall(r'(?:[^;"]|"[^"]*")+|;', text)
    found = [""]
    for part in parts:
        if part == ";":
            found.append("")
        else:
            found[-1] += part
    return [one.strip() for one in found]


def _result(text: str) -> tuple[str, str, dict[str, str]] | None:
    """Return a statement's method, result and properties; None for what is no statement."""
    if text.lower() == "none":
        return "none", "", {}
    matched = _METHOD.match(text)
    if matched is None:
        return None
    properties: dict[str, str] = {}
    at = matched.end()
    while at < len(text):
        space = _SPACE.match(text, at)
        start = space.end() if space else at
        one = _PROPERTY.match(text, start)
        if start == at or one is None or one["name"].lower() in properties:
            return None
        properties[one["name"].lower()] = one["value"].strip('"')
        at = one.end()
    return matched["method"].lower(), matched["result"].lower(), properties
