"""A number's hours of sending as they travel with a fax: JSON in its settings, so that it keeps those it came under."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from policies import Hours, Window, next_opening
from policies.hours import moment

if TYPE_CHECKING:
    from collections.abc import Mapping


def as_settings(hours: Hours) -> dict[str, Any]:
    """Return hours as JSON."""
    return {
        "zone": hours.zone,
        "windows": [[sorted(window.days), window.opens, window.closes] for window in hours.windows],
        "holidays": sorted(day.isoformat() for day in hours.holidays),
    }


def of_settings(settings: Mapping[str, Any]) -> Hours | None:
    """Return the hours that a fax's settings hold; ``None``: it is dialled at any time."""
    kept = settings.get("hours")
    if not kept:
        return None
    windows = tuple(Window(frozenset(days), opens, closes) for days, opens, closes in kept["windows"])
    return Hours(kept["zone"], windows, frozenset(map(date.fromisoformat, kept["holidays"])))


def opening(settings: Mapping[str, Any], at: float) -> float:
    """Return the earliest time not before ``at`` at which a fax may be dialled, in seconds since 1970."""
    return next_opening(of_settings(settings), at)


def scheduled(settings: Mapping[str, Any]) -> str:
    """Return the time that a fax's sender asked for, as it is read in its number's zone."""
    return moment(Hours(settings.get("zone", "UTC"), ()), settings["earliest"])


def told(settings: Mapping[str, Any], until: float) -> str:
    """Return the words of a wait that ends at ``until``; empty for a fax that waits for no time."""
    hours = of_settings(settings)
    if until == settings.get("earliest"):
        return f"it waits for the time that was asked for, {scheduled(settings)}"
    return "" if hours is None else f"it waits for the hours of sending, until {moment(hours, until)}"
