"""Addresses of SIP headers, read leniently and written strictly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.sip.uri import Address, BadAddress, Uri, parse_address, parse_uri, quote_display, split


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:+12025550123@carrier.test", Uri("sip", "+12025550123", "carrier.test")),
        ("sips:fax@[2001:db8::1]:5071", Uri("sips", "fax", "2001:db8::1", 5071)),
        ("sip:a%40b@h;Transport=TCP;lr", Uri("sip", "a@b", "h", None, (("transport", "TCP"), ("lr", None)))),
        ("tel:+1-202-555-0123;phone-context=x", Uri("tel", "+1-202-555-0123", "")),
        ("sip:user;par=1@h?Subject=x", Uri("sip", "user", "h")),
        ("sip:what?/;;*@h", Uri("sip", "what?/", "h")),
        ("sip:h", Uri("sip", "", "h")),
    ],
)
def test_the_uris_of_the_field_are_read(text: str, uri: Uri) -> None:
    """Lost otherwise: a carrier's number, port or transport is misread and calls go astray."""
    assert parse_uri(text) == uri


@pytest.mark.parametrize(
    "text",
    ["", "sip:", "http://x", "sip:a@", "sip:@@;;", "sip:a@h:0", "sip:a@h:99999", "sip:a@h:x", "tel:", "x" * 5000],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Lost otherwise: a broken header crashes the line, or becomes an address by accident."""
    with pytest.raises(BadAddress):
        parse_uri(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ('"Fax, \\"Ltd\\"" <sip:a@h>;tag=x', Address(Uri("sip", "a", "h"), 'Fax, "Ltd"', {"tag": "x"})),
        ("sip:a@h;tag=y", Address(Uri("sip", "a", "h"), "", {"tag": "y"})),
        (
            "Fax<sip:a@h;lr>;Expires=60;q=0.5",
            Address(Uri("sip", "a", "h", None, (("lr", None),)), "Fax", {"expires": "60", "q": "0.5"}),
        ),
    ],
)  # fmt: skip
def test_addresses_are_read_with_their_parameters(text: str, address: Address) -> None:
    """Lost otherwise: tags of dialogs or expiries of registrations are taken for parts of the URI."""
    assert parse_address(text) == address


@given(st.text(max_size=60))
def test_what_was_written_by_us_is_read_again(user: str) -> None:
    """Lost otherwise: a number or name from outside ends a header that we write."""
    written = str(Uri("sip", user, "h.test", 5060))
    assert written.isascii()
    assert not set(written) & set('\r\n<>" ')
    if user and ";" not in user:  # parameters of a user part are cut off
        assert parse_uri(written).user == user


@given(st.text(max_size=200))
def test_no_text_crashes_the_reader(text: str) -> None:
    """Lost otherwise: one malformed header takes the whole line down."""
    for read in (parse_uri, parse_address):
        try:
            read(text)
        except BadAddress:
            continue


def test_values_are_split_outside_of_quotes_and_brackets() -> None:
    """Lost otherwise: a display name with a comma becomes two contacts."""
    assert split('"a, b" <sip:x,y@h>, <sip:z@h>') == ['"a, b" <sip:x,y@h>', "<sip:z@h>"]
    assert quote_display('x"\r\n\\y') == '"xy"'
