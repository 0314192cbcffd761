"""A desk with callbacks: real rows, a policy of endpoints, a real client, and a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.ids import IdSource

from .desk import CallbackDesk


@pytest.fixture
def desk(tmp_path: Path, ids: IdSource) -> Iterator[CallbackDesk]:
    """A desk on an empty store."""
    made = CallbackDesk(tmp_path, ids)
    yield made
    made.store.close()
