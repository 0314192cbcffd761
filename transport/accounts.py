"""The trunks and devices of a line, as main pushes them: plain values that policy files and the line both speak of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from transport.seam import T38Mode

#: A device stands in tables of trunks and in :attr:`.seam.CallRequest.trunk` with this before its name.
DEVICE = "device:"


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
    """How a trunk writes numbers: ``+97231234567``, ``97231234567``, or as dialled in ``region``: ``031234567``."""

    PLUS = "plus"
    DIGITS = "digits"
    NATIONAL = "national"


@dataclass(frozen=True, slots=True)
class TrunkAccount:
    """One SIP trunk.

    ``host``: name or address; with ``port`` ``None`` a name is looked up by SRV first (RFC 3263). ``proxy``: an
    outbound proxy ``host`` or ``host:port`` in place of the host's own addresses. ``domain`` stands in our From, To
    and digest; empty: the host. ``register``: REGISTER (every ``expires`` seconds at most) so that calls come to us;
    without, the trunk knows our address. ``options_seconds`` between two OPTIONS; 0: none. ``networks``: addresses
    (CIDR) that its calls come from, beside those that ``host`` and ``proxy`` resolve to. ``region`` (ISO 3166) and
    ``form`` tell how numbers are written; ``prefix`` is dialled before them. ``codecs``: payload types, the preferred
    first: 8 is A-law, 0 u-law. ``ca``: PEM file that the trunk's certificate is verified with in place of the
    machine's own authorities. ``numbers``: our numbers that may be called by this trunk; empty: all.
    """

    name: str
    host: str
    port: int | None = None
    transport: SipTransport = SipTransport.UDP
    proxy: str = ""
    domain: str = ""
    username: str = ""
    password: str = ""
    register: bool = False
    expires: int = 600
    options_seconds: int = 60
    networks: tuple[str, ...] = ()
    channels: int = 2
    codecs: tuple[int, ...] = (8, 0)
    t38: T38Mode = T38Mode.AUTO
    caller: CallerField = CallerField.FROM
    called: CalledField = CalledField.REQUEST_URI
    form: NumberForm = NumberForm.PLUS
    region: str = ""
    prefix: str = ""
    ca: str = ""
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceAccount:
    """A fax machine, telephone adapter or softphone that registers with us.

    ``number``: the E.164 number it speaks for. ``inbound``: faxes may be sent to it; ``outbound``: it may send
    faxes. ``region``: country whose rules read the digits that it dials. ``networks``: addresses (CIDR) that it may
    register and call from; empty: any.
    """

    name: str
    number: str
    username: str
    password: str
    inbound: bool = True
    outbound: bool = True
    region: str = ""
    networks: tuple[str, ...] = ()
    channels: int = 1
    t38: T38Mode = T38Mode.AUTO
