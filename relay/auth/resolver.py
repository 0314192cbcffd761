"""Questions to the DNS, and their answers as values.

Source: RFC 1035, RFC 2308 (the two kinds of "nothing"), RFC 8020. Everything that asks the DNS in this room does it
through :class:`Resolver`, which blocks: :func:`relay.auth.verdict.examine` runs the asking in a thread of its own.

Invariants: :meth:`Resolver.lookup` never raises; what the DNS could not say is :attr:`Status.TEMPERROR`, never an
absence; a :class:`Lookups` asks each question once and none after its time is over.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Protocol

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MAX_LABEL: Final = 63
#: RFC 1035 section 2.3.4, as text without the last dot.
_MAX_NAME: Final = 253


#: Answers that are kept for as long as the DNS says: many mails come from few domains.
_REMEMBERED: Final = 10_000


class Kind(Enum):
    """The records that are asked for."""

    A = "A"
    AAAA = "AAAA"
    MX = "MX"
    PTR = "PTR"
    TXT = "TXT"


class Status(Enum):
    """How a question was answered."""

    FOUND = "found"
    NO_DATA = "no data"
    NO_SUCH_NAME = "no such name"
    TEMPERROR = "temporary error"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS said. ``records`` is empty unless ``status`` is FOUND.

    A, AAAA: addresses as text. MX: host names, the most preferred first. PTR: host names. TXT: the strings of a record
    joined, one character for each byte (ISO 8859-1). Names have no dot at the end.
    """

    status: Status
    records: tuple[str, ...] = ()


NO_SUCH_NAME: Final = Answer(Status.NO_SUCH_NAME)
NO_DATA: Final = Answer(Status.NO_DATA)
TEMPERROR: Final = Answer(Status.TEMPERROR)


class Resolver(Protocol):
    """Whoever answers questions."""

    def lookup(self, name: str, kind: Kind) -> Answer:
        """Return the answer for a name without a dot at its end. Blocks; never raises."""


def labels(name: str) -> tuple[bytes, ...] | None:
    """Return the labels of an ASCII name, ``None`` where it cannot stand in the DNS."""
    if not name.isascii() or not 0 < len(name) <= _MAX_NAME:
        return None
    parts = name.split(".")
    if any(not 0 < len(part) <= _MAX_LABEL for part in parts):
        return None
    return tuple(part.encode("ascii") for part in parts)


class DnsResolver:
    """Asks name servers. One serves the whole process, from many threads.

    ``nameservers``: addresses, with a port behind a colon where it is not 53; the machine's own where empty.
    ``patience``: seconds for one question, all tries and servers together. Raises :class:`ValueError` for what is no
    address.
    """

    def __init__(self, nameservers: Sequence[str] = (), *, patience: float = 4.0) -> None:
        self._resolver = dns.resolver.Resolver(configure=not nameservers)
        if nameservers:
            self._resolver.nameservers = [_server(written) for written in nameservers]
        self._resolver.cache = dns.resolver.LRUCache(_REMEMBERED)
        self._resolver.timeout = patience / 2
        self._resolver.lifetime = patience

    def lookup(self, name: str, kind: Kind) -> Answer:
        """See :class:`Resolver`."""
        parts = labels(name)
        if parts is None:
            return NO_SUCH_NAME
        # Made of labels, not parsed from text: the text form has escapes, and a sender's local part may stand in it.
        question = dns.name.Name([*parts, b""])
        try:
            found = self._resolver.resolve(question, dns.rdatatype.from_text(kind.value), search=False)
        except dns.resolver.NXDOMAIN:
            return NO_SUCH_NAME
        except dns.resolver.NoAnswer:
            return NO_DATA
        except (dns.exception.DNSException, OSError, ValueError):
            return TEMPERROR
        return Answer(Status.FOUND, _records(kind, list(found)))


def _server(written: str) -> dns.nameserver.Nameserver:
    try:
        return dns.nameserver.Do53Nameserver(str(ip_address(written)), 53)
    except ValueError:
        host, _, port = written.rpartition(":")
        return dns.nameserver.Do53Nameserver(str(ip_address(host.strip("[]"))), int(port))


def _records(kind: Kind, found: list[Any]) -> tuple[str, ...]:
    if kind is Kind.TXT:
        return tuple(b"".join(record.strings).decode("latin-1") for record in found)
    if kind is Kind.MX:
        ordered = sorted(found, key=lambda record: record.preference)
        return tuple(record.exchange.to_text(omit_final_dot=True) for record in ordered)
    if kind is Kind.PTR:
        return tuple(record.target.to_text(omit_final_dot=True) for record in found)
    return tuple(record.address for record in found)


class Lookups:
    """The questions of one message: each is asked once, none after ``seconds``, at most ``most`` together.

    What is not asked any more is answered with a temporary error. Used by one thread.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        seconds: float = 10.0,
        most: int = 300,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._ends = clock() + seconds
        self._left = most
        self._answers: dict[tuple[str, Kind], Answer] = {}

    @property
    def exhausted(self) -> bool:
        """Whether time or number of questions are used up."""
        return self._left <= 0 or self._clock() >= self._ends

    def lookup(self, name: str, kind: Kind) -> Answer:
        """See :class:`Resolver`."""
        question = (name.lower(), kind)
        known = self._answers.get(question)
        if known is not None:
            return known
        if self.exhausted:
            return TEMPERROR
        self._left -= 1
        answer = self._answers[question] = self._resolver.lookup(question[0], kind)
        return answer
