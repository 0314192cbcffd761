"""A sample of the kills that `make soak` does by the hundred (docs/reliability.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .kills import Campaign

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    """Lost otherwise: the promise of the product."""
    campaign = Campaign(tmp_path, numbers=40)
    try:
        verdict = campaign.run(kills=20)
    finally:
        campaign.close()
    assert verdict.faults == []
    assert verdict.kills.total() == 20
    assert verdict.states["sent"] > 0  # how many mails there is time for is the machine's affair
