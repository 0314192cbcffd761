"""Mail addresses and sender patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses import BadAddress, Reach, normalise_address, normalise_domain, parse_pattern


@pytest.mark.parametrize(
    ("text", "reach", "subject"),
    [
        ("Alice@Example.COM", Reach.ADDRESS, "alice@example.com"),
        ("o'neil@example.com", Reach.ADDRESS, "o'neil@example.com"),
        ("a.b+c@office.local", Reach.ADDRESS, "a.b+c@office.local"),
        ("@Example.com", Reach.DOMAIN, "example.com"),
        ("@BÜRO.example", Reach.DOMAIN, "xn--bro-hoa.example"),
        ("@*.example.com", Reach.SUBDOMAINS, "example.com"),
    ],
)
def test_patterns(text: str, reach: Reach, subject: str) -> None:
    """A rule written with capitals or umlauts would name nobody."""
    pattern = parse_pattern(text)
    assert (pattern.reach, pattern.subject) == (reach, subject)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "@*.",
        "@*.com",
        "*@example.com",
        "@ex*mple.com",
        "a@b@example.com",
        "a b@example.com",
        "a@[192.0.2.1]",
        "a\n@b.de",
    ],
)
def test_refused_patterns(text: str) -> None:
    """A mistyped rule, or one for all of .com, would be taken and would authorise strangers."""
    with pytest.raises(BadAddress):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("@example.com", "a@example.com", True),
        ("@example.com", "a@sub.example.com", False),
        ("@example.com", "a@notexample.com", False),
        ("@*.example.com", "a@sub.example.com", True),
        ("@*.example.com", "@deep.sub.example.com", True),
        ("@*.example.com", "@*.sub.example.com", True),
        ("@*.example.com", "a@example.com", False),
        ("@*.example.com", "a@notexample.com", False),
        ("a@example.com", "a@example.com", True),
        ("a@example.com", "@example.com", False),
    ],
)
def test_reach_of_domains(wide: str, narrow: str, *, covers: bool) -> None:
    """A rule for one domain would let its subdomains, or a look-alike, send."""
    assert parse_pattern(wide).covers(parse_pattern(narrow)) is covers


@given(st.emails())
def test_spelling_is_stable(address: str) -> None:
    """The same sender would be two senders, one of them without rights."""
    try:
        spelling = normalise_address(address)
    except BadAddress:
        return
    assert normalise_address(spelling) == spelling
    assert normalise_domain(spelling.rpartition("@")[2]) == spelling.rpartition("@")[2]
