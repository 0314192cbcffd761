"""RFC 3461's parameters: read strictly, kept and read back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.intake.wishes import vouched
from relay.notification import (
    WISHES,
    BadParameter,
    MailWishes,
    Notify,
    RecipientWishes,
    Wishes,
    decode_xtext,
    encode_xtext,
    take_mail,
    take_recipient,
)

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)


@given(PRINTABLE)
def test_xtext_reads_back(text: str) -> None:
    """Lost otherwise: an envelope id comes back as another one, and the sender's program knows it not."""
    written = encode_xtext(text)
    assert decode_xtext(written) == text
    assert written.isascii()
    assert " " not in written


@given(st.text(max_size=60))
def test_xtext_is_read_or_refused(text: str) -> None:
    """Lost otherwise: text from outside stops a session, or brings line breaks into a report."""
    try:
        decoded = decode_xtext(text)
    except BadParameter:
        return
    assert all(" " <= char <= "~" for char in decoded)
    assert decode_xtext(encode_xtext(decoded)) == decoded


@given(
    st.builds(
        Wishes,
        notify=st.none() | st.frozensets(st.sampled_from(Notify)), original=PRINTABLE, full=st.booleans(),
        envid=PRINTABLE, address=PRINTABLE, heard_from=PRINTABLE, read_receipt=PRINTABLE,
    )
)  # fmt: skip
def test_wishes_are_kept(wishes: Wishes) -> None:
    """Lost otherwise: what a sender asked for is another thing after a restart."""
    assert Wishes.of_settings(json.loads(json.dumps({WISHES: wishes.as_settings()}))) == wishes


def test_a_fax_without_wishes_has_none() -> None:
    """Lost otherwise: faxes of before this release, and of the command line, cannot be reported."""
    assert Wishes.of_settings({}) == Wishes()


def test_what_is_good() -> None:
    """Lost otherwise: reports that were asked for properly are refused."""
    assert take_mail(["BODY=8BITMIME", "ret=full", "ENVID=QQ314159+2B"]) == (
        MailWishes(full=True, envid="QQ314159+"),
        ["BODY=8BITMIME"],
    )
    assert take_mail(["RET=HDRS"]) == (MailWishes(), [])
    assert take_recipient(["notify=success,DELAY", "orcpt=RFC822;Bob+2Bfax@Example.com", "X=1"]) == (
        RecipientWishes(frozenset({Notify.SUCCESS, Notify.DELAY}), "RFC822;Bob+fax@Example.com"),
        ["X=1"],
    )
    assert take_recipient(["NOTIFY=NEVER"])[0].notify == frozenset()
    assert take_recipient([])[0].notify is None
    assert take_recipient(["ORCPT=utf-8;אב@example.com"])[0].original == "utf-8;\\x{5D0}\\x{5D1}@example.com"


@pytest.mark.parametrize(
    "parameter",
    [
        "NOTIFY", "NOTIFY=", "NOTIFY=ALWAYS", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SUCCESS,NEVER", "NOTIFY=SUCCESS,SUCCESS",
        "NOTIFY=SUCCESS,", "NOTIFY=,", "ORCPT=user@example.com", "ORCPT=;user@example.com", "ORCPT=rfc822;",
        "ORCPT=rfc822;a+zz", "ORCPT=rfc822;a+2b", "ORCPT=rfc822;a=b", "ORCPT=rfc822;a+0D+0Ab", "ORCPT=rfc822;é",
        "ORCPT=r(c;a", "ORCPT=rfc822;" + "a" * 500,
    ],
)  # fmt: skip
def test_what_is_bad_of_a_recipient(parameter: str) -> None:
    """Lost otherwise: a fault of the client's becomes a report to the wrong place, or none."""
    with pytest.raises(BadParameter):
        take_recipient([parameter])


@pytest.mark.parametrize(
    "parameter", ["RET", "RET=ALL", "RET=", "ENVID=", "ENVID=a=b", "ENVID=+0A", "ENVID=" + "a" * 101]
)
def test_what_is_bad_of_a_mail(parameter: str) -> None:
    """Lost otherwise: the same of ENVID and RET."""
    with pytest.raises(BadParameter):
        take_mail([parameter])


@pytest.mark.parametrize("name", ["RET=HDRS", "ENVID=a"])
def test_nothing_stands_twice(name: str) -> None:
    """Lost otherwise: of two envelope ids one is chosen, and it may be the other one."""
    with pytest.raises(BadParameter):
        take_mail([name, name.lower()])


@pytest.mark.parametrize(
    ("path", "proof", "address"),
    [
        ("User@Example.com", "auth", "User@Example.com"),
        ("bounce@example.com", "auth", "user@example.com"),
        ("bounce@example.com", "network", "bounce@example.com"),
        ("b+1@mail.example.com", "dmarc", "b+1@mail.example.com"),
        ("victim@victim.example", "network", "user@example.com"),
        ("victim@notexample.com", "none", "user@example.com"),
        ("not an address", "none", "user@example.com"),
    ],
)
def test_no_report_goes_to_a_stranger(path: str, proof: str, address: str) -> None:
    """Lost otherwise: whoever may send makes the relay write to people who never did."""
    assert vouched(path, "user@example.com", proof) == address
