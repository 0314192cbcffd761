"""Metrics for Prometheus, read from the store at each scrape: what the rows say is what is shown, also after a restart.

A registry of its own: nothing of the process's default metrics mixes in. Labels have few values: states, causes,
trunks, lanes, endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from relay import outbox
from relay.fax import Inbound, Outbound, terminal
from relay.store import callback_log
from relay.store.tables import attempt, channel, fax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relay.outbox import LaneState
    from relay.store.callback_log import Standing
    from relay.store.engine import Store

_WAITING = [state.value for state in (*Outbound, *Inbound) if not terminal(state)]

Rows = list[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one scrape shows; rows are (labels, value). Ages in seconds."""

    faxes: Rows
    oldest: Rows
    pages: Rows
    calls: Rows
    channels: Rows
    lanes: Sequence[LaneState]
    unrouted: tuple[int, float]
    endpoints: Sequence[Standing]
    at: float


def snapshot(connection: sa.Connection, now: float) -> Snapshot:
    """Read the store."""
    count = sa.func.count()
    waiting = fax.c.state.in_(_WAITING)
    busy = sa.func.count(channel.c.fax_id)
    unrouted, oldest = outbox.oldest_unrouted(connection)
    age = now - sa.func.min(fax.c.created_at)
    trunks = list(
        connection.execute(sa.select(channel.c.trunk, count, busy).where(channel.c.enabled).group_by(channel.c.trunk))
    )
    return Snapshot(
        faxes=_rows(connection, sa.select(fax.c.direction, fax.c.state, count).group_by(fax.c.direction, fax.c.state)),
        oldest=_rows(
            connection,
            sa.select(fax.c.direction, fax.c.state, age).where(waiting).group_by(fax.c.direction, fax.c.state),
        ),
        pages=_rows(
            connection, sa.select(fax.c.direction, sa.func.sum(fax.c.pages_confirmed)).group_by(fax.c.direction)
        ),
        calls=_rows(
            connection,
            sa.select(attempt.c.trunk, attempt.c.cause, count)
            .where(attempt.c.cause.is_not(None))
            .group_by(attempt.c.trunk, attempt.c.cause),
        ),
        channels=[((name, "busy"), float(taken)) for name, _, taken in trunks]
        + [((name, "free"), float(all_of_them - taken)) for name, all_of_them, taken in trunks],
        lanes=outbox.states(connection),
        endpoints=callback_log.standings(connection),
        unrouted=(unrouted, now - oldest if oldest is not None else 0.0),
        at=now,
    )


def router(store: Store, clock: Callable[[], float]) -> APIRouter:
    """Return the route of the metrics."""
    routes = APIRouter()

    @routes.get("/metrics")
    async def metrics() -> Response:
        seen = await store.read(snapshot, clock())
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Seen(seen))
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes


class _Seen(Collector):
    """Gives one snapshot to a registry."""

    def __init__(self, seen: Snapshot) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        """Return the metric families."""
        seen = self._seen
        yield _gauge("faxes", "Faxes by stage.", ("direction", "state"), seen.faxes)
        yield _gauge("fax_oldest_seconds", "Age of the oldest fax in a stage.", ("direction", "state"), seen.oldest)
        yield _counter("pages_confirmed", "Pages confirmed by a far machine or by us.", ("direction",), seen.pages)
        yield _counter("calls", "Calls that have ended, by cause.", ("trunk", "cause"), seen.calls)
        yield _gauge("channels", "Channels of each trunk.", ("trunk", "use"), seen.channels)
        lanes = seen.lanes
        yield _gauge("outbox_due", "Deliveries that wait.", ("lane",), [((one.lane,), one.due) for one in lanes])
        # A delivery that is made ahead of its time lies in the future.
        ages: Rows = [((one.lane,), max(seen.at - one.oldest, 0.0) if one.oldest is not None else 0.0) for one in lanes]
        yield _gauge("outbox_oldest_seconds", "Age of the oldest delivery that waits.", ("lane",), ages)
        yield _counter(
            "outbox_failed", "Deliveries given up or refused.", ("lane",), [((one.lane,), one.failed) for one in lanes]
        )
        yield _gauge(
            "outbox_suspended", "Targets that are held.", ("lane",), [((one.lane,), one.suspended) for one in lanes]
        )
        yield from _callbacks(seen.endpoints, seen.at)
        yield _gauge("events_unrouted", "Events without their deliveries.", (), [((), seen.unrouted[0])])
        yield _gauge("events_unrouted_oldest_seconds", "Age of the oldest of them.", (), [((), seen.unrouted[1])])


def _callbacks(endpoints: Sequence[Standing], at: float) -> Iterable[Metric]:
    """Give what is counted of each endpoint of callbacks. Latency: seconds over sent and failed calls."""
    by = ("endpoint",)
    oldest: Rows = [((one.name,), max(at - one.oldest, 0.0) if one.oldest is not None else 0.0) for one in endpoints]
    suspended: Rows = [((one.name,), float(one.suspended_at is not None)) for one in endpoints]
    yield _counter("callbacks_sent", "Calls that were taken.", by, [((one.name,), one.sent) for one in endpoints])
    yield _counter("callbacks_failed", "Calls that failed.", by, [((one.name,), one.failed) for one in endpoints])
    yield _counter("callback_seconds", "Time of all calls.", by, [((one.name,), one.seconds) for one in endpoints])
    yield _gauge("callbacks_held", "Callbacks that wait.", by, [((one.name,), one.held) for one in endpoints])
    yield _gauge("callbacks_oldest_seconds", "Age of the oldest callback that waits.", by, oldest)
    yield _gauge("callbacks_suspended", "Whether the endpoint is suspended.", by, suspended)


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Rows:
    """Return a query's rows: labels first, the value last."""
    return [(tuple(str(label) for label in row[:-1]), float(row[-1] or 0)) for row in connection.execute(query)]


def _gauge(name: str, doc: str, labels: Sequence[str], rows: Rows) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"faxrelay_{name}", doc, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _counter(name: str, doc: str, labels: Sequence[str], rows: Rows) -> CounterMetricFamily:
    family = CounterMetricFamily(f"faxrelay_{name}", doc, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family
