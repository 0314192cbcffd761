"""What a mail asks for its faxes beside the document: ``X-Fax-...`` headers, ``::key=value`` in the subject. Pure.

Each option is the sending number's to allow. One that is not allowed is refused where a header asks for it, for the
sender believes in it; in a subject it is text like any other, for colons stand there of people who ask for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from policies import Body, Look, MailOption, Mode, Resolution
from relay.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies import Number

#: The header of each option, as the reader of a mail names it.
HEADERS: Final = {option: f"x-fax-{option.value}" for option in MailOption}
_IN_SUBJECT: Final = re.compile(r"(?:^|(?<=\s))::(?P<key>[a-z]+)=(?P<value>[A-Za-z0-9_.:+-]{1,40})(?=\s|$)")
_PRIORITIES: Final = range(10)
_LOOKS: Final = {look.value: look for look in Look}
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
#: ISO 8601, a date with a time of day, and an offset or not.
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII
)
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a mail asks for, as written, and its subject without that."""

    options: Mapping[MailOption, str]
    subject: str

    def covered(self, number: Number) -> bool:
        """Whether the fax has a cover page; raises :class:`relay.errors.Refusal`."""
        value = self.options.get(MailOption.COVER)
        if value is None:
            return number.body is Body.COVER
        return _one_of(MailOption.COVER, value, ["yes", *_LOOKS, "no"]) != "no"

    @property
    def look(self) -> Look | None:
        """The look of the cover page that the mail asks for by name."""
        return _LOOKS.get(self.options.get(MailOption.COVER, "").lower())


def asked(headers: Mapping[str, str], subject: str, number: Number) -> Wish:
    """Return what a mail asks for and its subject without that; raises :class:`relay.errors.Refusal`.

    ``headers``: option names with their values, as written. A header counts before the subject.
    """
    found: dict[MailOption, str] = {}

    def taken(matched: re.Match[str]) -> str:
        option = next((one for one in number.mail_options if one.value == matched["key"]), None)
        if option is None:
            return matched[0]
        found[option] = matched["value"]
        return ""

    rest = " ".join(_IN_SUBJECT.sub(taken, subject).split())
    taken_out = bool(found)
    for option in MailOption:
        value = headers.get(option.value)
        if value is None:
            continue
        if option not in number.mail_options:
            told = f"{_header(option)} is not allowed for faxes from {number.number}: remove it from the mail."
            raise Refusal(550, "5.7.1", told)
        found[option] = value.strip()
    return Wish(found, rest if taken_out else subject)


def applied(
    wanted: Mapping[MailOption, str],
    settings: dict[str, Any],
    *,
    now: float = 0.0,
    ahead: timedelta = timedelta(0),
) -> dict[str, Any]:
    """Return a submission's settings with what its mail asks for; raises :class:`relay.errors.Refusal`.

    ``now``: seconds since 1970; ``ahead``: how far from now a mail may ask for its time. A cover is not a setting of
    the mail alone: see :meth:`Wish.covered`.
    """
    changed = dict(settings)
    for option, value in wanted.items():
        match option:
            case MailOption.RESOLUTION:
                changed["resolution"] = _one_of(option, value, [one.value for one in Resolution])
            case MailOption.MODE:
                changed["mode"] = _one_of(option, value, [one.value for one in Mode])
            case MailOption.PRIORITY:
                changed["priority"] = int(_one_of(option, value, [str(one) for one in _PRIORITIES]))
            case MailOption.RETRIES:
                most = int(settings["retries"]["retries"])
                count = int(_one_of(option, value, [str(one) for one in range(most + 1)]))
                changed["retries"] = {**settings["retries"], "retries": count}
            case MailOption.SCHEDULE:
                changed["earliest"] = _moment(value, ZoneInfo(settings["zone"]), now, ahead)
            case MailOption.BILLING:
                changed["billing"] = _code(option, value)
            case MailOption.NOTIFY:
                changed["notify"] = _one_of(option, value, ["all", "failure", "none"])
    return changed


def _code(option: MailOption, value: str) -> str:
    if _CODE.fullmatch(value) is None:
        raise Refusal(
            550, "5.6.0", f"{_header(option)} has to be up to 40 letters, digits and . _ : + -, such as A-4711."
        )
    return value


def _moment(value: str, zone: ZoneInfo, now: float, ahead: timedelta) -> float:
    """Return the time that a mail asks for, in seconds since 1970; a time of day is the next one in the zone."""
    here = datetime.fromtimestamp(now, zone)
    option = _header(MailOption.SCHEDULE)
    try:
        asked = _read(value, here)
        at = asked.timestamp() if asked is not None else None
    except (ValueError, OverflowError):
        at = None
    if at is None:
        raise Refusal(550, "5.6.0", f"{option} has to be a time such as 22:30 or 2026-12-24T08:00.")
    if at <= now:
        raise Refusal(550, "5.6.0", f"{option} has to be in the future; here it is {here:%Y-%m-%d %H:%M %Z}.")
    if at > now + ahead.total_seconds():
        latest = datetime.fromtimestamp(now + ahead.total_seconds(), zone)
        raise Refusal(550, "5.6.0", f"{option} may be no later than {latest:%Y-%m-%d %H:%M %Z}.")
    return at


def _read(value: str, here: datetime) -> datetime | None:
    """Return the time that a text means; raises :class:`ValueError` for a day or an hour that does not exist."""
    if (clock := _CLOCK.fullmatch(value)) is not None:
        wall = here.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0, fold=0)
        return wall if wall.timestamp() > here.timestamp() else wall + timedelta(days=1)
    if _INSTANT.fullmatch(value) is None:
        return None
    asked = datetime.fromisoformat(value)
    return asked if asked.tzinfo is not None else asked.replace(tzinfo=here.tzinfo)


def _one_of(option: MailOption, value: str, possible: list[str]) -> str:
    if value.lower() not in possible:
        *most, last = possible
        words = f"{', '.join(most)} or {last}" if most else last
        raise Refusal(550, "5.6.0", f"{_header(option)} has to be {words}.")
    return value.lower()


def _header(option: MailOption) -> str:
    return HEADERS[option].title()
