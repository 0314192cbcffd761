"""``callbacks`` of the files to endpoints: what must hold between them, their networks and the numbers.

Invariants that the checks establish: a name stands once; networks that endpoints name are there, and are ranges that
may be named at all; each key that is given has an effect.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

from policies.dialects import (
    LOGGING_IN,
    METHODS,
    OPTIONS,
    OUTBOUND_ONLY,
    SECRETIVE,
    SIGNING,
    TOLD,
    WRITTEN,
    option_fault,
)
from policies.endpoints import PRESETS, CallbackEndpoint, CallbackEvent, Dialect, Trigger, When
from policies.people import UserRole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from policies.endpoints_schema import CallbacksEntry, EndpointEntry
    from policies.people import DeclaredUser
    from policies.policy import Network, Source
    from policies.scope import Scope

#: What is no host's address, so that naming it would only open what lies beside it.
_NO_HOST: Final = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("224.0.0.0/3"),
    IPv6Network("::/128"),
    IPv6Network("ff00::/8"),
)
#: What each trigger has, beside what the ones after it have.
_FLOW: Final = frozenset(
    {CallbackEvent.COMPLETED, CallbackEvent.SUSPENDED, CallbackEvent.RECEIVED, CallbackEvent.MAIL_DELIVERED,
     CallbackEvent.MAIL_BOUNCED, CallbackEvent.MAIL_OPENED}
)  # fmt: skip
_STEP: Final = _FLOW | {
    CallbackEvent.SENT, CallbackEvent.FAILED, CallbackEvent.UNCERTAIN, CallbackEvent.CANCELLED, CallbackEvent.REFUSED,
}  # fmt: skip
OF_TRIGGER: Final = {Trigger.FLOW: _FLOW, Trigger.STEP: _STEP, Trigger.ACTION: frozenset(CallbackEvent)}


def compile_endpoints(
    scope: Scope,
    entry: CallbacksEntry,
    numbers: Collection[str],
    users: Mapping[str, DeclaredUser],
    *,
    lost: Collection[str],
) -> dict[str, CallbackEndpoint]:
    """Return what the section says; tell what is wrong. ``lost``: sections an entry of which had an error."""
    complete = "numbers" not in lost
    networks = _networks(scope, entry)
    endpoints: dict[str, CallbackEndpoint] = {}
    places: dict[str, Source] = {}
    for index, each in enumerate(entry.endpoints):
        here = scope.at("endpoints", index)
        at_name = here.source("name")
        first = places.setdefault(each.name, at_name)
        if first is not at_name:
            here.twice("endpoint", each.name, first, "name")
            continue
        for at, number in enumerate(each.numbers):
            if number not in numbers and complete:
                message = f"{number} is none of the relay's numbers (section numbers)"
                here.tell(message, "add it there first", "numbers", at)
        for at, name in enumerate(each.networks):
            if name not in networks:
                here.tell(f"there is no network {name}", "add it to callbacks.networks first", "networks", at)
        _check(here, each)
        of_account = _of_account(here, each, users, complete="users" not in lost)
        if not each.disabled:
            endpoints[each.name] = _endpoint(here, each, networks, of_account or frozenset(each.numbers))
    return endpoints


def _of_account(
    scope: Scope, entry: EndpointEntry, users: Mapping[str, DeclaredUser], *, complete: bool
) -> frozenset[str]:
    """Return the numbers of the account that an endpoint belongs to, empty where it is for all of them."""
    if entry.account is None:
        return frozenset()
    if entry.numbers:
        remedy = "keep one of the two: an endpoint belongs to an account, or to numbers"
        scope.tell("account and numbers stand together", remedy, "account", key=True)
    user = users.get(entry.account)
    if user is None:
        if complete:
            scope.tell(f"there is no user {entry.account} in the policy", "add the user to users first", "account")
        return frozenset()
    if user.role in {UserRole.ADMIN, UserRole.AUDITOR}:  # they see all numbers
        return frozenset()
    if not user.numbers:
        scope.tell(f"the user {user.name} is for no number", "add numbers to the user", "account")
    return user.numbers


def _networks(scope: Scope, entry: CallbacksEntry) -> dict[str, tuple[Network, ...]]:
    networks: dict[str, tuple[Network, ...]] = {}
    places: dict[str, Source] = {}
    for index, each in enumerate(entry.networks):
        here = scope.at("networks", index)
        first = places.setdefault(each.name, here.source("name"))
        if each.name in networks:
            here.twice("network", each.name, first, "name")
            continue
        for at, network in enumerate(each.ranges):
            if any(_overlap(network, never) for never in _NO_HOST):
                message = f"{network} holds addresses that no host has (unspecified, multicast or reserved)"
                here.tell(message, "write the range of the receivers alone", "ranges", at)
        networks[each.name] = tuple(each.ranges)
    return networks


def _check(scope: Scope, entry: EndpointEntry) -> None:
    dialect = entry.dialect.value
    for name in ("numbers", "events", "networks"):
        scope.no_repeats(name, getattr(entry, name))
    for at, event in enumerate(entry.events):
        if event not in OF_TRIGGER[entry.trigger]:
            message = f"trigger {entry.trigger.value} has no {event.value}"
            scope.tell(message, "write 'trigger: action', or remove the event", "events", at)
        elif event not in TOLD[entry.dialect]:
            known = ", ".join(one.value for one in CallbackEvent if one in TOLD[entry.dialect])
            scope.tell(f"the dialect {dialect} does not tell {event.value}", f"write some of {known}", "events", at)
    if not TOLD[entry.dialect] & OF_TRIGGER[entry.trigger]:
        message = f"the dialect {dialect} tells nothing of trigger {entry.trigger.value}"
        scope.tell(message, "write 'trigger: step', or another dialect", "trigger")
    _check_method(scope, entry)
    if entry.dialect in OUTBOUND_ONLY and entry.inbound_url is not None:
        message = f"the dialect {dialect} tells only of faxes that are sent"
        scope.tell(message, "remove the key", "inbound_url")
    _check_secrets(scope, entry)
    _check_options(scope, entry)
    if entry.when is When.NEVER and entry.events:
        scope.tell("events have no effect with when never", "remove one of the two", "events", key=True)
    _check_headers(scope, entry)


def _check_method(scope: Scope, entry: EndpointEntry) -> None:
    known = METHODS[entry.dialect]
    if entry.method is None or entry.method in known:
        return
    names = " or ".join(method.value for method in known)
    remedy = f"write {names}, or remove the key"
    scope.tell(f"the dialect {entry.dialect.value} calls by {names} alone", remedy, "method")


def _check_headers(scope: Scope, entry: EndpointEntry) -> None:
    for name in {each.lower() for each in entry.headers} & {each.lower() for each in entry.secret_headers}:
        scope.tell(f"the header {name} stands in headers too", "keep one of the two", "secret_headers", key=True)
    for section, headers in (("headers", entry.headers), ("secret_headers", entry.secret_headers)):
        for name in headers:
            if name.lower() in WRITTEN.get(entry.dialect, ()):
                message = f"the dialect {entry.dialect.value} writes the header {name} itself"
                scope.tell(message, "leave it out", section, name, key=True)
            elif name.lower() == "authorization" and entry.user:
                scope.tell("user and password make this header", "keep one of the two", section, name, key=True)


def _check_secrets(scope: Scope, entry: EndpointEntry) -> None:
    dialect = entry.dialect.value
    if entry.dialect in SIGNING and not entry.secrets:
        scope.tell(f"the dialect {dialect} signs, and needs a secret", "add 'secrets: [env:NAME]'")
    if entry.secrets and entry.dialect not in SECRETIVE:
        remedy = "remove the key; a secret header can prove a call (secret_headers)"
        scope.tell(f"the dialect {dialect} signs nothing", remedy, "secrets", key=True)
    if entry.dialect not in LOGGING_IN and (entry.user or entry.password):
        remedy = "remove the keys user and password, or add a secret header Authorization"
        scope.tell(f"the dialect {dialect} has no password", remedy, "user" if entry.user else "password", key=True)
    elif entry.password and not entry.user:
        scope.tell("a password stands without a user", "add the key user", "password", key=True)


def _check_options(scope: Scope, entry: EndpointEntry) -> None:
    known = OPTIONS.get(entry.dialect, {})
    for section, given in (("options", entry.options), ("secret_options", entry.secret_options)):
        for name in given:
            if name not in known:
                remedy = f"write one of {', '.join(known)}" if known else "remove the key"
                message = f"the dialect {entry.dialect.value} has no option {name}"
                scope.tell(message, remedy, section, name, key=True)
    for name, value in entry.options.items():
        if name in known and (fault := option_fault(name, value, entry.options)) is not None:
            scope.tell(*fault, "options", name)
    if "secret_key" in entry.options and not entry.secrets and entry.dialect is Dialect.ESMS:
        scope.tell("secret_key has no effect without a secret", "add 'secrets: [env:NAME]'", "options", "secret_key")
    for name in entry.options.keys() & entry.secret_options.keys():
        scope.tell(f"the option {name} stands in options too", "keep one of the two", "secret_options", name, key=True)
    missing = [
        name for name, needed in known.items() if needed and name not in {**entry.options, **entry.secret_options}
    ]
    if missing:
        message = f"the dialect {entry.dialect.value} needs {' and '.join(missing)}"
        scope.tell(message, "add them to options, or to secret_options")


def _endpoint(
    scope: Scope, entry: EndpointEntry, networks: dict[str, tuple[Network, ...]], numbers: frozenset[str]
) -> CallbackEndpoint:
    return CallbackEndpoint(
        name=entry.name,
        url=entry.url,
        dialect=entry.dialect,
        source=scope.source("name"),
        inbound_url=entry.inbound_url,
        method=entry.method,
        account=entry.account or "",
        numbers=numbers,
        events=frozenset(entry.events),
        when=entry.when,
        trigger=entry.trigger,
        headers=dict(entry.headers),
        secret_headers=dict(entry.secret_headers),
        secrets=tuple(entry.secrets),
        options=dict(entry.options),
        secret_options=dict(entry.secret_options),
        timeout=entry.timeout.total_seconds(),
        delays=_delays(entry),
        suspend_after=entry.suspend_after or None,
        tell=entry.tell,
        user=entry.user or "",
        password=entry.password,
        networks=frozenset(network for name in entry.networks for network in networks.get(name, ())),
        suspended=entry.suspended,
    )


def _delays(entry: EndpointEntry) -> tuple[float, ...]:
    if entry.delays:
        return tuple(each.total_seconds() for each in entry.delays)
    if entry.attempts is not None and entry.interval is not None:
        return (entry.interval.total_seconds(),) * (entry.attempts - 1)
    named = Dialect(entry.schedule) if entry.schedule is not None else entry.dialect
    return PRESETS.get(named, PRESETS[Dialect.STANDARD])


def _overlap(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)
