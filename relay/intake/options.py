"""What a mail asks for its faxes beside the document: ``X-Fax-...`` headers, ``::key=value`` in the subject. Pure.

Each option is the sending number's to allow. One that is not allowed is refused where a header asks for it, for the
sender believes in it; in a subject it is text like any other, for colons stand there of people who ask for nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from policies import MailOption, Mode, Resolution
from relay.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies import Number

#: The header of each option, as the reader of a mail names it.
HEADERS: Final = {option: f"x-fax-{option.value}" for option in MailOption}
_IN_SUBJECT: Final = re.compile(r"(?:^|(?<=\s))::(?P<key>[a-z]+)=(?P<value>[A-Za-z0-9_-]{1,40})(?=\s|$)")
_PRIORITIES: Final = range(10)


def asked(headers: Mapping[str, str], subject: str, number: Number) -> tuple[dict[MailOption, str], str]:
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
    for option in MailOption:
        value = headers.get(option.value)
        if value is None:
            continue
        if option not in number.mail_options:
            told = f"{_header(option)} is not allowed for faxes from {number.number}: remove it from the mail."
            raise Refusal(550, "5.7.1", told)
        found[option] = value.strip()
    return found, rest if found else subject


def applied(wanted: Mapping[MailOption, str], settings: dict[str, Any]) -> dict[str, Any]:
    """Return a submission's settings with what its mail asks for; raises :class:`relay.errors.Refusal`."""
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
    return changed


def _one_of(option: MailOption, value: str, possible: list[str]) -> str:
    if value.lower() not in possible:
        *most, last = possible
        words = f"{', '.join(most)} or {last}" if most else last
        raise Refusal(550, "5.6.0", f"{_header(option)} has to be {words}.")
    return value.lower()


def _header(option: MailOption) -> str:
    return HEADERS[option].title()
