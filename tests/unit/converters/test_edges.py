"""Ends of hairlines, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from converters.edges import trimmed


def after(*picture: str, y_dpi: int = 196) -> list[str]:
    """The picture, of which ``#`` is ink, in the middle of a page of 192 pixels a row, after trimming."""
    page = np.zeros((len(picture) + 4, 192), np.bool_)
    for row, line in enumerate(picture, 2):
        page[row, 60 : 60 + len(line)] = [letter == "#" for letter in line]
    made = np.unpackbits(trimmed(np.packbits(page, axis=1), y_dpi), axis=1)
    assert made.sum() == made[2:-2, 60:132].sum()
    width = max(map(len, picture))
    return ["".join(" #"[pixel] for pixel in made[row, 60 : 60 + width]) for row in range(2, 2 + len(picture))]


def test_a_long_hairline_loses_a_pixel_at_each_end() -> None:
    """Lost otherwise: every serif costs its end twice."""
    assert after("##########") == [" ######## "]


@pytest.mark.parametrize("short", ["#", "##", "#####"])
def test_a_short_one_stays(short: str) -> None:
    """Lost otherwise: dashes and the serifs of small letters go."""
    assert after(short) == [short]


def test_a_thick_one_stays() -> None:
    """Lost otherwise: all letters become smaller."""
    assert after("##########", "##########") == ["##########"] * 2


def test_a_serif_is_trimmed_where_it_ends_and_not_at_its_stem() -> None:
    """Lost otherwise: stems are nibbled."""
    stem = "      ###      "
    assert after(stem, stem, "###############") == [stem, stem, " ############# "]


def test_ends_are_found_across_the_words_in_which_pixels_are_counted() -> None:
    """Lost otherwise: lines end differently in some columns."""
    for start in range(12):
        line = " " * start + "#" * 60
        assert after(line) == [" " * (start + 1) + "#" * 58 + " "]


def test_at_98_lines_nothing_is_trimmed() -> None:
    """Lost otherwise: letters of few rows lose what they have."""
    assert after("##########", y_dpi=98) == ["##########"]
