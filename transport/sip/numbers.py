"""Telephone numbers as trunks and devices write them, and E.164 as the relay knows them. Pure.

Reading is for what comes in (a Request-URI's user part, a caller's), writing for what we dial. ``phonenumbers`` knows
countries' prefixes. Invariant: what is written holds digits, ``+``, and the trunk's own prefix, nothing else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import phonenumbers

from transport.accounts import NumberForm

if TYPE_CHECKING:
    from transport.accounts import TrunkAccount

_MOST = 40
_SEPARATORS = str.maketrans("", "", " -.()")
_DIGITS = re.compile(r"\+?[0-9]{1,20}", re.ASCII)
_E164 = re.compile(r"\+[0-9]{4,15}", re.ASCII)


def written(number: str, trunk: TrunkAccount) -> str:
    """Return an E.164 number as the trunk wants it dialled or shown, without its dialling prefix."""
    match trunk.form:
        case NumberForm.PLUS:
            return number
        case NumberForm.DIGITS:
            return number.removeprefix("+")
        case NumberForm.NATIONAL:
            return _national(number, trunk.region)


def dialled(number: str, trunk: TrunkAccount) -> str:
    """Return what stands in the Request-URI for an E.164 number."""
    return trunk.prefix + written(number, trunk)


def _national(number: str, region: str) -> str:
    """Return a number as it is dialled within ``region``: national inside, with the exit code outside."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number.removeprefix("+")
    form = phonenumbers.format_out_of_country_calling_number(parsed, region)
    if phonenumbers.country_code_for_region(region) == parsed.country_code:
        form = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        if parsed.country_code == 1:  # the national form of North America leaves the trunk prefix out; carriers take 10
            form = phonenumbers.national_significant_number(parsed)
    if form.startswith("+"):  # a country of several exit codes: the one that ITU-T E.123 recommends
        form = "00" + form
    return re.sub(r"[^0-9]", "", form)


def read(text: str, *, region: str = "", form: NumberForm = NumberForm.NATIONAL) -> str:
    """Return the E.164 number of a user part, empty where it holds none.

    ``+`` is believed. Without, ``form`` says what to expect: ``DIGITS`` begin with the country's code, ``NATIONAL``
    are read as dialled in ``region``; where a reading is impossible the other one is tried.
    """
    if len(text) > _MOST:
        return ""
    text = text.translate(_SEPARATORS)
    if not _DIGITS.fullmatch(text):
        return ""
    if text.startswith("+"):
        return text if _E164.fullmatch(text) else ""
    international, national = _possible("+" + text, None), _possible(text, region) if region else ""
    readings = (national, international) if form is NumberForm.NATIONAL else (international, national)
    return next((reading for reading in readings if reading), "")


def _possible(text: str, region: str | None) -> str:
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(parsed):
        return ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
