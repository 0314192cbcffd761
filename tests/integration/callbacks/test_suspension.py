"""Endpoints that are suspended, by failures or by the policy: what is held, who is told, how it goes out again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from policies.endpoints import CallbackEvent, Trigger
from relay.callbacks import holding
from relay.ids import IdSource
from relay.outbox import replay, resume
from relay.store.engine import Store
from relay.store.tables import delivery

from .desk import CallbackDesk, confirmed, endpoint
from .misbehaving import bodies, receiver

_DAY = 86400.0
_SENT = frozenset({CallbackEvent.SENT})


async def test_410_suspends_at_once_and_what_is_held_goes_out_in_order(desk: CallbackDesk) -> None:
    """A receiver that is gone would be called for days, or what happened meanwhile would be lost."""
    async with receiver("status", "410") as there:
        desk.has(endpoint("crm", there.port, trigger=Trigger.ACTION, tell="admin@example.com"))
        desk.sent(confirmed())
        await desk.settle()
        assert [row.status for row in desk.calls()] == [410]
        assert desk.standing("crm").suspended_at is not None
        desk.clock.now += 10 * _DAY
        desk.sent(confirmed())
        await desk.settle()
        assert len(there.requests) == 1
        (alarm,) = desk.alarms()
        assert (alarm["endpoint"], alarm["what"], alarm["why"]) == ("crm", "suspended", "410: the endpoint is gone")
        await asyncio.to_thread(desk.mail_all)
        (mail,) = desk.mails()
        assert mail["To"] == "admin@example.com"
        assert "faxrelay callback resume crm" in str(mail.get_body(("plain",)))
        there.behaviour, there.requests = "ok", []
        held = len(desk.waiting())
        assert await desk.store.write(resume, "callback", "crm", desk.clock()) == held
        await desk.settle()
        told = bodies(there)
        assert len(told) == held
        by_fax: dict[str, list[int]] = {}
        for one in told:
            by_fax.setdefault(one["data"]["fax"]["id"], []).append(one["data"]["sequence"])
        assert len(by_fax) == 2
        assert all(order == sorted(order) for order in by_fax.values())
        assert desk.waiting() == []


async def test_failures_in_a_row_suspend_and_tell_the_person_and_the_others_once(desk: CallbackDesk) -> None:
    """A dead receiver would be called for ever, and nobody would know."""
    async with receiver("status", "500") as broken, receiver("ok") as well:
        desk.has(
            endpoint("crm", broken.port, delays=(60.0,) * 50, suspend_after=20, tell="admin@example.com"),
            endpoint("watch", well.port, events=frozenset({CallbackEvent.SUSPENDED})),
        )
        desk.sent(confirmed())
        await desk.live(3600, 60.0)
        assert len(broken.requests) == 20
        assert [one["what"] for one in desk.alarms()] == ["suspended"]
        assert [one["type"] for one in bodies(well)] == ["callback.suspended"]
        assert len(desk.waiting()) == 2


async def test_a_success_in_between_starts_the_count_of_failures_anew(desk: CallbackDesk) -> None:
    """An endpoint that fails now and then would be suspended."""
    async with receiver("status", "500") as there:
        desk.has(endpoint("crm", there.port, delays=(60.0,) * 50, suspend_after=3))
        desk.sent(confirmed())
        lane = desk.callback_lane()
        for behaviour in ("status", "status", "ok", "status", "status"):
            there.behaviour = behaviour
            await desk.outbox(lane).route()
            await desk.outbox(lane).step(lane)
            desk.clock.now += 60
        await lane._client.close()
        assert desk.standing("crm").suspended_at is None
        assert desk.target("crm").failures == 2


async def test_a_call_that_is_given_up_is_mailed_once_until_something_succeeds(desk: CallbackDesk) -> None:
    """The person of an endpoint would hear nothing of what was lost, or a mail for each call."""
    async with receiver("status", "500") as there:
        desk.has(endpoint("crm", there.port, delays=(), suspend_after=None, tell="admin@example.com"))
        for _ in range(3):
            desk.sent(confirmed())
        await desk.settle()
        assert [one["what"] for one in desk.alarms()] == ["failed"]
        there.behaviour = "ok"
        desk.sent(confirmed())
        await desk.settle()
        there.behaviour = "status"
        desk.sent(confirmed())
        await desk.settle()
        assert [one["what"] for one in desk.alarms()] == ["failed", "failed"]


async def test_policy_suspension_holds_and_lets_go(desk: CallbackDesk) -> None:
    """What an admin suspends in a file would be called nevertheless, or forgotten."""
    async with receiver("ok") as there:
        desk.has(endpoint("crm", there.port, suspended=True))
        desk.sent(confirmed())
        await desk.settle()
        assert there.requests == []
        assert len(desk.waiting()) == 2
        desk.change("crm", suspended=False)
        await desk.settle()
        assert [one["type"] for one in bodies(there)] == ["fax.sent", "submission.completed"]


async def test_what_the_policy_held_goes_out_at_a_bounded_rate(desk: CallbackDesk) -> None:
    """A receiver that was away for a week would get the week's callbacks in one second, and be down again."""
    async with receiver("ok") as there:
        desk.has(endpoint("crm", there.port, suspended=True, events=_SENT))
        assert await desk.store.write(holding.follow, ["crm"], desk.clock()) == []
        for _ in range(15):
            desk.sent(confirmed())
        await desk.settle()
        desk.change("crm", suspended=False)
        assert await desk.store.write(holding.follow, [], desk.clock()) == ["crm"]
        lane = desk.callback_lane()
        await desk.settle(lane)
        assert len(there.requests) == 1
        await desk.live(0.95, 0.1, lane)
        assert 8 <= len(there.requests) <= 11
        await desk.live(1.0, 0.1, lane)
        await lane.close()
        assert len(there.requests) == 15
        order = [one["data"]["fax"]["id"] for one in bodies(there)]
        assert order == sorted(order)
        assert await desk.store.write(holding.follow, [], desk.clock()) == []


async def test_the_policy_does_not_let_go_what_failures_suspended(desk: CallbackDesk) -> None:
    """A dead endpoint would be called again because somebody edited a file."""
    async with receiver("status", "410") as there:
        desk.has(endpoint("crm", there.port, events=_SENT))
        desk.sent(confirmed())
        await desk.settle()
        for held in (["crm"], []):
            assert await desk.store.write(holding.follow, held, desk.clock()) == []
            assert desk.standing("crm").suspended_why == "410: the endpoint is gone"


@pytest.fixture
def anywhere(tmp_path: Path, ids: IdSource, store: Store) -> CallbackDesk:
    """A desk on an empty store of each kind."""
    return CallbackDesk(tmp_path, ids, store)


async def test_suspension_order_and_replay_hold_on_each_database(anywhere: CallbackDesk) -> None:
    """A relay on PostgreSQL would lose, double or turn round what it tells."""
    desk = anywhere
    async with receiver("status", "500") as there, receiver("ok") as well:
        desk.has(
            endpoint(
                "crm", there.port, trigger=Trigger.ACTION, delays=(60.0,) * 9, suspend_after=3, tell="a@example.com"
            ),
            endpoint("archive", well.port, trigger=Trigger.ACTION),
        )
        for _ in range(3):
            desk.sent(confirmed())
        await desk.settle()
        assert (len(there.requests), len(desk.alarms())) == (3, 1)
        assert len(well.requests) == 15 + 1  # and that the other one is suspended
        there.behaviour, there.requests = "ok", []
        held = await desk.store.write(resume, "callback", "crm", desk.clock(), 10.0)
        assert held == len(desk.waiting()) == 15
        lane = desk.callback_lane()
        await desk.settle(lane)
        assert len(there.requests) == 1
        await desk.live(3.0, 0.1, lane)
        assert desk.waiting() == []
        orders: dict[str, list[int]] = {}
        for one in bodies(there):
            orders.setdefault(one["data"]["fax"]["id"], []).append(one["data"]["sequence"])
        assert all(order == sorted(order) and len(order) == 5 for order in orders.values())
        done = next(row for row in desk.rows(delivery) if row.lane == "callback" and row.target == "crm")
        await desk.store.write(replay, desk.ids, done.id, desk.clock())
        await desk.settle(lane)
        await lane.close()
        assert len(there.requests) == 16
        assert desk.standing("crm").sent == 16
