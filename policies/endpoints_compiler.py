"""``callbacks`` of the files to endpoints: what must hold between them, their networks and the numbers.

Invariants that the checks establish: a name stands once; networks that endpoints name are there, and are ranges that
may be named at all; each key that is given has an effect.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

from policies.endpoints import (
    LOGGING_IN,
    OPTIONS,
    OUTBOUND_ONLY,
    PRESETS,
    SIGNING,
    CallbackEndpoint,
    CallbackEvent,
    Dialect,
    Trigger,
    When,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from policies.endpoints_schema import CallbacksEntry, EndpointEntry
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
    scope: Scope, entry: CallbacksEntry, numbers: Collection[str], *, complete: bool
) -> dict[str, CallbackEndpoint]:
    """Return what the section says; tell what is wrong. ``complete``: no number had an error of its own."""
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
        if not each.disabled:
            endpoints[each.name] = _endpoint(here, each, networks)
    return endpoints


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
    for name in ("numbers", "events", "networks"):
        scope.no_repeats(name, getattr(entry, name))
    for at, event in enumerate(entry.events):
        if event not in OF_TRIGGER[entry.trigger]:
            message = f"trigger {entry.trigger.value} has no {event.value}"
            scope.tell(message, "write 'trigger: action', or remove the event", "events", at)
    if entry.dialect in OUTBOUND_ONLY and entry.inbound_url is not None:
        message = f"the dialect {entry.dialect.value} tells only of faxes that are sent"
        scope.tell(message, "remove the key", "inbound_url")
    _check_secrets(scope, entry)
    _check_options(scope, entry)
    if entry.when is When.NEVER and entry.events:
        scope.tell("events have no effect with when never", "remove one of the two", "events", key=True)
    for name in {each.lower() for each in entry.headers} & {each.lower() for each in entry.secret_headers}:
        scope.tell(f"the header {name} stands in headers too", "keep one of the two", "secret_headers", key=True)


def _check_secrets(scope: Scope, entry: EndpointEntry) -> None:
    dialect = entry.dialect.value
    if entry.dialect in SIGNING and not entry.secrets:
        scope.tell(f"the dialect {dialect} signs, and needs a secret", "add 'secrets: [env:NAME]'")
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
    for name in entry.options.keys() & entry.secret_options.keys():
        scope.tell(f"the option {name} stands in options too", "keep one of the two", "secret_options", name, key=True)
    missing = [
        name for name, needed in known.items() if needed and name not in {**entry.options, **entry.secret_options}
    ]
    if missing:
        message = f"the dialect {entry.dialect.value} needs {' and '.join(missing)}"
        scope.tell(message, "add them to options, or to secret_options")


def _endpoint(scope: Scope, entry: EndpointEntry, networks: dict[str, tuple[Network, ...]]) -> CallbackEndpoint:
    return CallbackEndpoint(
        name=entry.name,
        url=entry.url,
        dialect=entry.dialect,
        source=scope.source("name"),
        inbound_url=entry.inbound_url,
        numbers=frozenset(entry.numbers),
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
