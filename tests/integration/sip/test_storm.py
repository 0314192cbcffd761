"""A sample of the storm: see :mod:`.storm` for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .storm import CALLS, Mutator, storm

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_seed_makes_the_same_storm() -> None:
    """Lost otherwise: what was found once cannot be found again."""
    one, other = Mutator(7), Mutator(7)
    assert [one.sip(1) for _ in range(200)] == [other.sip(1) for _ in range(200)]
    assert [one.udptl() for _ in range(50)] == [other.udptl() for _ in range(50)]


@pytest.mark.timeout(240)
async def test_no_call_is_hurt_by_mutated_datagrams(tmp_path: Path) -> None:
    """Lost otherwise: anybody who can send packets ends faxes, fills the memory or the log."""
    report = await storm(tmp_path, 6000, seed=1, rate=1000)
    assert report.ends == {"confirmed": CALLS}, report
    assert report.arrived == {"confirmed": CALLS}, report
    assert report.lines[-1] - report.lines[0] < 40_000, report
    assert report.log_bytes < 40_000, report
