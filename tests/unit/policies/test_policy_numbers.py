"""Telephone numbers as people write them."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import BadNumber, parse_number


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("+97231234567", None, "+97231234567"),
        ("+972312345678", None, "+972312345678"),
        ("0312345678", "IL", "+972312345678"),
        ("03-123.45 67", "IL", "+97231234567"),
        ("00972312345678", "IL", "+972312345678"),
        ("01197231234567", "US", "+97231234567"),
        ("(202) 555-0199", "US", "+12025550199"),
        ("12025550199", "US", "+12025550199"),
        ("+972 (0)3 1234567", "US", "+97231234567"),
        ("06 1234567", "IT", "+39061234567"),
        ("+39061234567", "IL", "+39061234567"),
        ("972312345678", "IL", "+972312345678"),
        ("97231234567", "IL", "+97231234567"),
        ("+870772001234", None, "+870772001234"),
    ],
)
def test_written_forms(text: str, region: str | None, number: str) -> None:
    """A sender's usual way of writing a number would reach nobody, or somebody else."""
    assert parse_number(text, region) == number


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a fax number"),
        ("+", "not a fax number"),
        ("fax", "not a fax number"),
        ("1-800-FLOWERS", "not a fax number"),
        ("0312345678x55", "not a fax number"),
        ("031234567;ext=4", "not a fax number"),
        ("٠٣١٢٣٤٥٦٧", "not a fax number"),
        ("03\n1234567", "not a fax number"),
        ("+972312345678@evil", "not a fax number"),
        ("0" * 41, "not a fax number"),
        ("100", "too short or too long"),
        ("+9723123456789012", "too short or too long"),
        ("+99912345678", "country code"),
        ("+97200312345678", "two ways"),
    ],
)
def test_refused_forms(text: str, says: str) -> None:
    """Text that is no number would go into a SIP URI, or the sender would not learn what is wrong."""
    with pytest.raises(BadNumber, match=says) as raised:
        parse_number(text, "IL")
    assert raised.value.sentence.isascii()
    assert "\n" not in raised.value.sentence


def test_national_digits_need_a_country() -> None:
    """A number without a country would be dialled in a country that nobody chose."""
    with pytest.raises(BadNumber, match="no country"):
        parse_number("0312345678", None)


REGIONS = st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS))


@given(st.text(alphabet="0123456789+-. ()", max_size=20), REGIONS)
def test_result_is_digits_and_reads_as_itself(text: str, region: str) -> None:
    """A number stored once would be another number when it is read again."""
    try:
        number = parse_number(text, region)
    except BadNumber:
        return
    assert number[0] == "+"
    assert number[1:].isdigit()
    assert len(number) <= 16
    assert parse_number(number, region) == parse_number(number, None) == number


@given(st.from_regex(r"0[1-9][0-9]{6,8}", fullmatch=True))
def test_zeros_are_kept(digits: str) -> None:
    """In a country whose numbers begin with 0, every fax would go to a number without it."""
    assert parse_number(digits, "IT") == f"+39{digits}"


@given(st.text(max_size=60), st.none() | REGIONS)
def test_any_text_is_a_number_or_refused(text: str, region: str | None) -> None:
    """A strange address would end the mail dialogue with an internal error."""
    sentence = ""
    try:
        parse_number(text, region)
    except BadNumber as error:
        sentence = error.sentence
    assert sentence == "" or sentence.endswith(".")
