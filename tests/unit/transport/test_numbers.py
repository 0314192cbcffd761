"""The documented numbers of the simulated network."""

from __future__ import annotations

from pathlib import Path

import phonenumbers

from transport.simulated import numbers
from transport.simulated.behaviours import BEHAVIOURS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "simulated.md"


def test_the_documentation_is_what_the_code_does() -> None:
    """Lost otherwise: a user dials a number of the table and meets something else."""
    assert DOCUMENT.read_text(encoding="utf-8") == numbers.page(), "write transport.simulated.numbers.page() to it"


def test_every_number_is_possible_and_every_behaviour_has_one() -> None:
    """Lost otherwise: a documented number is refused in the SMTP dialogue, or a fault cannot be tried."""
    for number in numbers.NUMBERS:
        assert phonenumbers.is_possible_number(phonenumbers.parse(number))
    assert set(numbers.NUMBERS.values()) == set(BEHAVIOURS)
    assert {one.first for one in BEHAVIOURS.values() if one.first} <= set(BEHAVIOURS)
