"""Trunks and devices as they stand in memory: the telephone lines that policy files describe. Frozen values.

The words and their values are those of the lines that carry calls; a test holds the two lists to each other. Passwords
are references. Built by :mod:`policies.lines_compiler`, chosen between by :mod:`policies.routing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policies.decision import Reason
    from policies.policy import Network, Source
    from policies.secrets import SecretReference


class SipTransport(Enum):
    """What carries SIP messages (RFC 3261 18)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class CallerField(Enum):
    """Where a trunk wants the calling number: From alone, or also P-Asserted-Identity (RFC 3325), Diversion (5806)."""

    FROM = "from"
    ASSERTED = "p-asserted-identity"
    DIVERSION = "diversion"


class CalledField(Enum):
    """Where a trunk says which of our numbers was called."""

    REQUEST_URI = "request-uri"
    TO = "to"
    DIVERSION = "diversion"
    CALLED_PARTY = "p-called-party-id"


class NumberForm(Enum):
    """How a trunk writes numbers: ``+97231234567``, ``97231234567``, or as dialled in its region: ``031234567``."""

    PLUS = "plus"
    DIGITS = "digits"
    NATIONAL = "national"


class Codec(Enum):
    """The two laws of ITU-T G.711."""

    ALAW = "alaw"
    ULAW = "ulaw"

    @property
    def payload_type(self) -> int:
        """The static RTP payload type (RFC 3551 table 4)."""
        return 8 if self is Codec.ALAW else 0


class T38(Enum):
    """Whether a call may use ITU-T T.38 instead of audio."""

    AUTO = "auto"
    PREFER = "prefer"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Trunk:
    """One SIP trunk.

    ``host``: a name, or an address (IPv6 without brackets); ``port`` None: by SRV records, else the usual one.
    ``proxy``: ``host`` or ``host:port`` in place of the host's own addresses (IPv6 in brackets), '' for none.
    ``domain`` '': the host. ``expires`` and ``options`` in seconds; ``options`` 0: none. ``codecs``: the preferred
    first. ``region`` '': unknown. ``prefix`` is dialled before every number. ``ca``: absolute path of a PEM file, ''
    for the machine's own authorities.

    For routing: ``prefixes`` of the numbers it serves, empty for all; ``priority``: lower ones are tried first;
    ``cost_per_minute`` and ``cost_per_page`` in any currency that is the same for all trunks; ``numbers``: those of
    the relay's own (E.164) that may use it, and whose calls come by it; empty for all.
    """

    name: str
    host: str
    source: Source
    port: int | None = None
    transport: SipTransport = SipTransport.UDP
    proxy: str = ""
    domain: str = ""
    username: str = ""
    password: SecretReference | None = None
    register: bool = False
    expires: int = 600
    options: int = 60
    networks: tuple[Network, ...] = ()
    channels: int = 2
    codecs: tuple[Codec, ...] = (Codec.ALAW, Codec.ULAW)
    t38: T38 = T38.AUTO
    caller_id: CallerField = CallerField.FROM
    called_number: CalledField = CalledField.REQUEST_URI
    number_form: NumberForm = NumberForm.PLUS
    region: str = ""
    prefix: str = ""
    ca: str = ""
    prefixes: tuple[str, ...] = ()
    priority: int = 10
    cost_per_minute: Decimal = Decimal(0)
    cost_per_page: Decimal = Decimal(0)
    numbers: frozenset[str] = frozenset()

    @property
    def cost(self) -> Decimal:
        """What a fax of one page costs, reckoned as a call of one minute: what trunks are compared by."""
        return self.cost_per_minute + self.cost_per_page


@dataclass(frozen=True, slots=True)
class Device:
    """A fax machine, telephone adapter or softphone that registers with the relay.

    ``number``: the relay's own number (E.164) that it speaks for. ``allow_inbound``: received faxes may be sent to it;
    ``allow_outbound``: it may send faxes out through the relay. ``region`` '': what it dials needs a country code.
    ``networks`` that it may register and call from; empty for any. ``receipts_to_device``: the receipts of what it
    sent also come to it as faxes.
    """

    name: str
    number: str
    username: str
    password: SecretReference
    source: Source
    allow_inbound: bool = True
    allow_outbound: bool = True
    region: str = ""
    networks: tuple[Network, ...] = ()
    channels: int = 1
    t38: T38 = T38.AUTO
    receipts_to_device: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """By which trunks a fax from ``number`` to ``destination`` (both E.164) goes.

    ``trunks``: names, in the order in which they are tried; empty: no trunk serves it. ``reasons``: one for each
    trunk of the policy, those of ``trunks`` first and in their order (``matched``), then those left out.
    """

    number: str
    destination: str
    trunks: tuple[str, ...]
    reasons: tuple[Reason, ...]

    @property
    def excluded(self) -> tuple[Reason, ...]:
        """Why each of the other trunks is not used."""
        return tuple(reason for reason in self.reasons if not reason.matched)
