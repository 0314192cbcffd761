"""What people read: numbers, times, outside text; pure functions."""

from __future__ import annotations

import doctest
from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from relay.mailer import writing
from relay.outbox import lane
from relay.web import links


def test_the_examples_in_the_docs_hold() -> None:
    """Lost otherwise: a docstring that lies to the next engineer."""
    for module in (writing, lane, links):
        assert doctest.testmod(module).failed == 0


@given(st.text())
def test_text_from_outside_is_one_printable_line(text: str) -> None:
    """Lost otherwise: a subject that adds a header, or a line to a log or a mail."""
    line = writing.one_line(text)
    assert line.splitlines() in ([], [line])
    assert len(line) <= 300
    line.encode()
    assert not set(line) & set("\r\n\x00\u2028\u2029\u202e\u2066")


@given(st.text(alphabet="+0123456789", max_size=20))
def test_any_row_can_be_shown_as_a_number(digits: str) -> None:
    """Lost otherwise: a receipt that fails because a number was strange."""
    assert isinstance(writing.number(digits), str)


def test_times_say_their_zone_and_their_day_where_it_changes() -> None:
    """Lost otherwise: two offices argue about when a fax was sent."""
    zone = timezone(timedelta(hours=2))
    assert writing.moment(1_790_000_000.0, zone) == "2026-09-21 16:13:20 UTC+02:00"
    assert writing.span(1_790_000_000.0, 1_790_040_000.0, zone) == ("2026-09-21 16:13", "2026-09-22 03:20 UTC+02:00")
    assert writing.day(1_790_030_000.0, zone) == "20260922"
