"""Endpoints that are told what happens to faxes, and when a call that failed is made again."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.policy import Network, Source
    from policies.secrets import SecretReference

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


class Dialect(Enum):
    """How a request is written."""

    STANDARD = "standard"
    SFAX = "sfax"
    INTERFAX = "interfax"
    INTERFAX_SOAP = "interfax-soap"
    ASSINATURAS = "assinaturas"
    ESMS = "esms"


class Method(Enum):
    """How a request is made."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"


class When(Enum):
    """Which ends of a fax are told: a success, anything else, or both."""

    NEVER = "never"
    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    ALWAYS = "always"


class Trigger(Enum):
    """How closely is told: each event, each recipient that ends, or the whole submission. Each has what follows it."""

    ACTION = "action"
    STEP = "step"
    FLOW = "flow"


class CallbackEvent(Enum):
    """The relay's own vocabulary of what happens."""

    RECEIVED = "fax.received"
    ACCEPTED = "fax.accepted"
    HELD = "fax.held"
    RELEASED = "fax.released"
    REFUSED = "fax.refused"
    QUEUED = "fax.queued"
    DIALING = "fax.dialing"
    ATTEMPT_FAILED = "fax.attempt_failed"
    SENT = "fax.sent"
    FAILED = "fax.failed"
    UNCERTAIN = "fax.uncertain"
    CANCELLED = "fax.cancelled"
    COMPLETED = "submission.completed"
    MAIL_DELIVERED = "mail.delivered"
    MAIL_BOUNCED = "mail.bounced"
    MAIL_OPENED = "mail.opened"
    SUSPENDED = "callback.suspended"


#: Seconds before each attempt after the first, by the dialect whose custom it is.
PRESETS: Final[Mapping[Dialect, tuple[float, ...]]] = {
    Dialect.STANDARD: (
        5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR,
    ),
    Dialect.SFAX: (2 * _MINUTE,) * 4,
    Dialect.ASSINATURAS: (30 * _MINUTE,) * 48,
    Dialect.ESMS: (_MINUTE,) * 4,
}  # fmt: skip
#: Failures in a row that suspend an endpoint unless its entry says another figure.
SUSPEND_AFTER: Final = 20


@dataclass(frozen=True, slots=True)
class CallbackEndpoint:
    """One endpoint.

    ``inbound_url``: for received faxes, where it is another; ``method``: where it is not the dialect's first;
    ``account``: the user whom it belongs to, if it was written so; ``numbers``: the relay's own that it is told of,
    empty for all; ``events``: only these, empty for all that ``trigger`` has; ``delays``: seconds before each attempt
    after the first; ``timeout``: seconds for a whole answer; ``suspend_after``: failures in a row, ``None`` for never;
    ``tell``: who is mailed of a failure, ``None`` for nobody; ``user`` and ``password``: HTTP basic
    authentication, where the dialect knows it; ``networks``: ranges that are not public and may be
    called all the same; ``suspended``: what happens is kept for it and not sent.
    """

    name: str
    url: str
    dialect: Dialect
    source: Source
    inbound_url: str | None = None
    method: Method | None = None
    account: str = ""
    numbers: frozenset[str] = frozenset()
    events: frozenset[CallbackEvent] = frozenset()
    when: When = When.ALWAYS
    trigger: Trigger = Trigger.ACTION
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, SecretReference] = field(default_factory=dict)
    secrets: tuple[SecretReference, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    secret_options: Mapping[str, SecretReference] = field(default_factory=dict)
    timeout: float = 15.0
    delays: tuple[float, ...] = PRESETS[Dialect.STANDARD]
    suspend_after: int | None = SUSPEND_AFTER
    tell: str | None = None
    user: str = ""
    password: SecretReference | None = None
    networks: frozenset[Network] = frozenset()
    suspended: bool = False
