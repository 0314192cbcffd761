"""Where a page goes."""

from __future__ import annotations

import numpy as np
import pytest

from converters.document import Paper
from converters.errors import Reason, Refused
from converters.page import lay, place_page, place_picture


def test_a4_keeps_its_size() -> None:
    """Lost otherwise: everything arrives a little too large or too small, and forms no longer match."""
    placed = place_page(210, 297, 196, Paper.A4)
    assert (placed.width, placed.height, placed.pieces, placed.turned) == (1687, 2292, 1, False)
    assert placed.left == (1728 - 1687) // 2


def test_letter_keeps_its_eleven_inches() -> None:
    """Lost otherwise: every American page is shrunk for four tenths of a percent of width."""
    placed = place_page(215.9, 279.4, 196, Paper.LETTER)
    assert (placed.width, placed.height) == (1728, 11 * 196)


@pytest.mark.parametrize(("width", "height"), [(297, 210), (254, 143), (420, 297)])
def test_landscape_is_turned(width: float, height: float) -> None:
    """Lost otherwise: slides and wide tables are shrunk until nobody can read them."""
    placed = place_page(width, height, 196, Paper.A4)
    assert placed.turned
    assert placed.height > placed.width * 0.9


def test_a_small_page_stays_small() -> None:
    """Lost otherwise: a till receipt costs a whole page of line time and is printed as a poster."""
    placed = place_page(80, 150, 196, Paper.A4)
    assert not placed.turned
    assert (placed.width, placed.length) == (round(80 / 25.4 * 204), round(150 / 25.4 * 196))


def test_a_long_page_is_cut_and_nothing_is_lost() -> None:
    """Lost otherwise: the end of a long web page is missing, or a machine stops at half a metre of paper."""
    placed = place_page(210, 1000, 98, Paper.A4)
    assert placed.pieces == 4
    drawn = np.arange(placed.height, dtype=np.int64)[:, None].repeat(placed.width, 1).astype(np.uint8)
    sheets = list(lay(drawn, placed))
    assert {sheet.shape for sheet in sheets} == {(placed.length, 1728)}
    columns = np.concatenate([sheet[:, placed.left] for sheet in sheets])[: placed.height]
    assert np.array_equal(columns, drawn[:, 0])


@pytest.mark.parametrize(
    ("width", "height"), [(0, 297), (float("nan"), 100), (210, float("inf")), (0.4, 500_000), (5, 9e5)]
)
def test_absurd_pages_are_refused(width: float, height: float) -> None:
    """Lost otherwise: a page box of a kilometre is drawn until the memory is gone."""
    with pytest.raises(Refused) as refusal:
        place_page(width, height, 196, Paper.A4)
    assert refusal.value.reason is Reason.TOO_LARGE


def test_a_picture_is_fitted_and_never_enlarged() -> None:
    """Lost otherwise: a small logo becomes a page of squares."""
    small = place_picture(40, 30, 196, Paper.A4)
    assert small.width == round(40 / 25.4 * 204)
    assert small.length == 2292
    large = place_picture(500, 680, 196, Paper.A4)
    assert large.width <= round((210 - 16) / 25.4 * 204)
    assert large.height <= large.length - 2 * large.top


def test_a_scan_of_a_page_fills_the_page() -> None:
    """Lost otherwise: scanned letters shrink inside a second margin."""
    placed = place_picture(210, 297, 196, Paper.A4)
    assert (placed.width, placed.height, placed.length) == (1687, 2292, 2292)


def test_a_screenshot_of_a_conversation_is_cut() -> None:
    """Lost otherwise: a long screenshot is shrunk to a strip that nobody can read."""
    placed = place_picture(180, 1200, 196, Paper.A4)
    assert placed.width == round(180 / 25.4 * 204)
    assert placed.pieces == 5
