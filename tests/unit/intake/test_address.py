"""Fax addresses: what counts as a number before the @, and what is refused with a sentence."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.intake.address import BadFaxAddress, FaxAddress, parse_address

NUMBERS = st.from_regex(r"\+?[0-9]{1,20}", fullmatch=True)
SUBADDRESSES = st.none() | st.from_regex(r"[0-9]{1,20}", fullmatch=True)
DOMAINS = st.sampled_from(["fax.example.com", "fax.example.net", "xn--bcher-kva.example"])


@pytest.mark.parametrize(
    ("text", "number", "subaddress"),
    [
        ("0312345678@fax.example.com", "0312345678", None),
        ("+97231234567@fax.example.com", "+97231234567", None),
        ("FAX=+12025550199@fax.example.com", "+12025550199", None),
        ("fax=+1-202.555-0199@fax.example.com", "+12025550199", None),
        ("FAX=+12025550199/T33S=123@fax.example.com", "+12025550199", "123"),
        ("Fax=0312345678/t33s=1-2.3@fax.example.com", "0312345678", "123"),
        ('"+12025550199"@fax.example.com', "+12025550199", None),
        ("+12025550199@FAX.Example.COM", "+12025550199", None),
    ],
)
def test_the_ways_to_write_a_number(text: str, number: str, subaddress: str | None) -> None:
    """Lost otherwise: mail programs and gateways that write the number in a standard way are refused."""
    assert parse_address(text) == FaxAddress(number, subaddress, "fax.example.com")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("alice@fax.example.com", "This is not a fax number: write digits before the @, such as +12025550199."),
        ("0312345678+urgent@fax.example.com", "This is not a fax number"),
        ("+@fax.example.com", "This is not a fax number"),
        ("-.-@fax.example.com", "This is not a fax number"),
        ("++12025550199@fax.example.com", "This is not a fax number"),
        ("٠٣١٢٣٤٥٦٧٨@fax.example.com", "This is not a fax number"),
        ("0312345678;tag=x@fax.example.com", "This is not a fax number"),
        ("sip:0312345678@fax.example.com", "This is not a fax number"),
        ("0312345678/ATTN=Bob@fax.example.com", "may be followed by /T33S="),
        ("0312345678/T33S=1/T33S=2@fax.example.com", "may be followed by /T33S="),
        ("0312345678/T33S=@fax.example.com", "may be followed by /T33S="),
        ("0312345678/T33S=-@fax.example.com", "has 1 to 20 digits"),
        ("0312345678/T33S=" + "1" * 21 + "@fax.example.com", "has 1 to 20 digits"),
        ("0312345678", "write NUMBER@DOMAIN"),
        ("@fax.example.com", "This is not a fax number"),
        ("0312345678@", "The domain of this address is not a domain name."),
        ("0312345678@[127.0.0.1]", "The domain of this address is not a domain name."),
        ("0312345678@fax_example", "The domain of this address is not a domain name."),
        ("1" * 250 + "@a.example", "write NUMBER@DOMAIN"),
    ],
)
def test_what_is_no_fax_address(text: str, sentence: str) -> None:
    """Lost otherwise: a mistyped address is dialled, or refused without a word of what to do."""
    with pytest.raises(BadFaxAddress) as refused:
        parse_address(text)
    assert sentence in refused.value.sentence


@given(number=NUMBERS, subaddress=SUBADDRESSES, domain=DOMAINS, data=st.data())
def test_case_and_separators_mean_nothing(
    number: str, subaddress: str | None, domain: str, data: st.DataObject
) -> None:
    """Lost otherwise: two spellings of one number are two destinations, and a repeat is faxed twice."""
    meant = FaxAddress(number, subaddress, domain)
    written = "".join(
        character + data.draw(st.sampled_from(["", "-", "."])) if character in string.digits else character
        for character in f"{data.draw(st.sampled_from(['', 'FAX=', 'fax=', 'Fax=']))}{number}"
    )
    suffix = f"/t33S={subaddress}" if subaddress else ""
    assert parse_address(f"{written}{suffix}@{domain.upper()}") == meant
    assert parse_address(str(meant)) == meant


@given(st.text(max_size=60), DOMAINS)
def test_nothing_but_digits_comes_out(local: str, domain: str) -> None:
    """Lost otherwise: text of a stranger reaches a SIP URI."""
    try:
        address = parse_address(f"{local}@{domain}")
    except BadFaxAddress as refused:
        assert refused.sentence.isascii()  # noqa: PT017  either way out is a property
    else:
        assert set(address.number.removeprefix("+")) <= set(string.digits)
        assert address.number.removeprefix("+")
        assert set(address.subaddress or "") <= set(string.digits)
