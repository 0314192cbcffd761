"""Hours of sending: when a number's faxes may be dialled. Pure.

Source: the time zone rules of the IANA database, as :mod:`zoneinfo` reads them. Invariants of :func:`next_opening`:

* what it returns is open, and nothing between ``now`` and it is;
* a window is one stretch of time: where clocks are set back it lasts an hour longer, and a time that a change of
  clocks skips stands for the moment of the change;
* it always ends: a policy names at most ``MAX_HOLIDAYS`` days, so some week within as many has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.policy import Source

#: The days of a week as files write them, in the order of :meth:`datetime.date.weekday`.
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_HOLIDAYS: Final = 200
MINUTES_OF_A_DAY: Final = 24 * 60
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of each of ``days`` (0 is Monday): from minute ``opens`` to minute ``closes`` of the wall clock.

    A window that closes at or before it opens ends on the next day.
    """

    days: frozenset[int]
    opens: int
    closes: int

    @property
    def overnight(self) -> bool:
        """Whether it ends on the day after the one that it belongs to."""
        return self.closes <= self.opens


@dataclass(frozen=True, slots=True)
class Hours:
    """Windows in one time zone (IANA name); a window that begins on one of ``holidays`` does not open."""

    zone: str
    windows: tuple[Window, ...]
    holidays: frozenset[date] = frozenset()
    source: Source | None = None


def next_opening(hours: Hours | None, now: float) -> float:
    """Return the earliest time not before ``now`` at which faxes may be dialled: ``now`` itself where that is open.

    Seconds since 1970, as :func:`time.time` gives them. ``None`` for hours is always open.

    >>> office = Hours("Asia/Jerusalem", (Window(frozenset({6}), 8 * 60, 17 * 60),))
    >>> datetime.fromtimestamp(next_opening(office, 1_790_000_000.0), ZoneInfo(office.zone)).isoformat()
    '2026-09-27T08:00:00+03:00'
    """
    if hours is None:
        return now
    zone = ZoneInfo(hours.zone)
    today = datetime.fromtimestamp(now, zone).date()
    for ahead in range(-1, 7 * (MAX_HOLIDAYS + 1) + 1):
        later = [max(opens, now) for opens, closes in _stretches(hours, zone, today + timedelta(ahead)) if closes > now]
        if later:
            return min(later)
    raise AssertionError("hours without a window in a week without holidays")  # the compiler refuses them


def moment(hours: Hours, at: float) -> str:
    """Return a time as it is read in the hours' own zone.

    >>> moment(Hours("Asia/Jerusalem", ()), 1_790_000_000.0)
    'Monday 2026-09-21 17:13 (Asia/Jerusalem)'
    """
    return f"{datetime.fromtimestamp(at, ZoneInfo(hours.zone)):%A %Y-%m-%d %H:%M} ({hours.zone})"


def _stretches(hours: Hours, zone: ZoneInfo, day: date) -> Iterator[tuple[float, float]]:
    if day in hours.holidays:
        return
    for window in hours.windows:
        if day.weekday() in window.days:
            closing_day = day + timedelta(window.overnight)
            yield _instant(zone, day, window.opens, last=False), _instant(zone, closing_day, window.closes, last=True)


def _instant(zone: ZoneInfo, day: date, minutes: int, *, last: bool) -> float:
    """Return when the wall clock shows a time; ``last``: where it shows it twice, the second one."""
    if minutes == MINUTES_OF_A_DAY:
        day, minutes = day + timedelta(1), 0
    wall = datetime.combine(day, time(minutes // 60, minutes % 60), zone).replace(fold=int(last))
    instant = wall.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant.timestamp()
    before = wall.replace(fold=1).astimezone(UTC)  # PEP 495: in a gap, fold 1 reads by the rule after the change
    offset = before.astimezone(zone).utcoffset()
    while before.astimezone(zone).utcoffset() == offset:
        before += _MINUTE
    return before.timestamp()
