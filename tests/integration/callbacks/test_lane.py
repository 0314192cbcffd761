"""The callback lane against a receiver that misbehaves, with the tests' own clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from policies.dialects import OPTIONS
from policies.endpoints import PRESETS, CallbackEvent, Dialect, Method, Trigger
from relay.callbacks.dialects import DIALECTS
from relay.outbox import replay
from relay.store.tables import delivery, event
from relay.web.links import Action, Links
from transport.seam import Cause

from .desk import CallbackDesk, confirmed, ended, endpoint
from .misbehaving import bodies, receiver

_DAY = 86400.0
_SENT = frozenset({CallbackEvent.SENT})


def headers(request: bytes) -> dict[str, str]:
    """Return a request's headers."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize("name", ["standard", "sfax", "assinaturas", "esms"])
async def test_each_preset_is_followed_to_the_attempt(desk: CallbackDesk, name: str) -> None:
    """A receiver that was down for a while would never hear, or one that is down for good would be called for ever."""
    preset = PRESETS[Dialect(name)]
    async with receiver("status", "500") as there:
        desk.has(endpoint("crm", there.port, delays=preset, suspend_after=None, events=_SENT))
        desk.sent(confirmed())
        made = []
        lane, began = desk.callback_lane(), desk.clock.now
        for pause in (0.0, *preset, 2 * _DAY):
            desk.clock.now += pause - 1 if pause else 0
            await desk.settle(lane)
            desk.clock.now += 1 if pause else 0
            await desk.settle(lane)
            made.append(len(desk.calls()))
        await lane._client.close()
        assert made == [*range(1, len(preset) + 2), len(preset) + 1]
        assert [row.at - began for row in desk.calls()] == [sum(preset[:count]) for count in range(len(preset) + 1)]
        assert [row.result for row in desk.calls()] == ["retry"] * len(preset) + ["failed"]
        assert desk.waiting() == []


async def test_a_callback_tells_where_the_fax_can_be_fetched(desk: CallbackDesk) -> None:
    """Lost otherwise: a program that hears of a fax cannot get it; or the address changes with each attempt."""
    async with receiver("status", "500") as there:
        desk.has(endpoint("crm", there.port, delays=(5.0,), events=_SENT))
        fax_id = desk.sent(confirmed())
        links = Links(b"k" * 32, life=60.0)
        lane = desk.callback_lane(download=lambda fax, at: links.url("https://fax.example.com", Action.FAX, fax, at)[0])
        (at,) = (row.at for row in desk.rows(event) if row.kind == "fax.sent")
        for _ in range(2):
            await desk.settle(lane)
            desk.clock.now += 5
        await lane._client.close()
        first, second = (body["data"]["download_url"] for body in bodies(there))
        assert first == second == links.url("https://fax.example.com", Action.FAX, fax_id, at)[0]
        made = links.read(*first.removeprefix("https://fax.example.com/link/").split("/"), now=at + 59)
        assert (made.action, made.fax_id, made.until) == (Action.FAX, fax_id, int(at + 60))


async def test_an_endpoint_is_called_by_its_own_method(desk: CallbackDesk) -> None:
    """Lost otherwise: a gateway that takes PUT alone hears nothing."""
    async with receiver("ok") as there:
        desk.has(endpoint("a", there.port, events=_SENT), endpoint("b", there.port, events=_SENT, method=Method.PUT))
        desk.sent(confirmed())
        await desk.settle()
        assert sorted(request.split(b" ")[0] for request in there.requests) == [b"POST", b"PUT"]


def test_the_presets_are_those_of_the_dialects() -> None:
    """The policy's reference would promise another schedule than the dialect's document does."""
    for dialect, preset in PRESETS.items():
        assert preset == DIALECTS[dialect.value].PRESET


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("hang", "no whole answer within 1 seconds"),
        ("huge", "the answer is longer than 64 KiB"),
        ("huge head", "it closed the connection, or did not answer in HTTP"),
        ("half", "it closed the connection, or did not answer in HTTP"),
        ("slowly", "no whole answer within 1 seconds"),
        ("endless 1xx", "no whole answer within 1 seconds"),
        ("nothing", "it closed the connection, or did not answer in HTTP"),
        ("garbage", "it closed the connection, or did not answer in HTTP"),
        ("redirect", "302: redirects are not followed"),
    ],
)
async def test_a_receiver_that_misbehaves_is_a_failure_in_time(desk: CallbackDesk, behaviour: str, why: str) -> None:
    """One broken receiver could hold the relay's memory or its connections, or pass for a success."""
    async with receiver(behaviour, "http://127.0.0.1:9/") as there:
        desk.has(endpoint("crm", there.port, events=_SENT))
        desk.sent(confirmed())
        await desk.settle()
        (call,) = desk.calls()
        assert (call.result, call.reason) == ("retry", why)
        assert call.seconds < 2
        assert there.sent < 8 * 1024 * 1024
        there.behaviour = "ok"
        desk.clock.now += 5
        await desk.settle()
        assert [row.result for row in desk.calls()] == ["retry", "done"]


async def test_broken_tls_is_a_failure(desk: CallbackDesk) -> None:
    """A receiver whose TLS is broken would pass for a success, or hang."""
    async with receiver("not tls") as there:
        desk.has(endpoint("crm", there.port, url=f"https://127.0.0.1:{there.port}/"))
        desk.sent(confirmed())
        await desk.settle()
        (call,) = desk.calls()
        assert call.reason.startswith("no TLS connection")


async def test_a_receiver_that_refuses_connections_comes_back_after_a_day(desk: CallbackDesk) -> None:
    """What happened while a receiver was down for a day would be lost."""
    async with receiver("ok") as there:
        port = there.port
    desk.has(endpoint("crm", port))
    fax_id = desk.sent(confirmed())
    await desk.live(_DAY, 1800.0)
    assert {row.result for row in desk.calls()} == {"retry"}
    async with receiver("ok", port=port) as there:
        desk.clock.now += _DAY
        await desk.settle()
        told = bodies(there)
    assert [row.result for row in desk.calls()][-1] == "done"
    assert [one["type"] for one in told] == ["fax.sent", "submission.completed"]
    assert str(fax_id) in json.dumps(told[0])


async def test_retry_after_lengthens_the_wait(desk: CallbackDesk) -> None:
    """A receiver that is too busy would be called all the more."""
    async with receiver("status", "429 Retry-After: 600") as there:
        desk.has(endpoint("crm", there.port))
        desk.sent(confirmed())
        lane = desk.callback_lane()
        await desk.settle(lane)
        there.behaviour = "ok"
        desk.clock.now += 599
        await desk.settle(lane)
        assert len(desk.calls()) == 1
        desk.clock.now += 1
        await desk.settle(lane)
        await lane._client.close()
        assert [row.status for row in desk.calls()] == [429, 200, 200]


async def test_what_was_rolled_back_is_not_told(desk: CallbackDesk) -> None:
    """A receiver would hear of a fax that never was."""
    async with receiver("ok") as there:
        desk.has(endpoint("crm", there.port, trigger=Trigger.ACTION))

        class Rolled(Exception):
            """The change fails at its end."""

        real = desk.store.write_now

        def failing(work: Any, *args: Any, **more: Any) -> Any:
            def all_of_it(connection: sa.Connection) -> Any:
                work(connection, *args, **more)
                raise Rolled

            return real(all_of_it)

        desk.store.write_now = failing  # type: ignore[method-assign]
        with pytest.raises(Rolled):
            desk.sent(confirmed())
        desk.store.write_now = real  # type: ignore[method-assign]
        await desk.settle()
        assert there.requests == []
        assert desk.rows(event) == []


async def test_a_replay_tells_the_same_event_again(desk: CallbackDesk) -> None:
    """A receiver that lost what it was told could not have it again, or could not know that it is the same."""
    async with receiver("ok") as there:
        desk.has(endpoint("crm", there.port, events=_SENT))
        desk.sent(confirmed())
        await desk.settle()
        (done,) = [row for row in desk.rows(delivery) if row.lane == "callback"]
        await desk.store.write(replay, desk.ids, done.id, desk.clock())
        await desk.settle()
        first, second = (headers(request)["webhook-id"] for request in there.requests)
        assert first == second


async def test_an_answer_is_kept_and_told_as_text(desk: CallbackDesk) -> None:
    """Nobody could see what a receiver answered, or its bytes would reach a database that cannot hold them."""
    async with receiver("ok", "\x00" + "<b>" + "x" * 9000) as there:
        desk.has(endpoint("crm", there.port, events=_SENT))
        desk.sent(confirmed())
        await desk.settle()
        (call,) = desk.calls()
        assert call.body.startswith("\ufffd<b>xxx")
        assert len(call.body) == 4096


async def test_one_fax_that_waits_holds_up_no_other(desk: CallbackDesk) -> None:
    """One call that fails would delay what is told of every other fax."""
    async with receiver("status", "500") as there:
        desk.has(endpoint("crm", there.port, events=frozenset({CallbackEvent.SENT, CallbackEvent.COMPLETED})))
        desk.sent(confirmed())
        lane = desk.callback_lane()
        await desk.settle(lane)
        there.behaviour = "ok"
        desk.sent(ended(Cause.BUSY), confirmed())
        await desk.settle(lane)
        await lane._client.close()
        faxes = [one["data"]["fax"]["id"] for one in bodies(there)]
        assert len(set(faxes)) == 2


def test_the_options_are_those_of_the_dialects() -> None:
    """A policy file would be refused for what its dialect's document offers, or taken with a key that means nothing."""
    for name, dialect in DIALECTS.items():
        assert set(OPTIONS.get(Dialect(name), {})) == set(dialect.OPTIONS)


async def test_what_a_dialect_does_not_show_is_no_success(desk: CallbackDesk) -> None:
    """An endpoint that is dead would never be suspended where its dialect shows only some events."""
    async with receiver("status", "500") as there:
        desk.has(
            endpoint(
                "crm", there.port, dialect=Dialect.ESMS, trigger=Trigger.ACTION, delays=(60.0,) * 9, suspend_after=2
            )
        )
        desk.sent(confirmed())
        lane = desk.callback_lane()
        await desk.settle(lane)
        desk.clock.now += 30
        desk.received(confirmed())  # of which this dialect tells nothing
        await desk.settle(lane)
        assert len(desk.calls()) == 1
        desk.clock.now += 30
        await desk.settle(lane)
        await lane.close()
        assert desk.standing("crm").suspended_at is not None
