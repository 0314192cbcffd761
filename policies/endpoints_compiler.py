"""``callbacks`` of the files to endpoints: what must hold between them, their networks and the numbers.

Invariants that the checks establish: a name stands once; networks that endpoints name are there, and are ranges that
may be named at all; each key that is given has an effect.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

from policies.endpoints import PRESETS, CallbackEndpoint, CallbackEvent, Dialect, Trigger, When

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
#: RFC 9110: those that carry nothing else, or everything in the URL.
_METHODS: Final = {Dialect.STANDARD: {"POST", "PUT"}, Dialect.INTERFAX: {"POST", "GET"}}


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
    if entry.method is not None and entry.method not in _METHODS.get(entry.dialect, set()):
        choices = " or ".join(sorted(_METHODS.get(entry.dialect, set())))
        remedy = f"write {choices}" if choices else "remove the key"
        scope.tell(f"the dialect {entry.dialect.value} is not sent by {entry.method}", remedy, "method")
    if entry.dialect is Dialect.INTERFAX_SOAP and entry.inbound_url is not None:
        scope.tell("the dialect interfax-soap tells only of faxes that are sent", "remove the key", "inbound_url")
    if entry.when is When.NEVER and entry.events:
        scope.tell("events have no effect with when never", "remove one of the two", "events", key=True)
    for name in {each.lower() for each in entry.headers} & {each.lower() for each in entry.secret_headers}:
        scope.tell(f"the header {name} stands in headers too", "keep one of the two", "secret_headers", key=True)


def _endpoint(scope: Scope, entry: EndpointEntry, networks: dict[str, tuple[Network, ...]]) -> CallbackEndpoint:
    return CallbackEndpoint(
        name=entry.name,
        url=entry.url,
        dialect=entry.dialect,
        source=scope.source("name"),
        inbound_url=entry.inbound_url,
        method=entry.method,
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
