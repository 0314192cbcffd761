"""Claims by target on each kind of database: who is taken, who is passed, and when a target is looked at again."""

from __future__ import annotations

import sqlalchemy as sa

from relay.ids import IdSource
from relay.outbox import Deferred, Delivered, Outcome, Post, Terms, post
from relay.outbox.deliveries import conclude, count
from relay.outbox.lane import State, Verdict
from relay.store import queue, targets
from relay.store.engine import Store
from relay.store.tables import target

NOW = 1_790_000_000.0
LEASE = queue.Lease("node-test", seconds=60.0)
LANE = "callback"


def owe(store: Store, ids: IdSource, *names: str, order: str = "", after: float = 0.0) -> None:
    """Make a delivery to each target; those of one ``order`` go one after the other."""
    posts = [Post(name, "fax.sent", order or f"{ids()}:{name}", {}, after=after) for name in names]
    store.write_now(post, ids, LANE, None, None, posts, NOW)


def claim(store: Store, at: float, *skip: str, limit: int = 64, given: int = 0) -> list[queue.Claim]:
    """Claim what is due."""
    return store.write_now(targets.claim, LANE, LEASE, at, frozenset(skip), limit, given)


def end(store: Store, ids: IdSource, one: queue.Claim, at: float, *, well: bool = True, pause: float = 5.0) -> None:
    """End a delivery, well or badly."""
    terms = Terms((pause,))
    outcome: Outcome = Delivered("200") if well else Deferred("500", terms=terms)
    verdict = Verdict(State.DONE if well else State.DUE, "", 0.0 if well else pause)

    def work(connection: sa.Connection) -> None:
        conclude(connection, ids, one, verdict, at)
        count(connection, LANE, one.row.target, outcome, None, at)

    store.write_now(work)


def due_at(store: Store, name: str) -> float | None:
    """Return when a target is looked at."""
    query = sa.select(target.c.due_at).where(target.c.lane == LANE, target.c.name == name)
    found: float | None = store.read_now(lambda connection: connection.execute(query).scalar_one())
    return found


def test_a_target_is_looked_at_when_something_is_due_and_not_before(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a callback waits for ever, or the database is asked for nothing all day."""
    owe(store, ids, "crm")
    (one,) = claim(store, NOW)
    assert due_at(store, "crm") == NOW + LEASE.seconds  # should this worker die
    assert claim(store, NOW) == []
    end(store, ids, one, NOW + 1, well=False, pause=30.0)
    assert due_at(store, "crm") == NOW + 31
    owe(store, ids, "crm", after=10.0)
    assert due_at(store, "crm") == NOW + 10
    assert claim(store, NOW + 9) == []
    (second,) = claim(store, NOW + 10)
    end(store, ids, second, NOW + 11)
    assert due_at(store, "crm") == NOW + 31
    (again,) = claim(store, NOW + 31)
    assert again.id == one.id
    end(store, ids, again, NOW + 32)
    assert due_at(store, "crm") is None


def test_what_waits_for_its_elder_goes_when_that_has_ended(store: Store, ids: IdSource) -> None:
    """Lost otherwise: the later news of a fax overtake the first, or never come."""
    for _ in range(3):
        owe(store, ids, "crm", order="fax 1")
    for step in range(3):
        (one,) = claim(store, NOW + step)
        assert claim(store, NOW + step) == []
        end(store, ids, one, NOW + step)
    assert due_at(store, "crm") is None


def test_a_lease_that_ran_out_is_claimed_by_a_successor(store: Store, ids: IdSource) -> None:
    """Lost otherwise: what a killed worker held is never told."""
    owe(store, ids, "crm")
    (one,) = claim(store, NOW)
    assert claim(store, NOW + LEASE.seconds - 1) == []
    (again,) = claim(store, NOW + LEASE.seconds + 1)
    assert (again.id, again.fence) == (one.id, one.fence + 1)


def test_what_a_dead_worker_held_does_not_wait_for_what_was_deferred(store: Store, ids: IdSource) -> None:
    """Lost otherwise: what a killed worker held comes hours late, as another to its endpoint was deferred."""
    owe(store, ids, "crm", "crm")
    (first,) = claim(store, NOW)
    (second,) = claim(store, NOW)
    end(store, ids, second, NOW + 1, well=False, pause=5 * 3600.0)
    assert due_at(store, "crm") == NOW + LEASE.seconds
    assert claim(store, NOW + LEASE.seconds - 1) == []
    (again,) = claim(store, NOW + LEASE.seconds + 1)
    assert again.id == first.id
    end(store, ids, again, NOW + LEASE.seconds + 2)
    assert due_at(store, "crm") == NOW + 1 + 5 * 3600.0


def test_what_is_due_before_a_lease_ends_does_not_wait_for_it(store: Store, ids: IdSource) -> None:
    """Lost otherwise: one call that takes long keeps the endpoint's others waiting."""
    owe(store, ids, "crm", "crm")
    claim(store, NOW)
    (second,) = claim(store, NOW)
    end(store, ids, second, NOW + 1, well=False, pause=5.0)
    assert due_at(store, "crm") == NOW + 6


def test_targets_that_failed_come_back_a_few_at_a_time(store: Store, ids: IdSource) -> None:
    """Lost otherwise: five hundred endpoints that time out together keep those waiting that answer."""
    dead = [f"dead-{index:02d}" for index in range(3 * targets.FAILING)]
    owe(store, ids, *dead)
    first = claim(store, NOW)
    assert sorted(one.row.target for one in first) == dead
    for one in first:
        end(store, ids, one, NOW, well=False, pause=5.0)
    well = [f"well-{index}" for index in range(4)]
    owe(store, ids, *well)
    seen: list[str] = []
    for expected in (well, [], []):
        taken = [one.row.target for one in claim(store, NOW + 6)]
        failing = [name for name in taken if name.startswith("dead")]
        assert taken == [*expected, *failing]
        assert len(failing) == targets.FAILING
        seen += failing
    assert sorted(seen) == dead
    assert claim(store, NOW + 6) == []


def test_targets_that_failed_have_their_turns_however_many_answer(store: Store, ids: IdSource) -> None:
    """Lost otherwise: an endpoint that is back is not called for as long as the others are busy."""
    owe(store, ids, "dead")
    (one,) = claim(store, NOW)
    end(store, ids, one, NOW, well=False, pause=5.0)
    owe(store, ids, *(f"well-{index}" for index in range(20)))
    assert "dead" not in [one.row.target for one in claim(store, NOW + 6, limit=4)]
    assert "dead" in [one.row.target for one in claim(store, NOW + 6, limit=8)]


def test_targets_that_failed_have_their_turns_in_a_full_lane(store: Store, ids: IdSource) -> None:
    """Lost otherwise: where each place that gets free is taken at once, an endpoint that failed once starves."""
    dead = [f"dead-{index}" for index in range(4)]
    owe(store, ids, *dead)
    for one in claim(store, NOW):
        end(store, ids, one, NOW, well=False, pause=5.0)
    owe(store, ids, *(f"well-{index:02d}" for index in range(40)))
    taken = [
        one.row.target for given in range(2 * targets.FAILING) for one in claim(store, NOW + 6, limit=1, given=given)
    ]
    turns = [place for place, name in enumerate(taken) if name in dead]
    assert turns == [targets.FAILING - 1, 2 * targets.FAILING - 1]


def test_what_is_passed_is_passed_whatever_it_is_called(store: Store, ids: IdSource) -> None:
    """Lost otherwise: an endpoint that has its calls gets more of them, or a name breaks the claim of all."""
    names = ["crm", 'a"b', "c'd; --", "ä\\e", "[1]"]
    owe(store, ids, *names)
    assert sorted(one.row.target for one in claim(store, NOW, *names[1:])) == ["crm"]
    assert sorted(one.row.target for one in claim(store, NOW, *names[:4])) == ["[1]"]
    assert len(claim(store, NOW, limit=2)) == 2
