"""The types of times in policy files: a time of day, a day of the calendar, a time zone."""

from __future__ import annotations

import difflib
import re
from datetime import date, timedelta
from functools import cache
from typing import Annotated, Final, TypeAlias
from zoneinfo import available_timezones

from pydantic import PlainValidator

from policies.fields import length_of_time, shown, text_of, told, written
from policies.hours import MINUTES_OF_A_DAY

_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_SHORTEST_KEPT: Final = timedelta(days=1)
_LONGEST_KEPT: Final = timedelta(days=3650)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _clock_time(value: object) -> int:
    text = text_of(value)
    match = _CLOCK.fullmatch(text)
    minutes = int(match[1]) * 60 + int(match[2]) if match else MINUTES_OF_A_DAY + 1
    if minutes > MINUTES_OF_A_DAY:
        raise told(f"{shown(text)} is no time of day", "write it like 08:30, from 00:00 to 24:00")
    return minutes


def _calendar_day(value: object) -> date:
    text = text_of(value)
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise told(f"{shown(text)} is no day", "write year, month and day like 2026-12-25") from None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone_name(value: object) -> str:
    text = text_of(value)
    if text not in _zones():
        close = difflib.get_close_matches(text, sorted(_zones()), n=1)
        usual = "write its IANA name, such as Asia/Jerusalem or Europe/London"
        raise told(f"there is no time zone {shown(text)}", f"did you mean {close[0]!r}?" if close else usual)
    return text


def _keep_time(value: object) -> timedelta:
    duration = length_of_time(text_of(value), _LONGEST_KEPT)
    if duration < _SHORTEST_KEPT:  # what a number sent in the last day is counted by its documents
        raise told("nothing is kept for less than a day", "write 1d at least")
    return duration


#: Minutes since midnight.
ClockTime: TypeAlias = Annotated[
    int, PlainValidator(_clock_time), written("time of day, such as `08:30`", pattern="^[0-9]{1,2}:[0-9]{2}$")
]
CalendarDay: TypeAlias = Annotated[
    date, PlainValidator(_calendar_day), written("day, such as `2026-12-25`", pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
]
ZoneName: TypeAlias = Annotated[str, PlainValidator(_zone_name), written("time zone, such as `Asia/Jerusalem`")]
#: Longer than any other length of time in the files.
KeepTime: TypeAlias = Annotated[
    timedelta, PlainValidator(_keep_time), written("length of time from `1d` to `3650d`", pattern="^([0-9]+[dhms])+$")
]
