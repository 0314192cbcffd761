"""Numbers as trunks write them."""

from __future__ import annotations

import pytest

from transport.accounts import NumberForm, TrunkAccount
from transport.sip.numbers import dialled, read


def _trunk(form: NumberForm, region: str = "", prefix: str = "") -> TrunkAccount:
    return TrunkAccount("t", "h", form=form, region=region, prefix=prefix)


@pytest.mark.parametrize(
    ("trunk", "number", "text"),
    [
        (_trunk(NumberForm.PLUS), "+97231234567", "+97231234567"),
        (_trunk(NumberForm.DIGITS), "+97231234567", "97231234567"),
        (_trunk(NumberForm.NATIONAL, "IL"), "+97231234567", "031234567"),
        (_trunk(NumberForm.NATIONAL, "IL"), "+12025550123", "0012025550123"),
        (_trunk(NumberForm.NATIONAL, "US"), "+12025550123", "2025550123"),
        (_trunk(NumberForm.NATIONAL, "US"), "+97231234567", "01197231234567"),
        (_trunk(NumberForm.NATIONAL, "DE", "0"), "+493012345678", "003012345678"),
    ],
)
def test_a_number_is_dialled_as_the_trunk_wants_it(trunk: TrunkAccount, number: str, text: str) -> None:
    """Lost otherwise: the carrier rings a stranger, or nobody."""
    assert dialled(number, trunk) == text


@pytest.mark.parametrize(
    ("text", "region", "form", "number"),
    [
        ("+972-3-1234567", "", NumberForm.PLUS, "+97231234567"),
        ("97231234567", "", NumberForm.DIGITS, "+97231234567"),
        ("031234567", "IL", NumberForm.NATIONAL, "+97231234567"),
        ("0012025550123", "IL", NumberForm.NATIONAL, "+12025550123"),
        ("2025550123", "US", NumberForm.NATIONAL, "+12025550123"),
        ("031234567", "IL", NumberForm.DIGITS, "+97231234567"),
        ("anonymous", "US", NumberForm.NATIONAL, ""),
        ("+", "", NumberForm.PLUS, ""),
        ("+1; DROP", "", NumberForm.PLUS, ""),
        ("1" * 50, "US", NumberForm.NATIONAL, ""),
        ("٠١٢٣٤٥٦٧٨٩", "US", NumberForm.NATIONAL, ""),
    ],
)
def test_a_number_is_read_as_the_trunk_wrote_it(text: str, region: str, form: NumberForm, number: str) -> None:
    """Lost otherwise: an inbound fax finds no mailbox, or another one's."""
    assert read(text, region=region, form=form) == number
