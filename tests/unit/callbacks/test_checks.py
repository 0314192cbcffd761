"""What an endpoint is refused for when it is saved."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.dialects import METHODS, TOLD, option_fault
from policies.endpoints import CallbackEvent, Dialect, Method
from relay.callbacks.dialects import DIALECTS, standard, token
from relay.callbacks.endpoint import Unfit

from .events import AES_KEY, ENDPOINTS, EVENTS, PRIVATE, SHARED, rendered


def coded(prefix: str, raw: bytes) -> str:
    """Return a secret."""
    return prefix + base64.b64encode(raw).decode()


SFAX = dict(ENDPOINTS["sfax"].options)


@pytest.mark.parametrize(
    ("dialect", "changes", "field"),
    [
        ("standard", {"secrets": ()}, "secrets"),
        ("standard", {"secrets": ("hunter2",)}, "secrets"),
        ("standard", {"secrets": ("whsec_not base64",)}, "secrets"),
        ("standard", {"secrets": (coded("whsec_", b"k" * 23),)}, "secrets"),
        ("standard", {"secrets": (coded("whsec_", b"k" * 65),)}, "secrets"),
        ("standard", {"secrets": (SHARED, coded("whsk_", b"k" * 31))}, "secrets"),
        ("standard", {"secrets": (coded("whsk_", b"k" * 64),)}, "secrets"),
        ("standard", {"method": "GET"}, "method"),
        ("sfax", {"secrets": ()}, "secrets"),
        ("sfax", {"secrets": ("short",)}, "secrets"),
        ("sfax", {"secrets": ("ü" * 16,)}, "secrets"),
        ("sfax", {"options": {}}, "user"),
        ("sfax", {"options": SFAX | {"user": "a&b"}}, "user"),
        ("sfax", {"options": SFAX | {"api_key": ""}}, "api_key"),
        ("sfax", {"options": SFAX | {"api_key": "A" * 33}}, "api_key"),
        ("sfax", {"options": SFAX | {"iv": "short"}}, "iv"),
        ("interfax", {"inbound_url": "https://a.example"}, "inbound_url"),
        ("interfax", {"user": ""}, "user"),
        ("interfax", {"user": "a:b"}, "user"),
        ("interfax-soap", {"inbound_url": "https://a.example"}, "inbound_url"),
        ("assinaturas", {"options": {"signature": "SIGNED"}}, "signature"),
        ("esms", {"options": {"type_id": "3"}}, "type_id"),
        ("esms", {"options": {"region": "XX"}}, "region"),
        ("esms", {"options": {"secret_key": "SMSID"}}, "secret_key"),
        ("esms", {"inbound_url": "https://a.example"}, "inbound_url"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(dialect: str, changes: dict[str, Any], field: str) -> None:
    """Lost otherwise: a typing mistake shows as failed callbacks a day later; or the refusal shows the secret."""
    endpoint = replace(ENDPOINTS[dialect], **changes)
    with pytest.raises(Unfit) as refused:
        DIALECTS[dialect].check(endpoint)
    assert refused.value.field == field
    assert not any(secret in str(refused.value) for secret in endpoint.secrets)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_the_policy_knows_what_a_dialect_tells_and_how(dialect: Dialect) -> None:
    """Lost otherwise: the policy refuses what would be told, or takes what never is."""
    made = {
        name: request
        for name, event in EVENTS.items()
        if not event.test and (request := rendered(dialect.value, event)) is not None
    }
    assert {CallbackEvent(EVENTS[name].name.value) for name in made} == TOLD[dialect]
    assert {Method(request.method) for request in made.values()} == {METHODS[dialect][0]}


@pytest.mark.parametrize(
    ("dialect", "name", "values"),
    [
        (Dialect.SFAX, "user", ["master", "a&b", "a=b", ""]),
        (Dialect.SFAX, "api_key", ["5787A4E0", "A" * 32, "A" * 33, "a&b"]),
        (Dialect.SFAX, "iv", ["0123456789abcdef", "short", "ü" * 16]),
        (Dialect.ASSINATURAS, "signature", ["SIGNATURE-SERVER", "SIGNATURE-DIGITAL", "SIGNATURE-ELETRONIC", "SIGNED"]),
        (Dialect.ESMS, "type_id", ["1", "2", "23", "24", "25", "26", "27", "3", "02"]),
        (Dialect.ESMS, "region", ["VN", "IL", "XX", "vn"]),
        (Dialect.ESMS, "secret_key", ["key", "token", "SMSID", "TypeId", "oaid"]),
    ],
)
def test_the_policy_takes_the_values_that_a_dialect_does(dialect: Dialect, name: str, values: list[str]) -> None:
    """Lost otherwise: an option that the dialect refuses shows a day later, as failed callbacks."""
    for value in values:
        endpoint = ENDPOINTS[dialect.value]
        kinds = {"type_id": endpoint.options.get("type_id", "2")} if dialect is Dialect.ESMS else {}
        try:
            DIALECTS[dialect.value].check(replace(endpoint, options={**endpoint.options, name: value}))
        except Unfit:
            assert option_fault(name, value, {**kinds, name: value}) is not None, value
        else:
            assert option_fault(name, value, {**kinds, name: value}) is None, value


def test_secrets_are_not_shown() -> None:
    """Lost otherwise: a log of an endpoint gives its secrets away."""
    endpoint = replace(ENDPOINTS["standard"], password="geheim")
    for secret in (*endpoint.secrets, endpoint.password, "X-Office"):
        assert secret not in repr(endpoint)


def test_a_key_with_its_public_half_is_the_same_key() -> None:
    """Lost otherwise: keys that other programs made cannot be used."""
    public = base64.b64decode(standard.public_key(PRIVATE).removeprefix("whpk_"))
    both = coded("whsk_", bytes(range(100, 132)) + public)
    assert standard.public_key(both) == standard.public_key(PRIVATE)
    with pytest.raises(Unfit):
        standard.public_key(SHARED)


@given(
    user=st.text(st.characters(exclude_characters="&=", exclude_categories=["Cs"]), min_size=1, max_size=40),
    at=st.integers(0, 4_000_000_000),
    iv=st.sampled_from(["", "0123456789abcdef"]),
)
def test_a_token_says_who_called_and_when(user: str, at: int, iv: str) -> None:
    """Lost otherwise: a receiver cannot tell our calls from anybody's."""
    claim = token.Claim(user, "5787A4E0", at)
    assert token.decrypt(token.encrypt(claim, AES_KEY, iv), AES_KEY, iv) == claim


def test_two_tokens_have_nothing_in_common() -> None:
    """Lost otherwise: tokens of one user begin alike, and a piece of one fits another."""
    first, second = (token.encrypt(token.Claim("master", "5787A4E0", at), AES_KEY) for at in (1, 2))
    assert first[:8] != second[:8]


@given(st.integers(0, 127), st.integers(1, 255))
def test_a_token_that_was_changed_is_refused(place: int, flip: int) -> None:
    """Lost otherwise: somebody who saw one token makes another of it."""
    raw = bytearray(base64.b64decode(token.encrypt(token.Claim("master", "5787A4E0", 1_790_000_000), AES_KEY)))
    raw[place % len(raw)] ^= flip
    with pytest.raises(token.BadToken):
        token.decrypt(base64.b64encode(raw).decode(), AES_KEY)


@pytest.mark.parametrize("text", ["", "!", "AAAA", "A" * 64])
def test_what_is_no_token_is_refused(text: str) -> None:
    """Lost otherwise: a receiver breaks on rubbish."""
    with pytest.raises(token.BadToken):
        token.decrypt(text, AES_KEY)
    with pytest.raises(token.BadToken):
        token.decrypt(text, AES_KEY, "0123456789abcdef")
