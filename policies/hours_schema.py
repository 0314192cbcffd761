"""The shape of ``hours`` in the policy files, and how its mistakes are told: when a number's faxes are dialled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from policies.entry import Entry, key
from policies.fields import OneOrMore  # noqa: TC001 -- pydantic reads the keys' types
from policies.hours import DAYS, MAX_HOLIDAYS, MINUTES_OF_A_DAY, Hours, Window
from policies.times import CalendarDay, ClockTime, ZoneName  # noqa: TC001 -- pydantic reads the keys' types

if TYPE_CHECKING:
    from policies.scope import Scope

Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class WindowEntry(Entry):
    """A stretch of time in which faxes are dialled."""

    days: OneOrMore[Day] = key("Days of the week.", single=True, default_factory=lambda: list(DAYS))
    from_: ClockTime = key("When it opens.", alias="from")
    to: ClockTime = key("When it closes; `24:00` is midnight. A time before `from` is one of the next day.")


class HoursEntry(Entry):
    """When a number's faxes are dialled. What is accepted outside waits, and so does a retry that comes due outside."""

    zone: ZoneName = key("Time zone of the times. Changes of clocks are followed.")
    open: list[WindowEntry] = key("Stretches of time; any of them will do.", min_length=1)
    holidays: list[CalendarDay] = key(
        f"Days on which nothing opens, at most {MAX_HOLIDAYS}.", default_factory=list, max_length=MAX_HOLIDAYS
    )


def hours_of(scope: Scope, entry: HoursEntry) -> Hours:
    """Return the hours of an entry; tell what has no effect."""
    windows = []
    for index, one in enumerate(entry.open):
        if one.from_ in (one.to, MINUTES_OF_A_DAY):
            message = "the window is closed before it opens" if one.from_ == one.to else "24:00 opens nothing"
            scope.tell(message, "write 00:00 to 24:00 for a whole day", "open", index, "from")
            continue
        scope.at("open", index).no_repeats("days", one.days)
        windows.append(Window(frozenset(DAYS.index(day) for day in one.days), one.from_, one.to))
    scope.no_repeats("holidays", entry.holidays)
    return Hours(entry.zone, tuple(windows), frozenset(entry.holidays), scope.source())
