"""The outbox on a real store: no loss and no double at any kill point, order, back-off, suspension, replay."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from relay.errors import LostClaim, NotFound
from relay.ids import IdSource
from relay.outbox import Deferred, Delivered, Patience, Post, Refused, oldest_unrouted, replay, resume, states
from relay.store import queue
from relay.store.engine import Store
from relay.store.tables import delivery, event, fax, target
from transport.seam import Cause

from .desk import Desk, confirmed, ended

if TYPE_CHECKING:
    from relay.outbox import Outcome
    from relay.store.queue import Claim


@pytest.fixture
def desk(tmp_path: Path, ids: IdSource, store: Store) -> Desk:
    """A desk on an empty store of each kind."""
    return Desk(tmp_path, ids, store)


class Counter:
    """A lane that posts every end of a fax to one target and answers as told; the last answer repeats."""

    name = "counter"

    def __init__(self, *answers: Outcome | Exception, **patience: Any) -> None:
        self.patience = Patience(**patience)
        self.answers = list(answers) or [Delivered()]
        self.delivered: list[int] = []
        self.order = "one"

    def routes(self, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
        """Post what has ended."""
        assert submission is not None
        return [Post("office", "end", self.order, {"fax": fax.id})] if event.after == "sent" else []

    async def deliver(self, claim: Claim) -> Outcome:
        """Answer as told."""
        self.delivered.append(claim.id)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def route(desk: Desk, lane: Any) -> None:
    """Route all that happened."""
    outbox = desk.outbox(lane)
    while await outbox.route():
        pass


def test_a_router_killed_before_its_commit_has_done_nothing(desk: Desk) -> None:
    """Lost otherwise: a receipt that is never sent, or one that is sent twice, after a power failure."""
    desk.sent(confirmed())
    outbox = desk.outbox(desk.lane())

    def killed() -> None:
        with desk.store.engine.begin() as connection:
            assert outbox._router.route(connection) > 0
            assert connection.execute(sa.select(sa.func.count()).select_from(delivery)).scalar() == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert desk.rows(delivery) == []
    assert not any(row.routed for row in desk.rows(event) if row.kind == "fax.sent")
    desk.mail_all()
    desk.mail_all()
    assert len(desk.rows(delivery)) == 1
    assert all(row.routed for row in desk.rows(event))


def test_a_mail_whose_delivery_was_not_committed_is_repeated_under_the_same_name(desk: Desk) -> None:
    """Lost otherwise: a crash between the server's 250 and our commit looks like two different mails to a mailbox."""
    desk.sent(confirmed())
    letters: list[str] = []

    class Witness:
        async def send(self, letter: Any) -> Outcome:
            letters.append(str(letter.message["Message-ID"]))
            return Delivered("250 2.0.0 queued")

    lane = desk.lane(Witness())
    outbox = desk.outbox(lane)

    async def killed_then_again() -> None:
        await outbox.route()
        claim = await outbox._claim(lane)
        assert claim is not None
        await lane.deliver(claim)  # and the process dies here
        assert not await outbox.step(lane), "the lease still stands"
        desk.clock.now += 301
        assert await outbox.step(lane)
        with pytest.raises(LostClaim):
            await desk.store.write(outbox._conclude, lane, claim, Delivered())

    asyncio.run(killed_then_again())
    (row,) = desk.rows(delivery)
    assert letters == [f"<{row.id}@fax.example.com>"] * 2
    assert (row.state, row.answer) == ("done", "250 2.0.0 queued")


async def test_failures_are_tried_again_later_and_later_and_given_up_after_three_days(desk: Desk) -> None:
    """Lost otherwise: mail lost to a short outage, or tried every second for ever."""
    desk.sent(confirmed())
    lane = Counter(Deferred("451 4.3.0 later"), give_up=3 * 24 * 3600.0)
    outbox = desk.outbox(lane)
    await outbox.route()
    pauses = []
    for _ in range(200):
        assert await outbox.step(lane)
        (row,) = desk.rows(delivery)
        if row.state != "due":
            break
        pauses.append(row.not_before - desk.clock.now)
        assert not await outbox.step(lane), "nothing is due yet"
        desk.clock.now = row.not_before
    assert 15 <= pauses[0] <= 18
    assert all(3600 <= pause <= 4320 for pause in pauses[9:])
    assert row.state == "failed"
    assert row.answer == "given up; the last answer was: 451 4.3.0 later"
    assert 3 * 24 * 3600 <= row.ended_at - row.created_at <= 3 * 24 * 3600 + 4320


async def test_the_far_sides_own_wish_is_honoured(desk: Desk) -> None:
    """Lost otherwise: a server that asked for patience blocks us."""
    desk.sent(confirmed())
    lane = Counter(Deferred("429", retry_after=900))
    outbox = desk.outbox(lane)
    await outbox.route()
    await outbox.step(lane)
    assert desk.rows(delivery)[0].not_before == desk.clock.now + 900


async def test_a_suspended_target_holds_everything_and_resumes_in_order(desk: Desk) -> None:
    """Lost otherwise: events of an endpoint that was down are dropped, or arrive out of order."""
    for number in range(4):
        desk.sent(confirmed(), message_id=f"<{number}@example.com>")
    lane = Counter(Deferred("503"), Deferred("503"), Delivered("200"), suspend_after=2, first=1.0)
    outbox = desk.outbox(lane)
    await route(desk, lane)
    for _ in range(2):
        assert await outbox.step(lane)
        desk.clock.now += 10
    (held,) = desk.rows(target)
    assert (held.failures, held.suspended_why) == (2, "503")
    desk.clock.now += 100_000
    assert not await outbox.step(lane), "nothing goes to a suspended target"
    (state,) = await desk.store.read(states)
    assert (state.due, state.suspended, state.failed) == (4, 1, 0)
    assert await desk.store.write(resume, "counter", "office", desk.clock()) == 4
    lane.delivered.clear()
    while await outbox.step(lane):
        pass
    assert lane.delivered == [row.id for row in desk.rows(delivery)]
    assert {row.state for row in desk.rows(delivery)} == {"done"}
    assert desk.rows(target)[0].failures == 0
    with pytest.raises(NotFound, match="counter to office is not suspended"):
        await desk.store.write(resume, "counter", "office", desk.clock())


async def test_an_elder_of_the_same_order_key_goes_first(desk: Desk) -> None:
    """Lost otherwise: 'sent' is told before 'dialling'."""
    desk.sent(confirmed(), message_id="<1@example.com>")
    desk.sent(confirmed(), message_id="<2@example.com>")
    lane = Counter(Deferred("later"), Delivered())
    outbox = desk.outbox(lane)
    await route(desk, lane)
    elder, younger = (row.id for row in desk.rows(delivery))
    await outbox.step(lane)
    assert not await outbox.step(lane), "the younger one waits for its elder"
    desk.clock.now += 20
    while await outbox.step(lane):
        pass
    assert lane.delivered == [elder, elder, younger]


async def test_a_lane_whose_way_out_is_blocked_rests_as_a_whole(desk: Desk) -> None:
    """Lost otherwise: an outage of the smarthost pushes every mail an hour away, and hammers it meanwhile."""
    desk.sent(confirmed(), message_id="<1@example.com>")
    desk.sent(confirmed(), message_id="<2@example.com>")
    lane = Counter(Deferred("no route", blocked=True), Delivered(), rest=30.0)
    outbox = desk.outbox(lane)
    lane.order = "apart"
    await route(desk, lane)
    assert await outbox.step(lane)
    assert not await outbox.step(lane)
    desk.clock.now += 30
    while await outbox.step(lane):
        pass
    assert {row.state for row in desk.rows(delivery)} == {"done"}


async def test_a_slow_delivery_keeps_its_claim_and_a_hanging_one_is_ended(desk: Desk) -> None:
    """Lost otherwise: a large mail over a slow line is sent twice at once, or a dead server holds a mail for ever."""
    desk.sent(confirmed())

    class Slow(Counter):
        async def deliver(self, claim: Claim) -> Outcome:
            await asyncio.sleep(0.4)
            return await super().deliver(claim)

    lane = Slow(attempt=0.2)
    outbox = desk.outbox(lane, lease=0.15)
    await outbox.route()
    delivering = asyncio.create_task(outbox.step(lane))
    await asyncio.sleep(0.1)
    desk.clock.now += 0.1
    await asyncio.sleep(0.05)
    desk.clock.now += 0.1
    assert not await outbox.step(lane), "the lease was renewed"
    await delivering
    (row,) = desk.rows(delivery)
    assert (row.state, row.answer) == ("due", "it took longer than 0.2 seconds")


async def test_a_fault_of_a_lane_is_a_deferral_with_a_discreet_answer(desk: Desk) -> None:
    """Lost otherwise: one bad row ends the service, or a stack trace is shown to a customer."""
    desk.sent(confirmed())
    lane = Counter(ZeroDivisionError("secret"), Delivered())
    outbox = desk.outbox(lane)
    await outbox.route()
    assert await outbox.step(lane)
    (row,) = desk.rows(delivery)
    assert (row.state, row.answer) == ("due", "a fault of the relay; its log tells more")


async def test_an_event_that_cannot_be_routed_holds_up_no_other(desk: Desk) -> None:
    """Lost otherwise: one odd fax stops the mail of everybody."""
    bad = desk.sent(confirmed(), message_id="<1@example.com>")
    desk.sent(confirmed(), message_id="<2@example.com>")

    class Choosy(Counter):
        def routes(self, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
            if fax.id == bad and event.after == "sent":
                raise ZeroDivisionError
            return super().routes(event, fax, submission)

    lane = Choosy()
    await route(desk, lane)
    assert len(desk.rows(delivery)) == 1
    assert (await desk.store.read(oldest_unrouted))[0] == 1
    await route(desk, Counter())
    assert len(desk.rows(delivery)) == 2, "a mended service routes it"


async def test_a_replay_is_a_new_delivery_of_the_same_payload(desk: Desk) -> None:
    """Lost otherwise: a receiver that lost its data cannot get it again."""
    desk.sent(confirmed())
    lane = Counter()
    outbox = desk.outbox(lane)
    await outbox.route()
    (first,) = desk.rows(delivery)
    with pytest.raises(NotFound, match="that has ended"):
        await desk.store.write(replay, desk.ids, first.id, desk.clock())
    await outbox.step(lane)
    new = await desk.store.write(replay, desk.ids, first.id, desk.clock())
    assert await outbox.step(lane)
    assert lane.delivered == [first.id, new]
    assert desk.rows(delivery)[1].payload == first.payload


async def test_the_loops_route_and_deliver_without_being_asked(desk: Desk) -> None:
    """Lost otherwise: mail waits for a restart."""
    lane = Counter()
    running = asyncio.create_task(desk.outbox(lane).run())
    await asyncio.to_thread(desk.sent, confirmed())
    async with asyncio.timeout(60):
        while not any(row.state == "done" for row in await asyncio.to_thread(desk.rows, delivery)):
            await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert len(lane.delivered) == 1


def test_a_received_fax_is_delivered_when_one_mailbox_took_it(desk: Desk) -> None:
    """Lost otherwise: an admin sees 'received' for ever and does not know whether anybody has the fax."""
    desk.received(confirmed(), settings={"deliver_to": ["gone@example.com", "bob@example.com"]})

    class HalfOpen:
        async def send(self, letter: Any) -> Outcome:
            return Refused("550 5.1.1 unknown") if letter.recipient.startswith("gone") else Delivered("250 ok")

    desk.mail_all(HalfOpen())
    assert [(row.state, row.reason) for row in desk.rows(fax)] == [("delivered", "mailed to bob@example.com")]
    assert [row.state for row in desk.rows(delivery)] == ["failed", "done"]


def test_a_received_fax_that_every_mailbox_refused_is_undeliverable_and_makes_no_further_mail(desk: Desk) -> None:
    """Lost otherwise: a bounce loop, or a fax that nobody has and nobody misses."""
    desk.received(confirmed())

    class Closed:
        async def send(self, letter: Any) -> Outcome:  # noqa: ARG002  a letter
            return Refused("550 5.1.1 no such user")

    desk.mail_all(Closed())
    (row,) = desk.rows(fax)
    assert row.state == "undeliverable"
    assert row.reason == "no mailbox took it; bob@example.com was answered: 550 5.1.1 no such user"
    assert len(desk.rows(delivery)) == 1


def test_a_received_fax_of_a_number_without_a_mailbox_says_so(desk: Desk) -> None:
    """Lost otherwise: a fax waits for ever for a mail that nobody will send."""
    desk.received(confirmed(), settings={"deliver_to": []})
    desk.mail_all()
    (row,) = desk.rows(fax)
    assert row.state == "undeliverable"
    assert "no mailbox is named for +97237654321" in row.reason


def test_the_end_of_a_delivery_and_the_faxs_move_are_one_transaction(desk: Desk) -> None:
    """Lost otherwise: a kill between the two leaves a mailed fax that is never 'delivered'."""
    desk.received(confirmed())
    lane = desk.lane()
    outbox = desk.outbox(lane)

    async def until_the_end() -> queue.Claim:
        await outbox.route()
        claim = await outbox._claim(lane)
        assert claim is not None
        return claim

    claim = asyncio.run(until_the_end())

    def killed() -> None:
        with desk.store.engine.begin() as connection:
            outbox._conclude(connection, lane, claim, Delivered())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert desk.rows(fax)[0].state == "received"
    assert desk.rows(delivery)[0].state == "due"


def test_automatic_mail_is_never_answered(desk: Desk) -> None:
    """Lost otherwise: a mail loop between two robots (RFC 3834)."""
    desk.sent(confirmed(), answerable=False)
    desk.sent(ended(Cause.BUSY), sender=None, message_id="<2@example.com>")
    desk.mail_all()
    assert desk.rows(delivery) == []
