"""Addresses for reports on mails of ours: what is read back is what was made, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.reports import ReportAddresses

OURS = ReportAddresses(b"k" * 32, "fax.example.com")
DELIVERIES = st.integers(1, 10**19 - 1)


@given(DELIVERIES)
def test_an_address_is_of_its_delivery_in_any_case_of_letters(delivery: int) -> None:
    """Lost otherwise: a server that changes the case of addresses makes its reports void; or they are too long."""
    made = OURS.of(delivery)
    assert len(made.partition("@")[0]) <= 64
    for written in (made, made.upper(), made.title()):
        assert OURS.read(written) == delivery


@given(DELIVERIES, st.integers(0, 58), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567-+.0189ä"))
def test_no_letter_of_an_address_can_be_changed(delivery: int, place: int, letter: str) -> None:
    """Lost otherwise: anybody can have any mail told as opened, or as returned."""
    made = OURS.of(delivery)
    local, _, domain = made.partition("@")
    place %= len(local)
    other = local[:place] + letter + local[place + 1 :]
    if other != local:
        assert OURS.read(f"{other}@{domain}") is None


def test_an_address_of_another_relay_or_domain_is_none_of_ours() -> None:
    """Lost otherwise: who runs a relay of the same kind can report on our mails."""
    assert OURS.read(ReportAddresses(b"x" * 32, "fax.example.com").of(7)) is None
    assert OURS.read(OURS.of(7).replace("fax.example.com", "fax.example.net")) is None
    for text in ("", "@", "report-@fax.example.com", "report-7-@fax.example.com", f"report-7-{'a' * 100_000}", "\0"):
        assert OURS.read(text) is None
