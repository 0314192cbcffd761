"""Telephone numbers as people write them, to E.164 as trunks dial them. Pure.

Source: ITU-T E.164 (at most 15 digits after the ``+``); national prefixes and lengths come from the
``phonenumbers`` metadata. Invariants:

* what leaves is ``+`` and digits, nothing else: it may be put into a SIP URI;
* "possible" (the length fits the country) is enough, because numbering plans grow faster than metadata;
* a result read again, under any region, is itself.
"""

from __future__ import annotations

import functools
import re

import phonenumbers

#: Longer texts are no number; the cap keeps the work per address small.
MAX_TEXT = 40

#: A mail's number is read at RCPT and again with its policy, and people write to the same numbers.
_REMEMBERED = 4096

_WRITTEN = re.compile(r"\+?[0-9 ().-]+", re.ASCII)
_SEPARATORS = str.maketrans("", "", " ().-")


class BadNumber(ValueError):
    """The text is no number that can be dialled. ``sentence`` is for the person who wrote it, safe in any reply."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@functools.lru_cache(maxsize=_REMEMBERED)
def parse_number(text: str, default_region: str | None) -> str:
    """Return the E.164 number (``+`` and 7 to 15 digits) that ``text`` means.

    ``default_region``: ISO 3166 country of national digits, whose prefixes apply (``0``, ``00``, ``011``); None
    admits only the international form with ``+``. Raises :class:`BadNumber`.

    >>> parse_number("0312345678", "IL")
    '+972312345678'
    >>> parse_number("+39 06-123.4567", None)
    '+39061234567'
    >>> parse_number("0312345678", None)
    Traceback (most recent call last):
        ...
    policies.numbers.BadNumber: The number has no country: write it with + and the country code, such as +12025550199.
    """
    if len(text) > MAX_TEXT or not _WRITTEN.fullmatch(text):
        raise BadNumber("This is not a fax number: write digits, such as +12025550199.")
    digits = text.translate(_SEPARATORS)
    if default_region is None and not digits.startswith("+"):
        raise BadNumber("The number has no country: write it with + and the country code, such as +12025550199.")
    number = _read(digits, default_region)
    # "972312345678" in Israel is also a possible national number, and dialling that would reach +972972...
    # Written with the country code and without the plus is what people mean.
    if not digits.startswith("+") and digits.startswith(str(number.country_code)):
        number = _with_plus(digits, number)
    # A trunk prefix after the country code, as in "+972 (0)3 ...", is dropped by the first reading and may leave
    # another behind; only a number that reads as itself is one number.
    e164 = _format(number)
    if _format(_read(e164, None)) != e164:
        raise BadNumber(
            "The number can be read in two ways: write it with + and the country code, without a 0 between."
        )
    return e164


def _with_plus(digits: str, national: phonenumbers.PhoneNumber) -> phonenumbers.PhoneNumber:
    if phonenumbers.is_valid_number(national):
        return national
    try:
        return _read("+" + digits, None)
    except BadNumber:
        return national


def _format(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _read(digits: str, region: str | None) -> phonenumbers.PhoneNumber:
    """Parse and check the length; the sentence says which of the two went wrong."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            raise BadNumber("The country code of this fax number does not exist.") from None
        raise BadNumber("This is not a fax number: it is too short or too long.") from None
    if not phonenumbers.is_possible_number(number) or len(_format(number)) > 16:  # noqa: PLR2004 -- E.164: + and 15 digits
        raise BadNumber("This fax number is too short or too long for its country.")
    return number
