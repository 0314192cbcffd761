"""Regular expressions of admins: useful ones pass, runaway ones are refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.policy import Source
from policies.rewriting import BadRewrite, Rewrite, check_template, compile_pattern


@pytest.mark.parametrize(
    "pattern",
    [r"\+9720(\d+)", r"\+1(900|976)\d{7}", r"\+972(?:3|4)([0-9]{7})", r"\+\d+?0*", r"[+]44[^0]\d{3,9}"],
)
def test_useful_patterns(pattern: str) -> None:
    """An ordinary rewriting rule would be refused."""
    assert compile_pattern(pattern).pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(\d+)+", "group is repeated"),
        (r"(\d|\d)*", "group is repeated"),
        (r"(?:1|11){9}", "group is repeated"),
        (r"\d*\d*\d*\d*x", "open repeats"),
        (r"\d?\d?\d?\d?\d?x", "open repeats"),
        (r"\d{1,}\d{1,}\d{1,}\d{0,9}x", "open repeats"),
        ("|" * 9, "alternatives"),
        (r"(\d)\1", "back-references"),
        (r"(?=\d)", "lookaround"),
        (r"(?P<a>\d)", "lookaround"),
        (r"(?i)\d", "lookaround"),
        ("1" * 101, "longer than"),
        ("(", "no regular expression"),
        ("+972", "no regular expression"),
        (r"\+[[0-9]\d", "a class holds"),
        (r"\+[0-9--3]", "a class holds"),
        (r"[]||\d*", "not closed"),
        ("[", "no regular expression"),
    ],
)
def test_runaway_patterns(pattern: str, says: str) -> None:
    """One rule of an admin would hold up every mail for minutes."""
    with pytest.raises(BadRewrite, match=says):
        compile_pattern(pattern)


@pytest.mark.timeout(20)
@given(st.text(alphabet=r"\d+*?[]()|{}19,x.^-", max_size=40), st.from_regex(r"\+[19]{8,15}", fullmatch=True))
def test_whatever_is_admitted_is_quick(pattern: str, number: str) -> None:
    """A pattern that slips through the check would hang the relay (the test would run into its time limit)."""
    try:
        compiled = compile_pattern(pattern)
    except BadRewrite:
        return
    assert compiled.fullmatch(number + "x") is None or "x" in pattern or "." in pattern or "^" in pattern


def test_worst_admitted_pattern_is_quick() -> None:
    """The limits would not bound what they promise to bound (the test would run into its time limit)."""
    pattern = compile_pattern(r"(1|\d)(1|\d)(1|\d)(1|\d)(1|\d)(1|\d)(1|\d)(1|\d)\d*\d*\d*x")
    assert pattern.fullmatch("+" + "1" * 15) is None
    assert pattern.fullmatch("1" * 16) is None


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("", "digits"),
        ("sip:x", "digits"),
        (r"\2", "no group 2"),
        (r"\10", "no group 10"),
        (r"1+\1", "digits"),
        (r"\x31", "digits"),
    ],
)
def test_replacements_hold_digits_and_groups(template: str, says: str) -> None:
    """A replacement could put something else than digits into a call."""
    with pytest.raises(BadRewrite, match=says):
        check_template(re.compile(r"\+(\d+)"), template)


def test_the_whole_number_must_fit() -> None:
    """A rule for +97235551234 would also rewrite longer numbers that begin with it."""
    rewrite = Rewrite(
        compile_pattern(r"\+9723(\d{7})"), check_template(compile_pattern(r"(\d)"), r"+9722\1"), Source("", 1)
    )
    assert rewrite.apply("+97231234567") == "+97221234567"
    assert rewrite.apply("+972312345678") is None
