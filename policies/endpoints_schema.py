"""The shape of ``callbacks`` in the policy files. An error never repeats what stands where a secret should."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, PlainValidator, model_validator

from policies.endpoints import SUSPEND_AFTER, CallbackEvent, Dialect, Method, Trigger, When
from policies.entry import Entry, key
from policies.fields import (
    Count,
    Duration,
    Flag,
    MailAddress,
    NetworkText,
    Positive,
    SecretText,
    TelephoneNumber,
    Text,
    UserName,
    length_of_time,
    shown,
    text_of,
    told,
    written,
)
from policies.people_schema import LoginName  # noqa: TC001 -- pydantic reads the keys' types
from policies.urls import BadUrl, parse_url

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
#: RFC 9110 5.6.2: a token.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_OPTION = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)
_VALUE = re.compile(r"[\t -~]{0,2000}", re.ASCII)
#: Headers that the relay writes itself, or that would change how the request is framed.
_OURS = frozenset(
    {"host", "user-agent", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer",
     "upgrade", "expect", "keep-alive", "proxy-authorization", "proxy-connection", "webhook-id",
     "webhook-timestamp", "webhook-signature"}
)  # fmt: skip
_MOST_DELAYS = 100
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(seconds=120)


def _name(value: object) -> str:
    text = text_of(value)
    if not _NAME.fullmatch(text):
        raise told(f"{shown(text)} is no name", "write up to 64 letters, digits, - and _")
    return text


def _url(value: object) -> str:
    text = text_of(value)
    try:
        parse_url(text)
    except BadUrl as error:
        raise told(str(error), error.remedy) from None
    return text


def _header_name(value: object) -> str:
    text = text_of(value)
    if not _HEADER.fullmatch(text):
        raise told(f"{shown(text)} is no name of a header", "write it like X-Tenant")
    if text.lower() in _OURS:
        raise told(f"the relay writes the header {text} itself", "leave it out")
    return text


def _header_value(value: object) -> str:
    text = text_of(value)
    if not _VALUE.fullmatch(text) or text != text.strip():
        raise told("a header holds up to 2000 printable ASCII characters", "write one line")
    return text


def _option(value: object) -> str:
    text = text_of(value)
    if not _OPTION.fullmatch(text):
        raise told(f"{shown(text)} is no name of an option", "write small letters, digits and _")
    return text


def _timeout(value: object) -> timedelta:
    text = text_of(value)
    found = length_of_time(text, timedelta(days=1))
    if not _SHORTEST <= found <= _LONGEST:
        raise told(f"{text} is no time to wait for an answer", "write 1s to 120s")
    return found


EndpointName: TypeAlias = Annotated[str, PlainValidator(_name), written("name", type=["string", "integer"])]
UrlText: TypeAlias = Annotated[str, PlainValidator(_url), written("URL", pattern="^https?://")]
HeaderName: TypeAlias = Annotated[str, PlainValidator(_header_name), written("header")]
HeaderValue: TypeAlias = Annotated[str, PlainValidator(_header_value), written("text", type=["string", "number"])]
OptionName: TypeAlias = Annotated[str, PlainValidator(_option), written("name")]
Patience: TypeAlias = Annotated[
    timedelta, PlainValidator(_timeout), written("length of time, `1s` to `120s`", pattern="^([0-9]+[ms])+$")
]
Attempts: TypeAlias = Annotated[Positive, Field(le=_MOST_DELAYS)]
#: The presets of :data:`policies.endpoints.PRESETS`.
Preset: TypeAlias = Literal["standard", "sfax", "assinaturas", "esms"]


class CallbackNetworkEntry(Entry):
    """A range that is not public and that endpoints which name it may call."""

    name: EndpointName = key("What endpoints call it.")
    ranges: list[NetworkText] = key("Networks (CIDR), such as 10.1.2.0/24 or ::1/128.", min_length=1)


class EndpointEntry(Entry):
    """An endpoint: a URL that is called when something happens to a fax."""

    name: EndpointName = key("What the endpoint is called, in the log and in commands.")
    url: UrlText = key("Where it is. Redirects are not followed; `https` checks the certificate.")
    inbound_url: UrlText | None = key("Where received faxes are told, in place of `url`.", default=None)
    dialect: Dialect = key(
        "How the requests are written; docs/callbacks.md shows each.",
        default=Dialect.STANDARD,
    )
    method: Method | None = key(
        "How it is called, where the dialect leaves a choice: `standard` by POST or PUT. The others have one way, and "
        "another is refused: `sfax` and `esms` GET, `interfax`, `interfax-soap` and `assinaturas` POST.",
        default=None,
    )
    account: LoginName | None = key(
        "The user of `users` to whom it belongs: it is told of the faxes of that user's `numbers`, all for an admin or "
        "auditor. In place of `numbers`.",
        default=None,
    )
    numbers: list[TelephoneNumber] = key(
        "The relay's own numbers whose faxes it is told of; none, and no `account`: all.", default_factory=list
    )
    trigger: Trigger = key(
        "`action`: each event. `step`: each fax that ends or arrives. `flow`: when every fax of a mail has ended. Each "
        "has what the ones after it have.",
        default=Trigger.ACTION,
    )
    events: list[CallbackEvent] = key("Only these of what `trigger` has; none: all.", default_factory=list)
    when: When = key(
        "Which ends are told: `on_success`: sent or received. `on_failure`: all others.", default=When.ALWAYS
    )
    headers: dict[HeaderName, HeaderValue] = key("Further headers of the requests.", default_factory=dict)
    secret_headers: dict[HeaderName, SecretText] = key("Further headers whose values are secret.", default_factory=dict)
    secrets: list[SecretText] = key(
        "What the requests are signed with. Two while one is replaced by the other.", default_factory=list, max_length=2
    )
    user: UserName | None = key("Name for HTTP basic authentication, where the dialect knows it.", default=None)
    password: SecretText | None = key("The password of `user`.", default=None)
    options: dict[OptionName, Text] = key("What the dialect asks for beside.", default_factory=dict)
    secret_options: dict[OptionName, SecretText] = key("The same, where it is secret.", default_factory=dict)
    timeout: Patience = key("How long a whole answer may take.", default=timedelta(seconds=15))
    schedule: Preset | None = key(
        "When a call that failed is made again: as the dialect of that name does. `standard`: after 5s, 5m, 30m, 2h, "
        "5h, 10h, 14h. `sfax`: 5 attempts, 2m apart. `assinaturas`: every 30m for 24h. `esms`: 5 attempts, 1m apart. "
        "Without it, that of the dialect, or `standard`.",
        default=None,
    )
    delays: list[Duration] = key(
        "The waits before each further attempt, in place of `schedule`.", default_factory=list, max_length=_MOST_DELAYS
    )
    attempts: Attempts | None = key("Attempts in all, in place of `schedule`.", default=None)
    interval: Duration | None = key("Wait between `attempts`.", default=None)
    suspend_after: Count = key(
        "Failures in a row after which nothing is sent until `faxrelay callback resume`; what happens meanwhile is "
        "kept. `0`: never.",
        default=SUSPEND_AFTER,
        ge=0,
        le=1000,
    )
    tell: MailAddress | None = key(
        "Who is mailed, once, when the endpoint is suspended or a call is given up.", default=None
    )
    networks: list[EndpointName] = key(
        "Names of `callbacks.networks` that it may be in. Without them, only public addresses are called.",
        default_factory=list,
    )
    suspended: Flag = key("`true`: what happens is kept for it, and sent when this is `false` again.", default=False)
    disabled: Flag = key("`true`: it is told nothing, and nothing is kept.", default=False)
    notes: Text = key("For people.", default="")

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        given = [bool(self.schedule), bool(self.delays), self.attempts is not None or self.interval is not None]
        if sum(given) > 1:
            raise told("the entry has two schedules", "keep one of schedule, delays, and attempts with interval")
        if (self.attempts is None) is not (self.interval is None):
            raise told("attempts and interval need each other", "add the other, or remove it")
        return self


class CallbacksEntry(Entry):
    """Who is told by HTTP what happens to faxes."""

    networks: list[CallbackNetworkEntry] = key(
        "Ranges that are not public and may be called all the same.", default_factory=list
    )
    endpoints: list[EndpointEntry] = key("The endpoints.", default_factory=list)
