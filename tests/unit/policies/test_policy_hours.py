"""Hours of sending: when a fax that comes outside of them is dialled."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Facts, Hours, Proof, Window, as_json, decide, explain, next_opening
from policies.hours import MAX_HOLIDAYS

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText

WEEK = frozenset(range(5))
LONDON = Hours("Europe/London", (Window(WEEK, 9 * 60, 17 * 60),), frozenset({date(2026, 12, 25)}))


def local(text: str, zone: str) -> float:
    """Return a wall clock's time as seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def opening(hours: Hours, text: str) -> str:
    """Return the next opening after a wall clock's time, on the same clock."""
    zone = ZoneInfo(hours.zone)
    at = next_opening(hours, local(text, hours.zone))
    return datetime.fromtimestamp(at, zone).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-20T12:34", "2026-11-20T12:34+00:00"),
        ("2026-11-20T08:59", "2026-11-20T09:00+00:00"),
        ("2026-11-20T09:00", "2026-11-20T09:00+00:00"),
        ("2026-11-20T17:00", "2026-11-23T09:00+00:00"),
        ("2026-12-24T18:00", "2026-12-28T09:00+00:00"),
        ("2026-12-25T12:00", "2026-12-28T09:00+00:00"),
        ("2026-03-27T18:00", "2026-03-30T09:00+01:00"),
        ("2026-10-23T18:00", "2026-10-26T09:00+00:00"),
    ],
)
def test_the_next_opening(now: str, opens: str) -> None:
    """Lost otherwise: a fax rings at night, on Sunday, on Christmas, or an hour early after a change of clocks."""
    assert opening(LONDON, now) == opens


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    """Lost otherwise: the cheap rate of Friday night ends at midnight, or begins on Saturday's holiday."""
    night = Hours("UTC", (Window(frozenset({4}), 22 * 60, 6 * 60),), frozenset({date(2026, 11, 27)}))
    assert opening(night, "2026-11-21T05:59") == "2026-11-21T05:59+00:00"
    assert opening(night, "2026-11-21T06:00") == "2026-12-04T22:00+00:00"
    assert opening(night, "2026-11-28T01:00") == "2026-12-04T22:00+00:00"


def test_a_whole_day_ends_at_midnight() -> None:
    """Lost otherwise: nobody could allow the whole of a day."""
    monday = Hours("UTC", (Window(frozenset({0}), 0, 24 * 60),))
    assert opening(monday, "2026-11-23T23:59") == "2026-11-23T23:59+00:00"
    assert opening(monday, "2026-11-24T00:00") == "2026-11-30T00:00+00:00"


def test_times_that_a_change_of_clocks_skips_or_repeats() -> None:
    """Lost otherwise: twice a year a fax is dialled outside of its hours, or waits a day for nothing."""
    early = Hours("Europe/London", (Window(frozenset({6}), 90, 180),))
    assert opening(early, "2026-03-29T00:10") == "2026-03-29T02:00+01:00"
    until = Hours("Europe/London", (Window(frozenset({6}), 0, 90),))
    skipped = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()
    assert next_opening(until, skipped - 60) == skipped - 60
    assert next_opening(until, skipped) > skipped
    second = datetime(2026, 10, 25, 1, 15, tzinfo=UTC).timestamp()
    assert next_opening(until, second) == second
    assert next_opening(until, second + 15 * 60) > second + 15 * 60


@given(
    st.floats(1_700_000_000, 1_900_000_000),
    st.sampled_from(["UTC", "Europe/London", "Asia/Jerusalem", "America/New_York", "Australia/Lord_Howe"]),
    st.lists(
        st.tuples(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(0, 1440)).filter(
            lambda window: window[1] != window[2]
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_what_opens_is_open(now: float, zone: str, windows: list[tuple[set[int], int, int]]) -> None:
    """Lost otherwise: a fax that waited until its opening is put off again, for ever."""
    hours = Hours(zone, tuple(Window(frozenset(days), opens, closes) for days, opens, closes in windows))
    at = next_opening(hours, now)
    assert now <= at <= now + 9 * 86400
    assert next_opening(hours, at) == at


def test_a_year_of_holidays_still_ends() -> None:
    """Lost otherwise: a long list of holidays stops the whole queue with an exception."""
    start = date(2026, 11, 23).toordinal()
    days = frozenset(date.fromordinal(start + 7 * week) for week in range(MAX_HOLIDAYS))
    monday = Hours("UTC", (Window(frozenset({0}), 60, 120),), days)
    assert opening(monday, "2026-11-23T00:00") == "2030-09-23T01:00+00:00"


FILE = """
numbers:
  - number: +97231234567
    deliver_to: [a@example.com]
    hours:
      zone: Asia/Jerusalem
      open:
        - {days: [sun, mon, tue, wed, thu], from: 08:00, to: "18:00"}
        - {days: fri, from: 08:00, to: 13:00}
      holidays: [2026-09-22]
"""


def test_an_explanation_says_until_when_a_fax_waits(load_text: LoadText) -> None:
    """Lost otherwise: nobody could tell why a fax is not dialled, and when it will be."""
    policy = load_text(FILE)
    hours = policy.numbers["+97231234567"].settings.hours
    assert hours is not None
    assert hours.holidays == {date(2026, 9, 22)}
    asked = Facts("a@example.com", ("+12025550199",), proofs=frozenset({Proof.DMARC}))
    night = Facts(asked.from_address, asked.recipients, proofs=asked.proofs, now=local("2026-09-21T19:00", hours.zone))
    text = explain(decide(policy, night))
    assert "closed now; faxes wait until Wednesday 2026-09-23 08:00 (Asia/Jerusalem)" in text
    assert text.endswith("Dialled when the hours of sending begin: 2026-09-23T08:00+03:00")
    assert as_json(decide(policy, night))["waits_until"] == "2026-09-23T08:00+03:00"
    noon = Facts(asked.from_address, asked.recipients, proofs=asked.proofs, now=local("2026-09-21T12:00", hours.zone))
    assert "hours: open now" in explain(decide(policy, noon))
    assert as_json(decide(policy, noon))["waits_until"] is None
    assert decide(policy, asked).not_before is None


def test_a_number_without_hours_sends_at_any_time() -> None:
    """Lost otherwise: who wrote nothing of hours would wait for them."""
    assert next_opening(None, 5.0) == 5.0
