"""The From line: one address in one reading, or none."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth.sender import BadFrom, from_address


@given(st.one_of(st.binary(max_size=300), st.text('ab@.<>()",;:\\ =?\t\u202e\u00fc', max_size=60).map(str.encode)))
def test_any_from_has_one_domain_or_none(value: bytes) -> None:
    """Lost otherwise: a From line that nobody thought of crashes the relay or names two domains."""
    try:
        local, domain = from_address(value)
    except BadFrom:
        return
    assert local.encode() in value
    assert "@" not in local + domain
    assert domain == domain.lower()
    assert domain.isascii()
    assert all(first or second for first, second in pairwise(domain.split(".")))


FROM_CASES = [
    (b"alice@good.example", "good.example"),
    (b"<alice@good.example>", "good.example"),
    (b"Alice Miller <alice@Good.EXAMPLE>", "good.example"),
    (b'"Miller, Alice" <alice@good.example>', "good.example"),
    (b'"bob@evil.example" <alice@good.example>', "good.example"),
    (b'"a \\" <b@evil.example>" <alice@good.example>', "good.example"),
    (b"=?utf-8?q?J=C3=B6rg?= <alice@good.example>", "good.example"),
    (b"=?utf-8?q?bob=40evil=2Eexample_=3C?= <alice@good.example>", "good.example"),
    ("Jörg <jörg@bücher.example>".encode(), "xn--bcher-kva.example"),
    (b"x@xn--bcher-kva.example", "xn--bcher-kva.example"),
    (b"alice@good.example (Alice)", "good.example"),
    (b"Alice Q. Miller <alice+fax@good.example>", "good.example"),
    (b"", None),
    (b"   ", None),
    (b"Alice", None),
    (b"alice@good.example, bob@evil.example", None),
    (b"<alice@good.example><bob@evil.example>", None),
    (b"<alice@good.example> <bob@evil.example>", None),
    (b"alice@good.example <bob@evil.example>", None),
    (b"friends: alice@good.example;", None),
    (b"friends:;", None),
    (b"<@evil.example:alice@good.example>", None),
    (b"<alice@good.example", None),
    (b"alice@good.example>", None),
    (b"(bob@evil.example) alice@good.example", None),
    (b"alice@good.example (bob@evil.example)", None),
    (b"alice(comment)@good.example", None),
    (b"alice@(comment)good.example", None),
    (b"alice@good.example (a (nested) one)", None),
    (b'"alice@good.example"@evil.example', None),
    (b'"alice"@good.example', None),
    (b"alice @good.example", None),
    (b"alice@ good.example", None),
    (b"alice@good. example", None),
    (b"alice@good.example.", None),
    (b"alice@good..example", None),
    (b"alice@.good.example", None),
    (b"alice@-good.example", None),
    (b"alice@good_one.example", None),
    (b"alice@[192.0.2.1]", None),
    (b"alice@localhost", None),
    (b"alice@good.example@evil.example", None),
    (b"alice@good.example\\@evil.example", None),
    (b"alice@good.example\0.evil.example", None),
    (b"alice@good.example\x0bevil", None),
    (b"=?utf-8?q?alice=40good.example?=", None),
    (b"=?utf-8?q?alice?=@good.example", "good.example"),
    (b"alice@=?utf-8?q?good?=.example", None),
    ("alice@good\uff0eexample".encode(), None),
    ("alice@\uff47ood.example".encode(), None),
    ("alice@g\u200bood.example".encode(), None),
    ("\u202ealice@good.example".encode(), None),
    (b"alice@good.example\xff", None),
    (b"a" * 1001 + b"@good.example", None),
    (b"alice@" + b"a" * 64 + b".example", None),
    (b"alice;bob@good.example", None),
    (b'Alice "alice@good.example', None),
    (b"Alice <alice@good.example> trailing", None),
    (b"undisclosed <>", None),
]


@pytest.mark.parametrize(("value", "domain"), FROM_CASES)
def test_from(value: bytes, domain: str | None) -> None:
    """Lost otherwise: the domain that is proven is not the one that people are shown."""
    if domain is None:
        with pytest.raises(BadFrom):
            from_address(value)
    else:
        assert from_address(value)[1] == domain
