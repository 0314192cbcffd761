"""Whole relays for the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .service import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    """A running relay on its embedded default."""
    running = Relay(tmp_path)
    running.start()
    yield running
    running.stop()
