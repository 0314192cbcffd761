"""What people and programs can ask of callbacks, by the command line and through the control socket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from relay.callbacks.client import Client, make_room
from relay.callbacks.event import Name
from relay.callbacks.guard import DnsResolver
from relay.callbacks.holding import RESUMED_PER_SECOND
from relay.callbacks.lane import LANE, PATIENCE, CallbackLane
from relay.callbacks.sample import sample
from relay.errors import NotFound, RelayError
from relay.mailer.writing import one_line
from relay.outbox import Deferred, Delivered, replay, resume, suspend
from relay.store import callback_log
from relay.store.tables import delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.endpoints import CallbackEndpoint
    from relay.callbacks.lane import Download
    from relay.ids import IdSource
    from relay.policy import PolicyHolder
    from relay.store.engine import Store

Json = dict[str, Any]

_DAY: Final = 86400.0
_NAMES: Final = {name.value: name for name in Name}


@dataclass(frozen=True, slots=True)
class _Row:
    """What the log keeps of a call that no delivery made."""

    id: int
    target: str
    kind: str
    fax_id: None = None


def lane_of(
    policy: PolicyHolder, ids: IdSource, clock: Callable[[], float], download: Download | None = None
) -> CallbackLane:
    """Return a lane that calls the endpoints of the policy in force, and make room for its connections."""
    make_room(PATIENCE.at_once)
    return CallbackLane(Client(DnsResolver()), lambda: policy.current.callbacks, ids, clock, download=download)


class CallbackOperations:
    """The operations."""

    def __init__(self, store: Store, policy: PolicyHolder, ids: IdSource, clock: Callable[[], float]) -> None:
        self._store = store
        self._policy = policy
        self._lane = lane_of(policy, ids, clock)
        self._ids = ids
        self._clock = clock

    async def callback_list(self) -> list[Json]:
        """Return the endpoints of the policy, and those beside for which something is kept."""
        now = self._clock()
        entries = self._policy.current.callbacks
        found = {one.name: one for one in await self._store.read(callback_log.standings)}
        troubles = {name: self._lane.trouble(entry) for name, entry in entries.items()}
        return [
            _listed(name, entries.get(name), found.get(name), now) | {"trouble": troubles.get(name, "")}
            for name in sorted(entries.keys() | found)
        ]

    async def callback_test(self, name: str, *, event: str = Name.SENT.value) -> Json:
        """Call an endpoint with an event that did not happen, and say what it answered.

        Raises :class:`NotFound`, and :class:`RelayError` for an event that there is not. A failure is not counted.
        """
        entry = self._entry(name)
        if event not in _NAMES:
            raise RelayError(f"there is no event {event}; there are {', '.join(_NAMES)}")
        told = sample(_NAMES[event], str(self._ids()), self._clock())
        outcome = await self._lane.call(told, entry)
        called = getattr(outcome, "called", None)
        reason = outcome.reason if isinstance(outcome, Deferred) else ""
        failed = isinstance(outcome, Deferred)
        if called is not None:
            row = _Row(self._ids(), name, event)
            result = "test failed" if failed else "test"
            await self._store.write(callback_log.write, self._ids, row, 1, called, result, self._clock())
        return {
            "endpoint": name,
            "event": event,
            "ok": not failed and called is not None,
            "status": called.status if called is not None else None,
            "seconds": round(called.seconds, 3) if called is not None else None,
            "reason": outcome.answer if isinstance(outcome, Delivered) and called is None else reason,
            "answer": called.body.decode("utf-8", "replace") if called is not None else "",
        }

    async def callback_log(
        self,
        *,
        endpoint: str | None = None,
        event: str | None = None,
        result: str | None = None,
        fax: int | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 50,
    ) -> list[Json]:
        """Return lines of the log, the newest first; ``since`` and ``until`` in seconds since 1970."""
        wanted = callback_log.Wanted(endpoint, event, result, fax, since, until)
        return [_line(row) for row in await self._store.read(callback_log.search, wanted, limit)]

    async def callback_replay(self, delivery_id: int) -> Json:
        """Tell again what a delivery told, under the same event id; raises :class:`NotFound`."""
        made = await self._store.write(self._replay, delivery_id)
        return {"delivery": str(made), "replay_of": str(delivery_id)}

    async def callback_suspend(self, name: str) -> Json:
        """Hold what is for an endpoint until it is resumed; raises :class:`NotFound`."""
        self._entry(name)
        done = await self._store.write(suspend, LANE, name, "suspended by the command line", self._clock())
        return {"endpoint": name, "suspended": True, "before": not done}

    async def callback_resume(self, name: str) -> Json:
        """Let what is held go, the oldest first; raises :class:`NotFound` where nothing is suspended.

        Raises :class:`RelayError` for an endpoint that the policy suspends.
        """
        entry = self._policy.current.callbacks.get(name)
        if entry is not None and entry.suspended:
            where = f"{Path(entry.source.file).name}:{entry.source.line}"
            raise RelayError(f"{name} is suspended by its policy file; write 'suspended: false' in {where}")
        released = await self._store.write(resume, LANE, name, self._clock(), RESUMED_PER_SECOND)
        return {"endpoint": name, "held": released}

    async def callback_report(self, *, days: float = 7.0) -> Json:
        """Return the calls of the last days, counted by endpoint, event and result."""
        now = self._clock()
        rows = await self._store.read(callback_log.report, now - days * _DAY, now)
        return {
            "since": _time(now - days * _DAY),
            "until": _time(now),
            "rows": [
                {
                    "endpoint": row.endpoint, "event": row.kind, "result": row.result, "calls": row.calls,
                    "mean_seconds": round(row.seconds, 3),
                }
                for row in rows
            ],
        }  # fmt: skip

    def _entry(self, name: str) -> CallbackEndpoint:
        entry = self._policy.current.callbacks.get(name)
        if entry is None:
            known = ", ".join(self._policy.current.callbacks) or "none"
            raise NotFound(f"the policy has no endpoint {one_line(name)}; it has {known}")
        return entry

    def _replay(self, connection: sa.Connection, delivery_id: int) -> int:
        query = sa.select(delivery.c.lane).where(delivery.c.id == delivery_id)
        if connection.execute(query).scalar() != LANE:
            raise NotFound(f"there is no callback {delivery_id}; `faxrelay callback log` shows those there are")
        return replay(connection, self._ids, delivery_id, self._clock())


def _listed(name: str, entry: CallbackEndpoint | None, found: callback_log.Standing | None, now: float) -> Json:
    suspended = found is not None and found.suspended_at is not None
    state = "suspended" if suspended else "active"
    if entry is None:
        state = "not in the policy"
    elif entry.suspended:
        state = "suspended by the policy"
    shown: Json = {
        "name": name,
        "state": state,
        "why": found.suspended_why if found is not None else "",
        "url": entry.url if entry is not None else "",
        "dialect": entry.dialect.value if entry is not None else "",
        "trigger": entry.trigger.value if entry is not None else "",
        "when": entry.when.value if entry is not None else "",
        "account": entry.account if entry is not None else "",
        "numbers": sorted(entry.numbers) if entry is not None else [],
        "events": sorted(event.value for event in entry.events) if entry is not None else [],
        "attempts": len(entry.delays) + 1 if entry is not None else None,
    }
    if found is None:
        return shown | {"failures": 0, "sent": 0, "failed": 0, "held": 0, "oldest_seconds": None, "mean_seconds": None}
    calls = found.sent + found.failed
    return shown | {
        "failures": found.failures,
        "sent": found.sent,
        "failed": found.failed,
        "held": found.held,
        "oldest_seconds": round(now - found.oldest, 1) if found.oldest is not None else None,
        "mean_seconds": round(found.seconds / calls, 3) if calls else None,
    }


def _line(row: sa.Row[Any]) -> Json:
    return {
        "id": str(row.id),
        "delivery": str(row.delivery_id),
        "at": _time(row.at),
        "endpoint": row.endpoint,
        "event": row.kind,
        "fax": str(row.fax_id) if row.fax_id is not None else None,
        "attempt": row.attempt,
        "result": row.result,
        "status": row.status,
        "seconds": round(row.seconds, 3),
        "reason": row.reason,
        "answer": row.body,
    }


def _time(value: float) -> str:
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
