"""What follows an attempt: pure decisions of the outbox."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from relay.outbox import Deferred, Delivered, Patience, Refused
from relay.outbox.lane import LONGEST_WISH, State, judge, pause_after

PATIENCE = Patience()


@given(st.integers(1, 10_000), st.integers())
def test_a_pause_grows_and_has_its_bounds(failures: int, seed: int) -> None:
    """Lost otherwise: a server that is down is hammered, or forgotten for days."""
    pause = pause_after(PATIENCE, failures, random.Random(seed))
    assert min(PATIENCE.longest, PATIENCE.first * 2 ** min(failures - 1, 20)) <= pause <= PATIENCE.longest * 1.2


def test_what_failed_together_does_not_come_back_together() -> None:
    """Lost otherwise: a thousand mails hit the server in the same second, again and again."""
    spread = random.Random(3)
    assert len({pause_after(PATIENCE, 3, spread) for _ in range(100)}) == 100


@given(st.floats(0, 10 * 24 * 3600.0), st.integers(1, 500), st.floats(0, 1e9), st.booleans())
def test_a_delivery_is_given_up_by_its_age_alone(age: float, failures: int, wish: float, blocked: bool) -> None:
    """Lost otherwise: mail is dropped early, or kept for ever."""
    answer = Deferred("later", wish, blocked)
    verdict = judge(PATIENCE, answer, age=age, failures=failures, spread=random.Random(1))
    assert (verdict.state is State.FAILED) == (age >= PATIENCE.give_up)
    assert 0 <= verdict.pause <= LONGEST_WISH


def test_answers_that_end_a_delivery_keep_their_words() -> None:
    """Lost otherwise: nobody can say why a mail was refused."""
    for outcome, state in ((Delivered("250 ok"), State.DONE), (Refused("550 no"), State.FAILED)):
        verdict = judge(PATIENCE, outcome, age=0, failures=1, spread=random.Random(1))
        assert (verdict.state, verdict.answer) == (state, "250 ok" if state is State.DONE else "550 no")
