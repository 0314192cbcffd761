"""The store's contract, on SQLite and on a real PostgreSQL: what is promised of rows, claims and lanes."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from relay.errors import IllegalMove, LostClaim
from relay.fax import Direction, Inbound, Outbound
from relay.ledger import submit
from relay.store import destinations, faxes, mailboxes, queue
from relay.store.engine import Store, Topic, announce
from relay.store.tables import channel, document, event, fax, metadata
from relay.submission import File, Recipient, Submission

if TYPE_CHECKING:
    from relay.ids import IdSource

NOW = 1_790_000_000.0
LEASE = queue.Lease("node-a", seconds=60)


def asked(
    *numbers: str, message_id: str | None = "<1@example.com>", number: str = "+97231234567", **settings: Any
) -> Submission:
    """Return a submission of one file."""
    return Submission(
        source="smtp", sender="user@example.com", proof="network", number=number, subject="Hello",
        files=(File("a.pdf", "application/pdf", 10, "ab" * 32),),
        recipients=tuple(Recipient(to, f"{to}@fax.example.com") for to in numbers),
        message_id=message_id, settings=settings,
    )  # fmt: skip


def queue_fax(store: Store, ids: IdSource, *numbers: str, **more: Any) -> list[int]:
    """Bring faxes to QUEUED, due now."""
    made = store.write_now(submit, ids, asked(*numbers, message_id=None, **more), NOW)

    def ready(connection: sa.Connection) -> None:
        for fax_id in made.faxes:
            faxes.move(connection, ids, fax_id, Outbound.PREPARING, at=NOW, reason="")
            faxes.move(connection, ids, fax_id, Outbound.QUEUED, at=NOW, reason="", changes={"not_before": NOW})

    store.write_now(ready)
    return list(made.faxes)


def claim(store: Store, ids: IdSource, now: float = NOW) -> queue.CallClaim | None:
    """Claim the next call."""
    return store.write_now(queue.claim_call, ids, LEASE, {"line": 300.0}, now)


def test_migrations_make_exactly_the_tables_that_the_code_knows(store: Store) -> None:
    """Lost otherwise: an upgrade that leaves a column out stops the service of everybody who upgrades."""
    found = sa.inspect(store.engine)
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in found.get_columns(table.name)}
        assert columns == set(table.columns.keys())
        assert {index["name"] for index in found.get_indexes(table.name)} >= {index.name for index in table.indexes}


def test_a_repeat_makes_no_second_fax(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a mail client that did not hear the 250 sends the fax twice."""
    first = store.write_now(submit, ids, asked("+12025550123"), NOW)
    again = store.write_now(submit, ids, asked("+12025550123", "+12025550124"), NOW + 5)
    assert again.faxes[0] == first.faxes[0]
    assert again.repeats == 1
    assert store.read_now(lambda c: c.execute(sa.select(sa.func.count()).select_from(fax)).scalar()) == 2


def test_a_repeat_after_the_keys_life_is_a_new_fax(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a monthly form that keeps its Message-ID would never leave again."""
    first = store.write_now(submit, ids, asked("+12025550123"), NOW)
    again = store.write_now(submit, ids, asked("+12025550123"), NOW + 8 * 24 * 3600)
    assert again.faxes != first.faxes


def test_a_hundred_recipients_share_one_document(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a mail to a hundred numbers converts its attachment a hundred times."""
    numbers = [f"+1202555{index:04d}" for index in range(100)]
    store.write_now(submit, ids, asked(*numbers), NOW)
    assert store.read_now(lambda c: c.execute(sa.select(sa.func.count()).select_from(document)).scalar()) == 1


def test_a_move_and_its_event_stand_or_fall_together(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a receipt for a change that was rolled back, or a change that nobody is told of."""
    (fax_id,) = queue_fax(store, ids, "+12025550123")
    before = store.read_now(faxes.history, fax_id)

    def half(connection: sa.Connection) -> None:
        faxes.move(connection, ids, fax_id, Outbound.DIALING, at=NOW, reason="", changes={"slot": 0})
        raise RuntimeError("the power fails here")

    with pytest.raises(RuntimeError):
        store.write_now(half)
    assert store.read_now(faxes.get, fax_id).state == "queued"
    assert store.read_now(faxes.history, fax_id) == before
    assert [row.seq for row in before] == [1, 2, 3]


def test_an_illegal_move_changes_nothing(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a fax that was never dialled could be called sent."""
    (fax_id,) = queue_fax(store, ids, "+12025550123")
    with pytest.raises(IllegalMove, match="from queued to sent"):
        store.write_now(lambda c: faxes.move(c, ids, fax_id, Outbound.SENT, at=NOW, reason=""))
    assert store.read_now(faxes.get, fax_id).state == "queued"


def test_the_attempt_and_the_next_time_are_written_before_the_call(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a crash in the call forgets that it was made, and the number is rung for ever."""
    (fax_id,) = queue_fax(store, ids, "+12025550123")
    store.write_now(queue.set_channels, {"line": 1})
    claimed = claim(store, ids)
    assert claimed is not None
    row = store.read_now(faxes.get, fax_id)
    assert (row.state, row.attempts, row.not_before) == ("dialing", 1, NOW + 300)


def test_a_channel_carries_one_call(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a trunk of one channel is asked for two calls and the second is lost as busy."""
    queue_fax(store, ids, "+12025550123", "+12025550124")
    store.write_now(queue.set_channels, {"line": 1})
    first = claim(store, ids)
    assert first is not None
    assert claim(store, ids) is None
    store.write_now(queue.free_channel, first.fax.id)
    assert claim(store, ids) is not None


def test_a_destination_is_called_once_at_a_time(store: Store, ids: IdSource) -> None:
    """Lost otherwise: two faxes to one machine ring it together and one of them finds it busy."""
    queue_fax(store, ids, "+12025550123")
    queue_fax(store, ids, "+12025550123")
    store.write_now(queue.set_channels, {"line": 5})
    assert claim(store, ids) is not None
    assert claim(store, ids) is None


def test_a_destination_that_may_be_called_twice_is(store: Store, ids: IdSource) -> None:
    """Lost otherwise: the policy's `concurrency` for a machine with two lines does nothing."""
    for _ in range(3):
        queue_fax(store, ids, "+12025550123", concurrency=2)
    store.write_now(queue.set_channels, {"line": 5})
    assert claim(store, ids) is not None
    assert claim(store, ids) is not None
    assert claim(store, ids) is None


def test_the_database_itself_refuses_a_second_call_to_a_slot(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a mistake in a claim query rings a machine twice; the index is the last guard."""
    one, two = queue_fax(store, ids, "+12025550123", "+12025550123")
    store.write_now(lambda c: faxes.move(c, ids, one, Outbound.DIALING, at=NOW, reason="", changes={"slot": 0}))
    with pytest.raises(sa.exc.IntegrityError):
        store.write_now(lambda c: faxes.move(c, ids, two, Outbound.DIALING, at=NOW, reason="", changes={"slot": 0}))


def test_priority_goes_first_and_numbers_share_the_line(store: Store, ids: IdSource) -> None:
    """Lost otherwise: one number's mailing of hundreds keeps everybody else waiting."""
    for index in range(6):
        queue_fax(store, ids, f"+1202555{index:04d}", number="+97231111111")
    for index in range(2):
        queue_fax(store, ids, f"+1202556{index:04d}", number="+97232222222")
    queue_fax(store, ids, "+12025570000", number="+97233333333", priority=9)
    store.write_now(queue.set_channels, {"line": 20})
    order = []
    while (claimed := claim(store, ids)) is not None:
        order.append(claimed.fax.row.number[-1])
    assert order[0] == "3"
    assert sorted(order[1:5]) == ["1", "1", "2", "2"]
    assert order[5:] == ["1"] * 4


def test_a_delayed_fax_waits_and_does_not_hold_up_the_others(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a number whose only fax waits for its retry is scanned for ever or never again."""
    (late,) = queue_fax(store, ids, "+12025550123")
    store.write_now(lambda c: c.execute(fax.update().where(fax.c.id == late).values(not_before=NOW + 100)))
    queue_fax(store, ids, "+12025550124", number="+97232222222")
    store.write_now(queue.set_channels, {"line": 5})
    first = claim(store, ids)
    assert first is not None
    assert first.fax.row.peer == "+12025550124"
    assert claim(store, ids, NOW + 99) is None
    later = claim(store, ids, NOW + 100)
    assert later is not None
    assert later.fax.id == late


def test_a_worker_that_was_too_slow_cannot_commit(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a worker that hung for an hour overwrites what its successor did."""
    store.write_now(submit, ids, asked("+12025550123"), NOW)
    slow = store.write_now(queue.claim_document, LEASE, NOW)
    assert slow is not None
    assert store.write_now(queue.claim_document, LEASE, NOW + 30) is None
    heir = store.write_now(queue.claim_document, queue.Lease("node-b"), NOW + 61)
    assert heir is not None
    with pytest.raises(LostClaim):
        store.write_now(lambda c: queue.keep(c, document, slow, blob="cd" * 32))
    store.write_now(lambda c: queue.keep(c, document, heir, blob="ef" * 32))
    row = store.read_now(lambda c: c.execute(sa.select(document)).one())
    assert row.blob == "ef" * 32


def test_cancelling_reaches_a_waiting_fax_at_once_and_a_call_by_request(store: Store, ids: IdSource) -> None:
    """Lost otherwise: cancelling a fax that is on the line calls it cancelled while its pages go out."""
    waiting, calling = queue_fax(store, ids, "+12025550123", "+12025550124")
    store.write_now(lambda c: faxes.move(c, ids, calling, Outbound.DIALING, at=NOW, reason="", changes={"slot": 0}))
    assert store.write_now(lambda c: faxes.request_cancel(c, ids, waiting, at=NOW, who="a test"))
    assert not store.write_now(lambda c: faxes.request_cancel(c, ids, calling, at=NOW, who="a test"))
    assert store.read_now(faxes.get, calling).state == "dialing"
    with pytest.raises(IllegalMove, match="nothing left to cancel"):
        store.write_now(lambda c: faxes.request_cancel(c, ids, waiting, at=NOW, who="a test"))


def test_inbound_faxes_never_enter_the_queue(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a received fax could be dialled out."""
    values = {
        "direction": Direction.INBOUND.value, "number": "+97231234567", "peer": "", "settings": {}, "created_at": NOW,
    }  # fmt: skip
    fax_id = store.write_now(lambda c: faxes.create(c, ids, values, reason="rings"))
    with pytest.raises(IllegalMove):
        store.write_now(lambda c: faxes.move(c, ids, fax_id, Outbound.QUEUED, at=NOW, reason=""))
    store.write_now(lambda c: faxes.move(c, ids, fax_id, Inbound.RECEIVED, at=NOW, reason=""))


async def test_writes_that_read_first_lose_nothing(store: Store) -> None:
    """Lost otherwise: two processes that count at once count once (149 of 200 updates, by SQLAlchemy's defaults)."""
    store.write_now(lambda c: c.execute(channel.insert().values(trunk="count", position=0, fax_id=0)))

    def increment(connection: sa.Connection) -> None:
        value = connection.execute(sa.select(channel.c.fax_id).with_for_update()).scalar_one()
        time.sleep(random.random() / 1000)
        connection.execute(channel.update().values(fax_id=value + 1))

    await asyncio.gather(*(store.write(increment) for _ in range(200)))
    assert await store.read(lambda c: c.execute(sa.select(channel.c.fax_id)).scalar()) == 200


async def test_one_failing_write_does_not_take_its_neighbours_along(store: Store) -> None:
    """Lost otherwise: one bad mail in a shared commit costs nineteen good ones."""

    def good(connection: sa.Connection, position: int) -> None:
        connection.execute(channel.insert().values(trunk="line", position=position))

    def bad(connection: sa.Connection, position: int) -> None:
        good(connection, position)
        raise ValueError("no")

    outcomes = await asyncio.gather(
        *(store.write(bad if index % 5 == 0 else good, index) for index in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, ValueError) for outcome in outcomes) == 4
    assert await store.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(channel)).scalar()) == 16


async def test_a_write_goes_on_when_its_asker_is_cancelled(store: Store) -> None:
    """Lost otherwise: a client that hangs up while we commit leaves half a submission."""
    started = threading.Event()

    def slow(connection: sa.Connection) -> None:
        started.set()
        time.sleep(0.1)
        connection.execute(channel.insert().values(trunk="line", position=0))

    task = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.3)
    assert await store.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(channel)).scalar()) == 1


async def test_waiters_are_woken_by_a_commit_and_not_by_a_rollback(store: Store) -> None:
    """Lost otherwise: the queue sleeps until the next poll, or wakes for work that does not exist."""

    def commit(connection: sa.Connection) -> None:
        announce(connection, Topic.DIAL)

    def rollback(connection: sa.Connection) -> None:
        announce(connection, Topic.DIAL)
        raise ValueError("no")

    with store.waiter(Topic.DIAL) as woken:
        with pytest.raises(ValueError, match="no"):
            await store.write(rollback)
        await asyncio.sleep(0.05)
        assert not woken.is_set()
        await store.write(commit)
        await asyncio.wait_for(woken.wait(), 5)


def test_events_of_a_fax_are_numbered_without_gaps(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a receiver of callbacks cannot tell whether it missed one."""
    (fax_id,) = queue_fax(store, ids, "+12025550123")
    for page in range(3):
        store.write_now(faxes.note, ids, fax_id, "fax.page_confirmed", at=NOW, detail={"page": page})
    rows = store.read_now(faxes.history, fax_id)
    assert [row.seq for row in rows] == list(range(1, 7))
    assert [row.kind for row in rows][:3] == ["fax.accepted", "fax.preparing", "fax.queued"]
    unrouted = store.read_now(
        lambda c: c.execute(sa.select(event.c.kind).where(event.c.routed.is_(sa.false()))).scalars().all()
    )
    assert sorted(unrouted) == ["fax.accepted", "fax.queued"]


def test_two_first_faxes_of_a_number_at_once_are_both_queued(store: Store, ids: IdSource) -> None:
    """Lost otherwise: two documents that are ready together stop the service, or one of them is never dialled."""
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda index: queue_fax(store, ids, f"+1202555{index:04d}"), range(12)))
    store.write_now(queue.set_channels, {"line": 20})
    claimed = 0
    while claim(store, ids) is not None:
        claimed += 1
    assert claimed == 12


def test_claims_at_once_never_share_a_peer_and_never_hang(store: Store, ids: IdSource) -> None:
    """Lost otherwise: two nodes that want the same machine at once stop dialling for good."""
    for number in ("+97231111111", "+97232222222"):
        for _ in range(6):
            queue_fax(store, ids, "+12025550123", number=number)
    store.write_now(queue.set_channels, {"line": 20})
    with ThreadPoolExecutor(4) as threads:
        claimed = [one for one in threads.map(lambda _: claim(store, ids), range(8)) if one is not None]
    assert len(claimed) == 1


def test_a_lane_that_is_settled_while_a_fax_is_queued_stays_open(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a fax lies queued for ever, although every line is free."""
    store.write_now(queue.set_channels, {"line": 50})
    with ThreadPoolExecutor(4) as threads:
        queued = [threads.submit(queue_fax, store, ids, f"+1202555{index:04d}") for index in range(20)]
        claims = [threads.submit(claim, store, ids) for _ in range(40)]
        found = sum(one.result() is not None for one in claims)
        for one in queued:
            one.result()
    while claim(store, ids) is not None:
        found += 1
    assert found == 20


def test_a_claim_takes_the_first_free_trunk_of_a_faxs_route(store: Store, ids: IdSource) -> None:
    """Lost otherwise: faxes go out by the dear trunk, or wait for one while another that serves them is free."""
    store.write_now(queue.set_channels, {"cheap": 1, "dear": 1, "device:lobby": 1})
    queue_fax(store, ids, "+12025550101", "+12025550102", "+12025550103", trunks=["cheap", "dear"])
    queue_fax(store, ids, "+12025550104")

    def next_trunk() -> str | None:
        trunks = dict.fromkeys(("cheap", "dear", "device:lobby"), 300.0)
        taken = store.write_now(queue.claim_call, ids, LEASE, trunks, NOW)
        return taken.trunk if taken is not None else None

    assert [next_trunk() for _ in range(3)] == ["cheap", "dear", None]
    (printed,) = queue_fax(store, ids, "+97231234567", trunks=["device:lobby"])
    assert next_trunk() == "device:lobby"
    assert store.read_now(faxes.get, printed).state == "dialing"


def test_a_lesson_is_kept_and_grows_old(store: Store) -> None:
    """Lost otherwise: a machine that was repaired is called slowly for ever, or a lesson overwrites another."""
    to = "+12025550123"
    store.write_now(destinations.learn, to, {}, destinations.Lesson(rung="g711"), NOW)
    store.write_now(destinations.learn, to, {}, destinations.Lesson(resolution="standard"), NOW + 1)
    assert store.read_now(destinations.recall, to, {}, NOW + 2) == destinations.Lesson("g711", "standard")
    short = {"retries": {"remember": 10.0}}
    assert store.read_now(destinations.recall, to, short, NOW + 20) == destinations.Lesson()
    store.write_now(destinations.learn, to, {}, destinations.Lesson(rung="g711"), NOW + 15)
    assert store.read_now(destinations.recall, to, short, NOW + 20) == destinations.Lesson("g711")
    assert store.read_now(destinations.recall, "+1", {}, NOW) == destinations.Lesson()


def test_a_machine_of_ours_teaches_nothing_of_its_number(store: Store) -> None:
    """Lost otherwise: an old machine in the lobby makes every fax to the number coarse, also to the mailbox behind."""
    number, lobby = "+97231234567", {"trunks": [f"device:{'l' * 30}"], "pinned": True}
    store.write_now(destinations.learn, number, lobby, destinations.Lesson(resolution="standard"), NOW)
    assert store.read_now(destinations.recall, number, {"trunks": ["carrier"]}, NOW) == destinations.Lesson()
    assert store.read_now(destinations.recall, number, lobby, NOW) == destinations.Lesson(resolution="standard")


def test_a_fetched_message_is_judged_once(store: Store) -> None:
    """Lost otherwise: two nodes that poll one mailbox fax its mail twice, or a UID given away anew loses mail."""
    place = mailboxes.Place("box", 4_294_967_295, 1, "21-Nov-2026 10:00:00 +0000")
    again = mailboxes.Place("box", 4_294_967_295, 1, "22-Nov-2026 10:00:00 +0000")

    def judged(at: mailboxes.Place, fate: mailboxes.Fate, now: float) -> None:
        store.write_now(mailboxes.record, at, "d" * 64, fate, now)

    judged(place, mailboxes.Fate.WAITING, NOW)
    judged(place, mailboxes.Fate.WAITING, NOW + 5)
    assert store.read_now(mailboxes.find, place) == mailboxes.Known(mailboxes.Fate.WAITING, NOW)
    judged(place, mailboxes.Fate.ACCEPTED, NOW + 9)
    with pytest.raises(mailboxes.AlreadyJudged):
        judged(place, mailboxes.Fate.ACCEPTED, NOW + 9)
    assert store.read_now(mailboxes.has, "box", "d" * 64, mailboxes.Fate.ACCEPTED)
    assert not store.read_now(mailboxes.has, "other", "d" * 64, mailboxes.Fate.ACCEPTED)
    assert store.read_now(mailboxes.find, again) is None
    judged(again, mailboxes.Fate.REJECTED, NOW + 10)
    assert store.read_now(mailboxes.find, again) == mailboxes.Known(mailboxes.Fate.REJECTED, NOW + 10)
    store.write_now(mailboxes.touch, again, NOW + 90)
    assert store.write_now(mailboxes.drop, NOW + 50) == 0
    assert store.write_now(mailboxes.drop, NOW + 100) == 1
