"""The desk that the tests of mail out work at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.ids import IdSource

from .desk import Desk


@pytest.fixture
def desk(tmp_path: Path, ids: IdSource) -> Iterator[Desk]:
    """A desk on an empty store."""
    made = Desk(tmp_path, ids)
    yield made
    made.store.close()
