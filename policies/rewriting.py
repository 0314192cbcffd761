"""Rewriting of numbers by regular expressions that cannot run away. Pure.

Python's ``re`` backtracks, and a backtracking search is exponential in nested repeats and polynomial in the number of
repeats. A number is at most 16 characters, so a pattern is safe when repeats stand on single characters only and are
few: that is what :func:`compile_pattern` admits. Invariant: a match of an admitted pattern takes at most about
``16**MAX_REPEATS`` steps times ``2**MAX_ALTERNATIVES``, whatever number it is matched against.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from policies.policy import Source

MAX_PATTERN: Final = 100
MAX_REPEATS: Final = 3
MAX_ALTERNATIVES: Final = 8

#: One item of a pattern: an escaped character, a class (a ] right after its opening is one of its characters), the
#: opening of a group, or any other sign.
_ITEM = re.compile(r"\\.|\[\^?+\]?+(?:\\.|[^\]\\])*\]|\(\?:|\(\?|.", re.DOTALL)
_FIXED_COUNT = re.compile(r"\{(\d{1,2})\}")
_OPEN_COUNT = re.compile(r"\{\d*,\d*\}")
#: What a later Python may read as an operation on sets (it warns of them today).
_SET_OPERATION = re.compile(r"\[|--|&&|\|\||~~")
_TEMPLATE = re.compile(r"\+?(?:[0-9]|\\g<[0-9]{1,2}>|\\[1-9])+", re.ASCII)


class BadRewrite(ValueError):
    """The pattern or the replacement cannot be used. ``remedy`` says what to write."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Rewrite:
    r"""``pattern`` is matched against the whole E.164 number; ``to`` is its replacement with ``\1`` for groups."""

    pattern: re.Pattern[str]
    to: str
    source: Source

    def apply(self, number: str) -> str | None:
        """Return the rewritten text, or None where the pattern does not match."""
        match = self.pattern.fullmatch(number)
        return None if match is None else match.expand(self.to)


def compile_pattern(text: str) -> re.Pattern[str]:
    r"""Compile a pattern that is safe on numbers; raise :class:`BadRewrite`.

    >>> compile_pattern(r"\+9720(\d+)").pattern
    '\\+9720(\\d+)'
    >>> compile_pattern(r"(\d+)+")
    Traceback (most recent call last):
        ...
    policies.rewriting.BadRewrite: a group is repeated
    """
    if len(text) > MAX_PATTERN:
        raise BadRewrite(f"the pattern is longer than {MAX_PATTERN} characters", "split it into several rules")
    _check_work(text)
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadRewrite(f"this is no regular expression: {error}", r"write a plus of the number as \+") from None


def check_template(pattern: re.Pattern[str], text: str) -> str:
    r"""Return a replacement of digits, a leading ``+`` and groups (``\1``); raise :class:`BadRewrite`."""
    if len(text) > MAX_PATTERN or not _TEMPLATE.fullmatch(text):
        raise BadRewrite("a replacement holds digits, a leading + and groups only", r"write it like +972\1")
    groups = {int(first or second) for first, second in re.findall(r"\\g<(\d+)>|\\(\d{1,2})", text)}
    missing = sorted(group for group in groups if group > pattern.groups)
    if missing:
        raise BadRewrite(
            f"the pattern has no group {missing[0]}",
            "put the part to keep in parentheses, or write \\g<1>0 for group 1 and a 0",
        )
    return text


def _check_work(text: str) -> None:
    repeats = alternatives = position = 0
    before = ""
    while position < len(text):
        fixed, counted = _FIXED_COUNT.match(text, position), _OPEN_COUNT.match(text, position)
        item = fixed or counted or _ITEM.match(text, position)
        sign = item.group() if item else text[position]
        if sign == "(?" or (sign[0] == "\\" and sign[1:].isdigit()):
            raise BadRewrite("lookaround, flags and back-references are not allowed", "use plain groups: ( ) or (?: )")
        if sign == "[":
            raise BadRewrite("this is no regular expression: a class is not closed", r"close it with ], or write \[")
        if sign[0] == "[" and _SET_OPERATION.search(sign, 1):
            raise BadRewrite("a class holds characters and ranges only", "write it like [0-9] or [^3]")
        if fixed or counted or sign in "*+?":
            if before == ")":
                raise BadRewrite("a group is repeated", "repeat single characters only, such as \\d+ or [0-9]{3}")
            # "\d{3}" can match in one way only; a lazy or possessive mark after a repeat adds no way either.
            repeats += not fixed and before not in {"*", "+", "?", "{}"}
            sign = "{}" if fixed or counted else sign
        alternatives += sign == "|"
        before = sign
        position = item.end() if item else position + 1
    if repeats > MAX_REPEATS:
        raise BadRewrite(f"there are more than {MAX_REPEATS} open repeats", "use fixed counts such as \\d{3}")
    if alternatives > MAX_ALTERNATIVES:
        raise BadRewrite(f"there are more than {MAX_ALTERNATIVES} alternatives", "split it into several rules")
