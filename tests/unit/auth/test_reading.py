"""Messages as a whole: what is no message, and what any bytes may do to the reading of one."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.auth.header import Malformed, read_header
from relay.auth.reading import Wanted, key_names, read_message
from relay.auth.resolver import Answer, Status
from relay.auth.signature import DkimResult, canonical_body

from .signing import MESSAGE, rsa_record, signed
from .test_arc import ONE

NOW = Wanted(time.time(), arc=True, server="mx.example")
GENUINE = signed(ONE)
KEYS = {
    name: Answer(Status.FOUND, (rsa_record(2048, 0),))
    for name in ("s1._domainkey.good.example", "s1._domainkey.list.example")
}
PIECES = [b"\r\n", b";", b"\r\n ", b" ", b"From: a@b.c\r\n", b"Subject: x\r\n", b"=", b":", b"l=1;"]


@pytest.mark.parametrize(
    "message",
    [
        b" leading: space\r\n" + MESSAGE,
        b"From " + MESSAGE,
        MESSAGE.replace(b"From:", b"From :"),
        MESSAGE.replace(b"\r\n", b"\n"),
        MESSAGE.replace(b"Alice", b"Al\0ice"),
        MESSAGE.replace(b"Dear", b"De\0ar"),
        MESSAGE.replace(b"Alice", b"Al\x0bice"),
        MESSAGE.replace(b"Dear", b"De\rar"),
        b"X: y\r\n" * 1001 + MESSAGE,
        b"X: " + b"y" * 70000 + b"\r\n" + MESSAGE,
        b"no colon\r\n" + MESSAGE,
        b"\xff: y\r\n" + MESSAGE,
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(message: bytes) -> None:
    """Lost otherwise: the signature covers one reading of a mail and the fax shows the other."""
    with pytest.raises(Malformed):
        read_header(message)


def test_messages_without_a_header_or_a_body() -> None:
    """Lost otherwise: an empty mail crashes the relay."""
    assert read_header(b"\r\nbody\r\n").fields == ()
    assert read_header(b"A: b\r\n").body_at == 6
    assert read_header(b"").fields == ()


def shown(message: bytes) -> tuple[object, ...]:
    """What people see of a message, as far as a signature has to cover it."""
    header = read_header(message)
    seen = [b" ".join(field.value.split()) for name in ("from", "subject", "date") for field in header.named(name)]
    return (*seen, canonical_body(message[header.body_at :], "simple"))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=400, deadline=None)
@given(st.data())
def test_no_edit_of_a_signed_mail_passes(data: st.DataObject) -> None:
    """Lost otherwise: some edit that nobody thought of leaves the signature valid and the mail another."""
    message = bytearray(GENUINE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(message) - 1))
        size = data.draw(st.integers(0, 4))
        put = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"\r\n", b";", b"\r\n ", b"From: a@b.c\r\n"]))
        )
        message[at : at + size] = put
    edited = bytes(message)
    key_names(edited, NOW)
    reading = read_message(edited, KEYS, NOW)
    assert bool(reading.problem) != bool(reading.domain)
    for signature in reading.signatures:
        if signature.result is DkimResult.PASS and signature.domain == "good.example":
            assert shown(edited) == shown(GENUINE)


@given(st.one_of(st.binary(max_size=300), st.text("DKIM-Signature: v=1;ARC\r\n ", max_size=200).map(str.encode)))
def test_any_bytes_are_read(message: bytes) -> None:
    """Lost otherwise: a strange message crashes the child that reads it."""
    key_names(message, NOW)
    assert not read_message(message, {}, NOW).arc.hops


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["v", "a", "b", "bh", "c", "d", "h", "i", "l", "q", "s", "t", "x", "cv", ""]),
            st.one_of(st.sampled_from(["1", "rsa-sha256", "from", "good.example", "s1", "AAAA"]), st.text(max_size=8)),
        ),
        max_size=12,
    ),
    st.sampled_from(["DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"]),
    st.text(max_size=40),
)
def test_any_tags_are_read(tags: list[tuple[str, str]], field: str, record: str) -> None:
    """Lost otherwise: a strange signature or key crashes the child that reads it."""
    value = "; ".join(f"{name}={text}" for name, text in tags)
    message = f"{field}: {value}\r\n".encode() + MESSAGE
    keys = {name: Answer(Status.FOUND, (record,)) for name in key_names(message, NOW)}
    reading = read_message(message, keys, NOW)
    assert all(signature.result is not DkimResult.PASS for signature in reading.signatures)
