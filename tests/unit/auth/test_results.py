"""Authentication-Results of a trusted hop: what it says, and what only looks as if it did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth.header import read_header
from relay.auth.results import BadResults, MethodResult, Results, parse_results, topmost

PASSED = "mx.relay.example; dmarc=pass header.from=good.example"


def results(*values: str) -> Results | None:
    """What the hop says in a message with these fields, the first on top."""
    fields = "".join(f"Authentication-Results: {value}\r\n" for value in values)
    return topmost(read_header(fields.encode() + b"From: a@good.example\r\n\r\n"), "MX.relay.example")


@pytest.mark.parametrize(
    "value",
    [
        PASSED,
        "MX.Relay.Example 1; DMARC=Pass header.from=Good.Example",
        "mx.relay.example (a hop);\r\n dmarc=pass (p=reject (really)) header.from=good.example;",
        "mx.relay.example; spf=pass smtp.mailfrom=a@b.example; dmarc=pass action=none header.from=good.example;x=y a=1",
        'mx.relay.example; dmarc=pass policy.dmarc=none header.from="good.example"',
        "mx.relay.example; dmarc / 1 = pass header . from = good.example",
        'mx.relay.example; dkim=pass reason="2048-bit; key" header.d=x.example; dmarc=pass header.from=good.example',
    ],
)
def test_a_pass(value: str) -> None:
    """Lost otherwise: what the company's own mail gateway found out does not count."""
    found = results(value)
    assert found is not None
    assert found.dmarc_passed("good.example")
    assert not found.dmarc_passed("evil.example")


@pytest.mark.parametrize(
    "value",
    [
        "mx.relay.example; none",
        "mx.relay.example",
        "mx.relay.example; dmarc=fail header.from=good.example",
        "mx.relay.example; dmarc=pass",
        "mx.relay.example; dmarc=pass header.from=good.example.evil.example",
        "mx.relay.example; dmarc=pass header.from=a-good.example",
        "mx.relay.example; dmarc=pass header.from=good.example.",
        "mx.relay.example; dmarc=pass header.from=evil.example header.from=good.example",
        "mx.relay.example; dmarc=fail header.from=good.example; dmarc=pass header.from=good.example",
        "mx.relay.example; dmarc=pass (header.from=good.example)",
        'mx.relay.example; spf=pass smtp.mailfrom="a; dmarc=pass header.from=good.example"@b.example',
        "mx.relay.example; spf=fail smtp.mailfrom=(x); dmarc=pass header.from=good.example ((",
        "mx.relay.example; x-dmarc=pass header.from=good.example",
        "mx.relay.example; dmarc=passed header.from=good.example",
        "mx.relay.example; dmarc=pass.not header.from=good.example",
        "mx.relay.example.evil.example; dmarc=pass header.from=good.example",
        "xmx.relay.example; dmarc=pass header.from=good.example",
        "evil.example mx.relay.example; dmarc=pass header.from=good.example",
        "(mx.relay.example) evil.example; dmarc=pass header.from=good.example",
        "; dmarc=pass header.from=good.example",
        "dmarc=pass header.from=good.example",
        '"mx.relay.example; dmarc=pass header.from=good.example',
        "mx.relay.example; garbage here; dmarc=pass header.from=good.example",
        "mx.relay.example; " + "x=pass; " * 60 + "dmarc=pass header.from=good.example",
        "mx.relay.example; (" + "x" * 9000 + ") dmarc=pass header.from=good.example",
        "mx.relay.example; ((((((deep)))))) dmarc=pass header.from=good.example",
    ],
)
def test_no_pass(value: str) -> None:
    """Lost otherwise: a sender writes the finding into his own mail."""
    found = results(value)
    assert found is None or not found.dmarc_passed("good.example")


def test_only_the_topmost_counts() -> None:
    """Lost otherwise: a field that came with the mail counts as the gateway's."""
    assert results() is None
    assert results("other.example; none", PASSED) is None
    failed = results("mx.relay.example; dmarc=fail header.from=good.example", PASSED)
    assert failed is not None
    assert not failed.dmarc_passed("good.example")


def test_all_methods() -> None:
    """Lost otherwise: an administrator is not shown what the gateway found."""
    found = parse_results(b"mx; spf=softfail smtp.mailfrom=a@b.example; dkim=pass header.d=c.example header.s=x")
    assert found.of("spf") == (MethodResult("spf", "softfail", (("smtp.mailfrom", "a@b.example"),)),)
    assert found.of("spf")[0].domain("smtp.mailfrom") == "b.example"
    assert found.of("dkim")[0].domain("header.d") == "c.example"
    assert found.of("dkim")[0].domain("header.i") == ""


def test_bytes_that_are_no_text() -> None:
    """Lost otherwise: a stray byte in a gateway's field crashes the relay."""
    with pytest.raises(BadResults):
        parse_results(b"mx; dmarc=pass \xff")


@given(st.text('mx;=.()"\\ \tdmarc=pass header.from', max_size=120))
def test_any_text(text: str) -> None:
    """Lost otherwise: a strange field crashes the relay."""
    try:
        parse_results(text.encode())
    except BadResults:
        return
