"""The outbox's callback lane: which events are told to which endpoints, one call, and what is noted of it.

What is owed for an event is written in the transaction that routes it, with the event as it is then; so nothing is told
of a change that was rolled back, and a kill loses and doubles nothing but the call it interrupts, which is repeated
under the same event id. What a call came to, its line in the log, the endpoint's counts and the mail about its
suspension are one transaction, too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from policies.secrets import SecretError, read
from relay import fax as life
from relay.callbacks import plan, reading
from relay.callbacks.dialects import DIALECTS
from relay.callbacks.endpoint import Unfit
from relay.callbacks.event import Event, Name, Suspension, decode
from relay.fax import Direction
from relay.outbox import ALARM, Deferred, Patience, Post, Refused, Skipped, post
from relay.outbox.lane import State
from relay.store import callback_log, faxes
from relay.store.tables import event, fax, submission, target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from policies.endpoints import CallbackEndpoint
    from policies.secrets import SecretReference
    from relay.callbacks.client import Client
    from relay.ids import IdSource
    from relay.outbox import Outcome
    from relay.outbox.lane import Verdict
    from relay.store.queue import Claim

    #: Gives the address of a fax's download for its id and the time from which it is given out.
    Download = Callable[[int, float], str]

LANE: Final = callback_log.LANE
_RESULTS: Final = {State.DONE: "done", State.DUE: "retry", State.FAILED: "failed"}
#: How callbacks are sent: 1000 at once, 4 to an endpoint that answers. An endpoint's own terms say the rest.
PATIENCE: Final = Patience(at_once=1000, of_target=4, attempt=150.0)


class CallbackLane:
    """Calls endpoints.

    ``endpoints``: those of the policy; ``download``: gives the address at which a fax can be fetched, for its id and
    the time of the event that tells it; without it, none is told.
    """

    name = LANE

    def __init__(
        self,
        client: Client,
        endpoints: Callable[[], Mapping[str, CallbackEndpoint]],
        ids: IdSource,
        clock: Callable[[], float],
        *,
        download: Download | None = None,
        patience: Patience = PATIENCE,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.patience = patience
        self._client = client
        self._endpoints = endpoints
        self._ids = ids
        self._clock = clock
        self._download = download
        self._environ = environ
        self._indexed = plan.Index({})

    def routes(self, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:  # noqa: ARG002  the outbox asks `read`
        """Return nothing: what is owed needs more rows, see :meth:`read`."""
        return []

    def read(
        self, connection: sa.Connection, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None
    ) -> list[Post]:
        """Return what the endpoints are owed for an event; note first that it ended a submission, where it did."""
        entries = self._index().concerned(fax.number)
        if not entries:
            return []
        ended = event.after is not None and life.terminal(life.state(Direction(fax.direction), event.after))
        if submission is not None and ended:
            complete(connection, self._ids, fax, event.at)
        where = self._download(fax.id, event.at) if self._download is not None else ""
        told = reading.told(reading.around(connection, event, fax, submission), where)
        return plan.posts(told, entries, str(fax.id)) if told is not None else []

    def held(self) -> frozenset[str]:
        """Return the endpoints that the policy suspends."""
        return self._index().held

    async def deliver(self, claim: Claim) -> Outcome:
        """Make one call."""
        entry = self._endpoints().get(claim.row.target)
        if entry is None:
            return Refused(f"the policy has no endpoint {claim.row.target} any more")
        return await self.call(decode(claim.row.payload[plan.EVENT]), entry)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def trouble(self, entry: CallbackEndpoint) -> str:
        """Return why an endpoint cannot be called, empty where it can: its secrets, or its dialect."""
        try:
            DIALECTS[entry.dialect.value].check(plan.endpoint_of(entry, self._secret))
        except SecretError as fault:
            return str(fault)
        except Unfit as unfit:
            return f"{unfit.field}: {unfit}"
        return ""

    async def call(self, event: Event, entry: CallbackEndpoint) -> Outcome:
        """Tell one event to one endpoint."""
        try:
            endpoint = plan.endpoint_of(entry, self._secret)
            dialect = DIALECTS[entry.dialect.value]
            dialect.check(endpoint)
            request = dialect.render(event, endpoint, self._clock())
        except SecretError as fault:
            return plan.NotTaken(str(fault), terms=plan.terms_of(entry))
        except Unfit as unfit:
            return plan.NotTaken(f"{unfit.field}: {unfit}", terms=plan.terms_of(entry))
        if request is None:
            return Skipped(f"not told: the dialect {entry.dialect.value} does not show it")
        answer = await self._client.call(request, permitted=entry.networks, seconds=entry.timeout, group=entry.name)
        return plan.outcome_of(answer, entry)

    def concluded(
        self,
        connection: sa.Connection,
        claim: Claim,
        outcome: Outcome,
        verdict: Verdict,
        now: float,
        *,
        suspended: bool,
    ) -> None:
        """Write the log, the counts, and, where a person is to be told, a mail."""
        called = getattr(outcome, "called", None)
        if called is not None:
            result = _RESULTS[verdict.state]
            callback_log.write(connection, self._ids, claim.row, claim.row.attempts + 1, called, result, now)
        entry = self._endpoints().get(claim.row.target)
        if entry is None or not isinstance(outcome, Deferred):
            return
        here = sa.and_(target.c.lane == LANE, target.c.name == entry.name)
        if suspended:
            row = connection.execute(sa.select(target).where(here)).one()
            self._tell_of_suspension(connection, entry, row.failures, outcome.reason, now)
        elif verdict.state is State.FAILED and entry.tell is not None:
            first = target.update().where(here, target.c.warned_at.is_(None), target.c.suspended_at.is_(None))
            if connection.execute(first.values(warned_at=now)).rowcount:
                mail(connection, self._ids, entry, "failed", outcome.reason, now)

    def _tell_of_suspension(
        self, connection: sa.Connection, entry: CallbackEndpoint, failures: int, why: str, now: float
    ) -> None:
        if entry.tell is not None:
            mail(connection, self._ids, entry, "suspended", why, now)
        told = Event(
            str(self._ids()), Name.SUSPENDED, now, reason=why, suspension=Suspension(entry.name, failures, why)
        )
        others = [one for one in self._index().concerned(None) if one.name != entry.name]
        post(connection, self._ids, LANE, None, None, plan.posts(told, others, f"suspended {entry.name}"), now)

    def _index(self) -> plan.Index:
        entries = self._endpoints()
        if self._indexed.entries is not entries:
            self._indexed = plan.Index(entries)
        return self._indexed

    def _secret(self, reference: SecretReference) -> str:
        return read(reference, self._environ, lambda path: Path(path).open("rb"))


def complete(connection: sa.Connection, ids: IdSource, row: sa.Row[Any], at: float) -> None:
    """Note that the last fax of a submission has ended, once."""
    of_it = fax.c.submission_id == row.submission_id
    connection.execute(sa.select(submission.c.id).where(submission.c.id == row.submission_id).with_for_update())
    states = connection.execute(sa.select(fax.c.state).where(of_it).distinct()).scalars()
    if not all(life.terminal(life.state(Direction.OUTBOUND, state)) for state in states):
        return
    noted = sa.select(event.c.id).join(fax, fax.c.id == event.c.fax_id).where(of_it, event.c.kind == _COMPLETED)
    if connection.execute(noted.limit(1)).first() is None:
        faxes.note(connection, ids, row.id, _COMPLETED, at=at, outside=True)


_COMPLETED: Final = Name.COMPLETED.value


def mail(connection: sa.Connection, ids: IdSource, entry: CallbackEndpoint, what: str, why: str, now: float) -> None:
    """Owe the endpoint's person a mail; ``what``: suspended or failed."""
    assert entry.tell is not None  # noqa: S101  whoever calls has looked
    payload = {"endpoint": entry.name, "what": what, "why": why, "at": now}
    post(connection, ids, "mail", None, None, [Post(entry.tell, ALARM, f"{ALARM}:{entry.name}", payload)], now)
