"""Which Authentication-Results prove a sender, and which numbers a fetched message is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Proof
from relay.errors import Refusal
from relay.intake.address import parse_address
from relay.intake.imap.addressing import by_subject
from relay.intake.imap.proof import TrustedResults, passed_domain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relay.intake.address import FaxAddress

PASSED = b"Authentication-Results: mx; dmarc=pass header.from=example.com\r\n"
GOOGLE = (
    "mx.google.com; dkim=pass header.i=@example.com header.s=a header.b=Zx/9+k=; spf=pass (google.com: domain of "
    "a@example.com designates 192.0.2.1 as permitted sender) smtp.mailfrom=a@example.com; dmarc=pass (p=REJECT "
    "sp=REJECT dis=NONE) header.from=example.com"
)
MICROSOFT = (
    "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=example.com; dkim=pass (signature was verified) "
    "header.d=example.com;dmarc=pass action=none header.from=example.com;compauth=pass reason=100"
)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (GOOGLE, "mx.google.com"),
        (MICROSOFT, None),
        ("MX.Example.COM 1; dmarc=pass header.from=EXAMPLE.com", "mx.example.com"),
        ('"mx.example.com"; dmarc/1=pass header.from="example.com"', "mx.example.com"),
        ("mx.example.com; dmarc = pass (a (nested) comment; dmarc=fail) header.from = example.com", "mx.example.com"),
    ],
)
def test_what_the_trusted_server_says_is_understood(field: str, name: str | None) -> None:
    """Lost otherwise: proven senders of Google, Microsoft 365 or a server of our own are refused."""
    assert passed_domain(field, name) == "example.com"


@pytest.mark.parametrize(
    "field",
    [
        "",
        "mx.example.com",
        "mx.example.com; none",
        "mx.example.com; dmarc=fail header.from=example.com",
        "mx.example.com; dmarc=pass",
        "mx.example.com; dmarc=pass header.from=",
        "mx.example.com; dmarc=passed header.from=example.com",
        "mx.example.com; spf=pass smtp.mailfrom=example.com; dkim=pass header.d=example.com",
        "other.example.com; dmarc=pass header.from=example.com",
        "mx.example.com.evil.example; dmarc=pass header.from=example.com",
        "evil.example (mx.example.com); dmarc=pass header.from=example.com",
        "mx.example.com; spf=fail (dmarc=pass header.from=example.com) smtp.mailfrom=x",
        'mx.example.com; spf=fail smtp.mailfrom="x; dmarc=pass header.from=example.com"',
        "mx.example.com; dmarc=fail header.from=example.com; dmarc=pass header.from=example.com",
        "mx.example.com; dmarc=pass header.from=example.org header.from=example.com",
        "mx.example.com; dmarc=pass header.from=example.com (open",
        'mx.example.com; dmarc=pass header.from="example.com',
        "mx.example.com; dmarc=pass header.from=exam\\ple.com",
        "mx.example.com; spf=fail smtp.mailfrom=a b c; dmarc=pass header.from=example.com",
        "mx.example.com; dmarc=pass header.from=example.com;;;!",
    ],
)
def test_what_proves_nothing(field: str) -> None:
    """Lost otherwise: a line that an attacker could shape proves the attacker."""
    assert passed_domain(field, "mx.example.com") is None


def test_a_named_field_is_not_a_nameless_one() -> None:
    """Lost otherwise: with Microsoft 365 a field of any server counts."""
    assert passed_domain(GOOGLE, None) is None


@given(st.text(alphabet=st.sampled_from('mx.exampl;=()"\\ dcrhfospa-'), max_size=80))
def test_any_field_is_read_to_its_end(text: str) -> None:
    """Lost otherwise: one header stops the poller."""
    assert passed_domain(f"mx.example.com; {text}", "mx.example.com") is None or "dmarc" in text


@pytest.mark.parametrize(
    ("head", "proven"),
    [
        (b"Authentication-Results: mx; dmarc=pass\r\n header.from=example.com\r\n", True),
        (b"Received: x\r\nAUTHENTICATION-RESULTS: mx; dmarc=pass header.from=example.com\r\n", True),
        (b"Authentication-Results: mx; dmarc=none\r\n" + PASSED, False),
        (b"X-Authentication-Results: mx; dmarc=pass header.from=example.com\r\n", False),
        (b"Authentication-Results: mx; dmarc=pass header.from=sub.example.com\r\n", False),
        (b"Authentication-Results: mx; dmarc=pass header.from=xample.com\r\n", False),
        (b"Subject: x\r\n\r\nAuthentication-Results: mx; dmarc=pass header.from=example.com\r\n", False),
        (b"Authentication-Results : mx; dmarc=pass header.from=example.com\r\n", False),
        (b"Authentication-Results: mx; dmarc=pass header.from=example.com" + b" " * 9000 + b"\r\n", False),
        (b"Subject: \xff\r\nAuthentication-Results: mx; dmarc=pass header.from=ex\xffample.com\r\n", False),
    ],
)
async def test_the_topmost_field_of_the_header_counts(tmp_path: Path, head: bytes, *, proven: bool) -> None:
    """Lost otherwise: what a sender wrote into the mail outweighs what our mail server wrote above it."""
    message = tmp_path / "message"
    message.write_bytes(head + b"From: alice@example.com\r\n\r\nbody\r\n")
    proofs = await TrustedResults("mx").proofs(message, "alice@example.com")
    assert proofs == ({Proof.DMARC} if proven else set())


@pytest.mark.parametrize(
    ("subject", "number"),
    [
        ("+12025550123", "+12025550123"),
        ("Fax: +1 (202) 555-0123", "+12025550123"),
        ("03-123.45.67 please", "031234567"),
        ("(03) 123 4567", "031234567"),
        ("0123456789 and again 0123456789", "0123456789"),
    ],
)
def test_a_subject_names_its_number(subject: str, number: str) -> None:
    """Lost otherwise: a fax goes to a number that nobody wrote."""
    assert by_subject(subject, "fax.example.com", checked).recipients[0].number == number


@pytest.mark.parametrize(
    "subject", ["", "hello", "12", "order A0123456789", "0123456789, 0123456780", "Invoice 12 to 0123456789"]
)
def test_a_subject_that_names_no_one_number_is_refused(subject: str) -> None:
    """Lost otherwise: an order number is dialled."""
    with pytest.raises(Refusal):
        by_subject(subject, "fax.example.com", checked)


def checked(text: str, _others: Sequence[FaxAddress]) -> FaxAddress:
    """Stand in for the desk."""
    return parse_address(text)
