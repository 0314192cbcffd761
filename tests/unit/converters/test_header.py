"""The header line of transmitted pages."""

from __future__ import annotations

import numpy as np
import pytest

from converters.document import HeaderLine
from converters.header import BAND, draw
from converters.tiff import Page

LINE = HeaderLine("2026-11-21 02:33 UTC", "Lindenhof Instruments", "+41 44 555 01 09")


def page(y_dpi: int, *, top: bool, bottom: bool) -> Page:
    """A page with ink in its middle, and at its ends if wanted."""
    height = round(297 / 25.4 * y_dpi)
    ink = np.zeros((height, 1728), np.bool_)
    ink[height // 2, 300:900] = True
    ink[0, 5] = top
    ink[-1, 1700] = bottom
    return Page(1728, height, 204, y_dpi, np.packbits(ink, axis=1).tobytes())


@pytest.mark.parametrize("y_dpi", [98, 196, 391])
@pytest.mark.parametrize(("top", "bottom", "moved"), [(False, False, False), (True, False, True), (True, True, False)])
def test_the_line_hides_nothing_that_can_be_saved(y_dpi: int, top: bool, bottom: bool, moved: bool) -> None:
    """Lost otherwise: the first line of a letter without margins disappears under the header."""
    plain = page(y_dpi, top=top, bottom=bottom)
    stamped = draw(plain, LINE, 1, 2)
    assert stamped.height == plain.height
    assert len(stamped.rows) == len(plain.rows)
    band = round(BAND / 25.4 * y_dpi) * 216
    if moved:
        assert stamped.rows[band:] == plain.rows[:-band]
    else:
        assert stamped.rows[band:] == plain.rows[band:]


def test_pages_are_numbered() -> None:
    """Lost otherwise: the reader cannot tell that a page is missing."""
    plain = page(196, top=False, bottom=False)
    assert draw(plain, LINE, 1, 2).rows != draw(plain, LINE, 2, 2).rows


@pytest.mark.parametrize("sender", ["", "x" * 500, "שלום בע״מ", "a\nb\0c", "漢字"])
def test_any_sender_can_be_drawn(sender: str) -> None:
    """Lost otherwise: a long or foreign company name stops the fax."""
    stamped = draw(page(98, top=False, bottom=False), HeaderLine("now", sender, "+1"), 1, 1)
    right = np.unpackbits(np.frombuffer(stamped.rows, np.uint8)).reshape(stamped.height, 1728)[:15, 1728 - 40 :]
    assert not right.any(), "nothing runs into the margin that machines cut off"
