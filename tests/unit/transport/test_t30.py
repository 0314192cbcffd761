"""T.30 words: frames of machines that may be hostile, idents, speeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.t30 import (
    LAST_PAGE,
    Agreed,
    Modem,
    agreed_in,
    command_of,
    describe,
    frame_of,
    ident_problem,
    is_image,
    modems_up_to,
    printable,
    takes_fine,
)


@pytest.mark.parametrize(
    ("frame", "offers"),
    [
        ("ff132e", True), ("ff132f", True), ("ff133f", True),  # EOP with either X bit, PRI-EOP
        ("ff13bf2f01000d", True), ("ff13be2e01000d", True),  # PPS-EOP
        ("ff13ce2e", True),  # EOR-EOP: the rest of the last page will not be sent again
        ("ff134f", False), ("ff138f", False), ("ff13bf4f00000d", False),  # MPS, EOM, PPS-MPS
        ("ff13bf000000ff", False),  # PPS-NULL
        ("ff138c", False), ("ff13", False), ("", False), ("ff13bf", False),
    ],
)  # fmt: skip
def test_every_form_of_the_last_pages_offer_is_known(frame: str, offers: bool) -> None:
    """Lost otherwise: a crash after the last page's offer is taken for a call that can be repeated: two faxes."""
    assert (command_of(bytes.fromhex(frame)) in LAST_PAGE) == offers


@pytest.mark.parametrize(
    ("frame", "agreed"),
    [
        ("ff13830062f844", Agreed("V.17", 14400, ecm=True)),
        ("ff138300e278", Agreed("V.17", 14400, ecm=False)),
        ("ff138c", None),
        ("ff1383", None),
    ],
)
def test_a_dcs_tells_what_was_agreed(frame: str, agreed: Agreed | None) -> None:
    """Lost otherwise: the receipt shows a speed that the call never had."""
    assert agreed_in(bytes.fromhex(frame)) == agreed


@given(st.binary(max_size=300))
def test_no_frame_raises(frame: bytes) -> None:
    """Lost otherwise: a far machine's odd frame ends the call."""
    frame_of(frame), command_of(frame), agreed_in(frame)


def test_idents_are_checked_before_the_library_refuses_them() -> None:
    """Lost otherwise: a call goes out without the sender's number, which is the law in some countries."""
    assert ident_problem("+1 202 555 0100") is None
    assert "longer than 20" in (ident_problem("1" * 21) or "")
    assert "digits" in (ident_problem("ACME") or "")


@given(st.binary(max_size=64))
def test_a_far_ident_is_safe_to_show(ident: bytes) -> None:
    """Lost otherwise: a far machine writes control characters into a mail's subject or a terminal."""
    shown = printable(ident)
    assert shown.isascii()
    assert shown == "" or shown.isprintable()
    assert len(shown) <= 20


@pytest.mark.parametrize(
    ("rate", "modems"),
    [
        (14400, Modem.ALL),
        (33600, Modem.ALL),
        (12000, Modem.V29 | Modem.V27TER),
        (9600, Modem.V29 | Modem.V27TER),
        (4800, Modem.V27TER),
    ],
)
def test_a_highest_speed_is_kept(rate: int, modems: Modem) -> None:
    """Lost otherwise: a policy that slows calls to a bad line has no effect."""
    assert modems_up_to(rate) == modems


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("ff138000eef8c48080800100", "DIS V.17 fine MR ECM MMR"),
        ("ff1380 00ce", "DIS V.29 fine MR"),
        ("ff1381 0004", "DTC V.29"),
        ("ff13830062f844", "DCS 14400 V.17 fine ECM MMR"),
        ("ff138300", "DCS"),
        ("ff0343312b202020", 'TSI "+1"'),
        ("ff0340 221b5c0a", 'CSI "?\\?""'),
        ("ff1384", "CFR"),
        ("ff13bf4f010005", "PPS-MPS page 1 block 0 frames 6"),
        ("ff13bf000000ff", "PPS-NULL page 0 block 0 frames 256"),
        ("ff13ce2e", "EOR-EOP"),
        ("ff133f", "PRI-EOP"),
        ("ff136e", "RR"),
        ("ff1398", "frame 98"),
        ("ff", "a frame without a field"),
    ],
)
def test_frames_are_told_by_name(frame: str, words: str) -> None:
    """Lost otherwise: who reads a call's trace has to know the bits of T.30 by heart."""
    assert describe(bytes.fromhex(frame)) == words


@given(st.binary(max_size=60))
def test_any_frame_has_a_printable_line(frame: bytes) -> None:
    """Lost otherwise: a hostile far machine ends its call's trace, or writes control characters into it."""
    line = describe(frame)
    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize(
    ("frame", "fine"),
    [("ff138000eef8", True), ("ff1380008ef8", False), ("ff138000", None), ("ff13830062f8", None), ("", None)],
)
def test_a_machine_that_takes_standard_pages_only_is_known(frame: str, fine: bool | None) -> None:
    """Lost otherwise: a fine page is sent again and again to a machine that cannot take it."""
    assert takes_fine(bytes.fromhex(frame)) is fine


def test_pieces_of_a_page_are_no_words_of_the_procedure() -> None:
    """Lost otherwise: a page of five minutes fills the trace, and what matters is cut off."""
    assert [is_image(bytes.fromhex(frame)) for frame in ("ff0306004f", "ff0386", "ff138c", "")] == [
        True, True, False, False,
    ]  # fmt: skip
