"""How many calls go on side by side: an account without any input or output."""

from __future__ import annotations

from relay.outbox.places import Places


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_target_that_has_not_answered_gets_one_place() -> None:
    """A receiver that hangs would take every place before anybody knows that it hangs."""
    places = Places(10, 4, Clock())
    first = places.take("crm")
    assert places.full() == {"crm"}
    places.leave(first, answered=True)
    for _ in range(4):
        assert places.full() == frozenset()
        places.take("crm")
    assert places.full() == {"crm"}
    assert places.free == 6


def test_a_target_that_fails_or_is_slow_gets_one_place_again() -> None:
    """A receiver that begins to hang would take all the places that it had earned."""
    clock = Clock()
    places = Places(10, 4, clock)
    places.leave(places.take("crm"), answered=True)
    slow, other = places.take("crm"), places.take("crm")
    assert places.full() == frozenset()
    clock.now = 1.5
    assert places.full() == {"crm"}
    places.leave(slow, answered=False)
    assert places.full() == {"crm"}
    places.leave(other, answered=True)
    places.take("crm")
    assert places.full() == frozenset()
