"""What an endpoint of the policy is owed, and what follows its answer: pure decisions.

Order: what is told of one fax to one endpoint goes out in the order in which it happened; nothing else waits for
anything. Answers: a 2xx that the dialect understands is a success; 410 suspends the endpoint at once; a Retry-After
lengthens the wait; everything else is a failure, and is tried again as the endpoint's schedule says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from policies.dialects import OUTBOUND_ONLY
from relay.callbacks.client import Answer, NoAnswer
from relay.callbacks.dialects import DIALECTS, owed
from relay.callbacks.endpoint import Endpoint, Trigger, When
from relay.callbacks.event import Name, encode
from relay.outbox import Deferred, Delivered, Outcome, Post, Terms
from relay.store.callback_log import Called

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from policies.endpoints import CallbackEndpoint
    from policies.secrets import SecretReference
    from relay.callbacks.event import Event

#: Key of a delivery's payload: the event, as it was when it happened.
EVENT: Final = "event"
_GONE: Final = 410
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)


@dataclass(frozen=True)
class Taken(Delivered):
    """The endpoint took it."""

    called: Called | None = None


@dataclass(frozen=True)
class NotTaken(Deferred):
    """It did not."""

    called: Called | None = None


def endpoint_of(entry: CallbackEndpoint, secret: Callable[[SecretReference], str] | None = None) -> Endpoint:
    """Return an endpoint as its dialect sees it; ``secret`` reads one, without it there are none."""
    plain = Endpoint(
        name=entry.name,
        url=entry.url,
        dialect=entry.dialect.value,
        method=entry.method.value if entry.method is not None else "",
        inbound_url="" if entry.dialect in OUTBOUND_ONLY else entry.inbound_url or entry.url,
        events=frozenset(Name(event.value) for event in entry.events),
        when=When(entry.when.value),
        trigger=Trigger(entry.trigger.value),
    )
    if secret is None:
        return plain
    hidden = tuple((name, secret(one)) for name, one in entry.secret_headers.items())
    return Endpoint(
        name=plain.name,
        url=plain.url,
        dialect=plain.dialect,
        method=plain.method,
        inbound_url=plain.inbound_url,
        events=plain.events,
        when=plain.when,
        trigger=plain.trigger,
        headers=(*entry.headers.items(), *hidden),
        secrets=tuple(secret(one) for one in entry.secrets),
        user=entry.user,
        password=secret(entry.password) if entry.password is not None else "",
        options={**entry.options, **{name: secret(one) for name, one in entry.secret_options.items()}},
    )


class Index:
    """The endpoints of one policy by the numbers that they are told of, so that an event looks at its own alone."""

    def __init__(self, entries: Mapping[str, CallbackEndpoint]) -> None:
        self.entries = entries
        self.held = frozenset(name for name, entry in entries.items() if entry.suspended)
        self._order = {name: position for position, name in enumerate(entries)}
        self._by_number: dict[str, list[CallbackEndpoint]] = {}
        self._all = [entry for entry in entries.values() if not entry.numbers]
        for entry in entries.values():
            for number in entry.numbers:
                self._by_number.setdefault(number, []).append(entry)

    def concerned(self, number: str | None) -> list[CallbackEndpoint]:
        """Return the endpoints that are told of a number of ours, or of what concerns none, in the policy's order."""
        found = [*self._all, *(self._by_number.get(number, ()) if number is not None else ())]
        return sorted(found, key=lambda entry: self._order[entry.name])


def posts(event: Event, entries: Iterable[CallbackEndpoint], about: str) -> list[Post]:
    """Return what the endpoints are owed for an event. ``about``: what it is of, within which order is kept."""
    return [
        Post(entry.name, told.name.value, f"{about}:{entry.name}", {EVENT: encode(told)}, twin=position > 0)
        for entry in entries
        for position, told in enumerate(owed(event, endpoint_of(entry)))
    ]


def terms_of(entry: CallbackEndpoint, *, gone: bool = False) -> Terms:
    """Return how an endpoint is tried again."""
    return Terms(entry.delays, entry.suspend_after, gone)


def outcome_of(answer: Answer | NoAnswer, entry: CallbackEndpoint) -> Outcome:
    """Return what an answer means."""
    if isinstance(answer, NoAnswer):
        called = Called(answer.status, answer.seconds, answer.reason, answer.body)
        return NotTaken(answer.reason, terms=terms_of(entry), called=called)
    status = answer.status
    if status in _SUCCESS and DIALECTS[entry.dialect.value].understood(status, answer.body):
        return Taken(str(status), called=Called(status, answer.seconds, "", answer.body))
    if status in _SUCCESS:
        reason = f"{status}, but the answer is not what a success is in the dialect {entry.dialect.value}"
    elif status in _REDIRECT:
        reason = f"{status}: redirects are not followed"
    elif status == _GONE:
        reason = f"{status}: the endpoint is gone"
    else:
        reason = f"it answered {status}"
    called = Called(status, answer.seconds, reason, answer.body)
    return NotTaken(reason, answer.retry_after, terms=terms_of(entry, gone=status == _GONE), called=called)
