"""Numbers, times and sizes as a person writes them, and outside text made safe for one line.

Nothing here is for programs: those get the stored values.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

import phonenumbers

if TYPE_CHECKING:
    from datetime import tzinfo

_MINUTE = 60
_LONGEST = 300
#: Characters that turn the direction of the text around them: a subject must not rearrange the sentence it stands in.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

#: The classes of letters that are written from right to left (Unicode standard annex 9).
_RIGHT = frozenset({"R", "AL"})


def one_line(text: str, longest: int = _LONGEST) -> str:
    r"""Return text from outside on one line: no control characters, no line breaks, at most ``longest`` characters.

    >>> one_line("Offer\r\nBcc: victim@example.com")
    'Offer Bcc: victim@example.com'
    """
    kept = "".join(" " if _breaks(letter) else letter for letter in text)
    joined = " ".join(kept.split())
    return joined if len(joined) <= longest else joined[: longest - 1] + "…"


def left_to_right(text: object) -> str:
    r"""Return text that keeps its order among words that are written from right to left, if it has none of those.

    A mark (U+200E) on each side, which a header carries too; :func:`one_line` takes stronger ones away.

    >>> left_to_right("+972 3"), left_to_right("7")
    ('\u200e+972 3\u200e', '7')
    """
    told = str(text)
    plain = not told or told.isdigit() or any(unicodedata.bidirectional(letter) in _RIGHT for letter in told)
    return told if plain else f"\u200e{told}\u200e"


def number(e164: str) -> str:
    """Return a telephone number with its country code, grouped as its country groups it; what is none stays as it is.

    >>> number("+97237654321"), number("")
    ('+972 3-765-4321', '')
    """
    try:
        parsed = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return one_line(e164)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def moment(at: float, zone: tzinfo) -> str:
    """Return seconds since 1970 as a date and a time with its zone.

    >>> from datetime import UTC
    >>> moment(1_790_000_000.0, UTC)
    '2026-09-21 14:13:20 UTC'
    """
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M:%S %Z}"


def span(first: float, last: float, zone: tzinfo) -> tuple[str, str]:
    """Return two times to stand in one sentence: the date only where they differ, the zone once.

    >>> from datetime import UTC
    >>> span(1_790_000_000.0, 1_790_001_200.0, UTC)
    ('14:13', '14:33 UTC')
    """
    start, end = datetime.fromtimestamp(first, zone), datetime.fromtimestamp(last, zone)
    if start.date() == end.date():
        return f"{start:%H:%M}", f"{end:%H:%M %Z}"
    return f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M %Z}"


def day(at: float, zone: tzinfo) -> str:
    """Return the day as file names carry it, ``YYYYMMDD``."""
    return f"{datetime.fromtimestamp(at, zone):%Y%m%d}"


def duration(seconds: float) -> str:
    """Return a duration.

    >>> duration(48.4), duration(108), duration(120)
    ('48 s', '1 min 48 s', '2 min')
    """
    minutes, rest = divmod(round(seconds), _MINUTE)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def sentence(text: str) -> str:
    """Return a reason of the history as a sentence: a capital first, a full stop last.

    >>> sentence("the number was busy; all 4 calls made")
    'The number was busy; all 4 calls made.'
    """
    told = one_line(text)
    if not told:
        return ""
    return told[0].upper() + told[1:] + ("" if told[-1] in ".!?…" else ".")


def _breaks(letter: str) -> bool:
    return letter in _TURNING or unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"}
