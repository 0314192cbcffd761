"""A policy as it stands in memory: frozen values, indexed for one decision in well under a millisecond.

Built by :mod:`policies.compiler` from files that passed the schema, read by the evaluator. Invariants: every number is
E.164, every address and domain in the one spelling of :mod:`policies.addresses`, every value knows its file and line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final, TypeAlias

from policies import routing
from policies.cover import CoverPage
from policies.inbound import Inbound
from policies.lines import T38
from policies.quotas import Quota
from policies.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.addresses import Pattern
    from policies.approval import Approval
    from policies.endpoints import CallbackEndpoint
    from policies.hours import Hours
    from policies.lines import Device, Route, Trunk
    from policies.people import ApiKey, DeclaredUser
    from policies.rewriting import Rewrite

Network: TypeAlias = IPv4Network | IPv6Network

#: What one megabyte of an attachment is: what desktops show as "MB".
MEGABYTE = 1024 * 1024

#: The rungs of the ladder in their usual order, from the fastest way to call to the surest.
LADDER: Final = ("t38", "t38-9600", "g711", "g711-9600-no-ecm")
_KEPT: Final = Retention()
_NO_QUOTA: Final = Quota()
_ANY_CALL: Final = Inbound()
_COVER: Final = CoverPage()


class Proof(Enum):
    """How a From address was shown to be the sender's own."""

    AUTH = "auth"
    CLIENT_CERT = "client-cert"
    NETWORK = "network"
    DMARC = "dmarc"
    CONFIRM = "confirm"
    NONE = "none"


class Feature(Enum):
    """The directions a number serves."""

    MAIL_TO_FAX = "mail_to_fax"
    FAX_TO_MAIL = "fax_to_mail"
    DEVICE = "device"


class MailOption(Enum):
    """What a mail may ask for its faxes, in a header ``X-Fax-...`` or as ``::key=value`` in its subject."""

    RESOLUTION = "resolution"
    MODE = "mode"
    PRIORITY = "priority"
    RETRIES = "retries"
    COVER = "cover"
    SCHEDULE = "schedule"
    BILLING = "billing"
    NOTIFY = "notify"


class OpenedBy(Enum):
    """How the relay learns that the mail with a received fax was opened."""

    LINK = "link"
    RECEIPT = "receipt"


class Body(Enum):
    """What becomes of the text of a mail."""

    IGNORE = "ignore"
    PAGE = "page"
    COVER = "cover"


class ReceiptPages(Enum):
    """Which transmitted pages a receipt shows."""

    NONE = "none"
    FIRST = "first"
    ALL = "all"


class Resolution(Enum):
    """Lines per millimetre of ITU-T T.4: 3.85, 7.7 and 15.4."""

    STANDARD = "standard"
    FINE = "fine"
    SUPERFINE = "superfine"


class Mode(Enum):
    """How grey becomes black and white; quality draws photographs finer than auto does, for more time of line."""

    AUTO = "auto"
    TEXT = "text"
    PHOTO = "photo"
    QUALITY = "quality"


class Paper(Enum):
    """The size of a page that has none of its own."""

    A4 = "a4"
    LETTER = "letter"
    LEGAL = "legal"


class NumberType(Enum):
    """What kind of line a number is, as far as the numbering plan tells."""

    FIXED_LINE = "fixed_line"
    MOBILE = "mobile"
    FIXED_OR_MOBILE = "fixed_or_mobile"
    TOLL_FREE = "toll_free"
    PREMIUM = "premium"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL = "personal"
    PAGER = "pager"
    UAN = "uan"
    SATELLITE = "satellite"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a rule was written."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Domain:
    """A mail domain that means fax."""

    name: str
    default_region: str | None
    language: str
    source: Source


@dataclass(frozen=True, slots=True)
class SenderRule:
    """``pattern`` may send as ``number`` when ``proof`` is given; ``networks`` are those of the proof network."""

    number: str
    pattern: Pattern
    proof: Proof
    networks: tuple[Network, ...]
    source: Source
    own_address: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one number may send, and as this number each of its senders; None is no limit."""

    quota: Quota = _NO_QUOTA
    per_sender: Quota = _NO_QUOTA
    pages: int | None = None
    attachment_bytes: int = 10 * MEGABYTE
    recipients: int = 100

    @property
    def counted(self) -> bool:
        """Whether what was sent before matters."""
        return self.quota != _NO_QUOTA or self.per_sender != _NO_QUOTA


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """``retries`` calls after the first; ``delays`` by cause fall back to ``delay``; ``never`` are final causes.

    Causes are the values of the transport's closed list (``busy``, ``no_answer``, ...). ``ladder``: the ways to make a
    call (names of :data:`LADDER`), the next after each call that the way may have spoilt; what worked for a destination
    less than ``remember`` ago is tried first (zero: never).
    """

    retries: int = 3
    delay: timedelta = timedelta(minutes=5)
    delays: Mapping[str, timedelta] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    ladder: tuple[str, ...] = LADDER
    remember: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the faxes of a number are made and dialled.

    ``header`` is the text of the line above a page ('' for none); ``priority`` 9 is dialled before 0;
    ``share_of_line`` is the number's weight when several numbers wait for a channel; ``hours`` None: at any time;
    ``delayed_mail`` None: only where a sender's server asks for it.
    """

    ident: str
    header: str
    caller_id: str
    receipt_pages: ReceiptPages
    resolution: Resolution
    mode: Mode
    paper: Paper
    priority: int
    share_of_line: int
    retries: RetrySettings
    hours: Hours | None = None
    accepted_mail: bool = False
    delayed_mail: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """One of the relay's own numbers. ``language`` None: that of the domain a mail was addressed to.

    ``deliver_to_devices``: names of devices that received faxes are sent to. ``inbound_calls``: how many may come in
    at once; ``None``: any. ``ocr``: whether the words of received faxes
    are read. ``features`` has ``DEVICE`` only where a device has this number or gets its faxes.
    ``confirm_within``: how long a mail waits for its sender's click; ``schedule_within``: how far ahead a mail may ask
    for its time. ``zone``: the time zone (IANA name) of the times in its mails and on its covers.
    """

    number: str
    description: str
    features: frozenset[Feature]
    deliver_to: tuple[str, ...]
    default_region: str | None
    language: str | None
    limits: Limits
    settings: Settings
    source: Source
    deliver_to_devices: tuple[str, ...] = ()
    inbound_calls: int | None = None
    ocr: bool = False
    mail_options: frozenset[MailOption] = frozenset()
    body: Body = Body.IGNORE
    retention: Retention = _KEPT
    approval: Approval | None = None
    confirm_within: timedelta = timedelta(days=1)
    schedule_within: timedelta = timedelta(days=30)
    zone: str = "UTC"
    cover: CoverPage = _COVER
    opened_by: frozenset[OpenedBy] = frozenset()

    @property
    def receives(self) -> bool:
        """Whether calls to this number are answered as faxes: its mailboxes or its devices get them."""
        return Feature.FAX_TO_MAIL in self.features or bool(self.deliver_to_devices)


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """Matches a number that fits each selector which is not empty. A denying rule also matches where it may fit."""

    allow: bool
    prefixes: tuple[str, ...]
    countries: frozenset[str]
    types: frozenset[NumberType]
    source: Source

    def __str__(self) -> str:
        parts = ["allow" if self.allow else "deny", *self.prefixes, *sorted(self.countries)]
        return " ".join(parts + sorted(kind.value for kind in self.types))


@dataclass(frozen=True, slots=True)
class Override:
    """How numbers with ``prefix`` are called. ``max_rate`` is in bit/s; ``concurrency`` counts calls to one number."""

    prefix: str = ""
    ecm: bool = True
    max_rate: int | None = None
    t38: T38 = T38.AUTO
    concurrency: int = 1
    notes: str = ""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where faxes may go. Rules and rewrites are in their written order; overrides are keyed by prefix."""

    rules: tuple[DestinationRule, ...] = ()
    otherwise_allow: bool = True
    rewrites: tuple[Rewrite, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SenderIndex:
    """Every sender rule by whom it names; ``defaults`` tells which number a pattern sends as when several would.

    ``blocked``: whom no rule helps.
    """

    addresses: Mapping[str, tuple[SenderRule, ...]] = field(default_factory=dict)
    domains: Mapping[str, tuple[SenderRule, ...]] = field(default_factory=dict)
    subdomains: Mapping[str, tuple[SenderRule, ...]] = field(default_factory=dict)
    defaults: Mapping[Pattern, tuple[str, Source]] = field(default_factory=dict)
    blocked: Mapping[Pattern, Source] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """All that the files of a folder say.

    ``numbers`` is keyed by E.164; ``domains``, ``trunks``, ``devices``, ``users``, ``api_keys`` and ``callbacks`` by
    name, in the order of the files.
    """

    domains: Mapping[str, Domain] = field(default_factory=dict)
    numbers: Mapping[str, Number] = field(default_factory=dict)
    senders: SenderIndex = field(default_factory=SenderIndex)
    destinations: Destinations = field(default_factory=Destinations)
    retries: RetrySettings = field(default_factory=RetrySettings)
    trunks: Mapping[str, Trunk] = field(default_factory=dict)
    devices: Mapping[str, Device] = field(default_factory=dict)
    retention: Retention = _KEPT
    inbound: Inbound = _ANY_CALL
    users: Mapping[str, DeclaredUser] = field(default_factory=dict)
    api_keys: Mapping[str, ApiKey] = field(default_factory=dict)
    callbacks: Mapping[str, CallbackEndpoint] = field(default_factory=dict)

    def retention_of(self, number: str) -> Retention:
        """Return how long what the faxes of ``number`` leave behind is kept; it need not be of this policy."""
        entry = self.numbers.get(number)
        return self.retention if entry is None else entry.retention

    def route(self, number: str, destination: str) -> Route:
        """Return by which trunks a fax from ``number`` (one of ours) to ``destination`` goes, both E.164, and why.

        ``destination``: the number to dial, after rewriting. A number that is not of this policy has the trunks that
        serve every number.
        """
        return routing.route(self.trunks.values(), number, destination)
