"""Retention: how long a number's faxes are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText, Mistakes

DAY = timedelta(days=1)


def test_a_number_has_the_sections_times_but_for_its_own(load_text: LoadText) -> None:
    """Lost otherwise: a number's faxes are erased by the times of another, or never."""
    policy = load_text("""
        retention: {documents: 30d, traces: 14d, rows: 3650d}
        numbers:
          - {number: +97231234567, deliver_to: [a@example.com], retention: {documents: 90d}}
          - {number: +97237654321, deliver_to: [b@example.com]}
    """)
    own = policy.retention_of("+97231234567")
    assert (own.documents, own.traces, own.rows) == (90 * DAY, 14 * DAY, 3650 * DAY)
    for number in ("+97237654321", "+97230000000"):
        assert policy.retention_of(number).documents == 30 * DAY


def test_nothing_is_erased_that_no_file_names(load_text: LoadText) -> None:
    """Lost otherwise: an upgrade erases faxes that nobody asked to erase."""
    kept = load_text("numbers: [{number: +97231234567, deliver_to: [a@example.com]}]").retention_of("+97231234567")
    assert (kept.documents, kept.traces, kept.rows) == (None, None, None)


def test_the_section_stands_once(mistakes: Mistakes) -> None:
    """Lost otherwise: which of two times counts depends on the names of files."""
    assert mistakes("retention: {rows: 30d}", "retention: {rows: 60d}") == [
        "b.yaml:1:12: retention: section retention already stands in a.yaml:1; keep one of the two"
    ]
