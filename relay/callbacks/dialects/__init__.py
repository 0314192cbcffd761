"""The dialects by name, and which of an endpoint's wishes an event meets.

A dialect is a module with five names:

* ``OPTIONS``: the options of an endpoint that it knows, each with what it means;
* ``PRESET``: the pauses in seconds before each attempt but the first, empty where the endpoint has to say;
* ``check(endpoint)``: raises :class:`relay.callbacks.endpoint.Unfit`;
* ``render(event, endpoint, now)``: the request, or ``None`` where it does not show this event. ``now`` is the time of
  the attempt, which signatures hold; all else stays the same over every attempt;
* ``understood(status, body)``: whether an answer is a success.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from relay.callbacks.dialects import assinaturas, esms, interfax, interfax_soap, sfax, standard
from relay.callbacks.endpoint import Trigger, When
from relay.callbacks.event import ENDS, Name, Occasion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.endpoint import Endpoint
    from relay.callbacks.event import Event
    from relay.callbacks.request import Request


class Dialect(Protocol):
    """What each module of this package is."""

    @property
    def OPTIONS(self) -> Mapping[str, str]:  # noqa: N802  a constant of the module
        """The options of an endpoint that the dialect knows, each with what it means."""

    @property
    def PRESET(self) -> tuple[float, ...]:  # noqa: N802  a constant of the module
        """The pauses in seconds before each attempt but the first."""

    def check(self, endpoint: Endpoint) -> None:
        """Raise :class:`relay.callbacks.endpoint.Unfit` where the endpoint lacks what the dialect needs."""

    def render(self, event: Event, endpoint: Endpoint, now: float) -> Request | None:
        """Return the request of an event, ``None`` where the dialect does not show it."""

    def understood(self, status: int, body: bytes) -> bool:
        """Return whether an answer says that the callback was taken."""


DIALECTS: Final[Mapping[str, Dialect]] = {
    "standard": standard,
    "sfax": sfax,
    "interfax": interfax,
    "interfax-soap": interfax_soap,
    "assinaturas": assinaturas,
    "esms": esms,
}


def owed(event: Event, endpoint: Endpoint) -> tuple[Event, ...]:
    """Return what an endpoint is owed for an event, in the order in which it is told; empty for nothing.

    The trigger, the wanted events and ``when`` are looked at; whether the dialect shows it, says ``render``. An end of
    a recipient is an action and a step; only ``assinaturas`` tells the two apart, the others get it once. A test call
    is always owed.
    """
    if event.test:
        return (event,)
    if not _wanted(event, endpoint):
        return ()
    if event.name is Name.COMPLETED:
        return (event.told_as(Occasion.FLOW),)
    ends = event.name in ENDS
    if endpoint.trigger is Trigger.FLOW and event.submission is not None:
        return ()
    if endpoint.trigger is Trigger.STEP and event.submission is not None:
        return (event.told_as(Occasion.STEP),) if ends else ()
    if ends and event.submission is not None and endpoint.dialect == "assinaturas":
        return (event, event.told_as(Occasion.STEP))
    return (event,)


def _wanted(event: Event, endpoint: Endpoint) -> bool:
    if endpoint.events and event.name not in endpoint.events:
        return False
    match endpoint.when:
        case When.ALWAYS:
            return True
        case When.ON_SUCCESS:
            return event.success is True
        case When.ON_FAILURE:
            return event.success is False
        case When.NEVER:
            return False
