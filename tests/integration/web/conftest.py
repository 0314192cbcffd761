"""The desk of the mail tests, whose faxes the pages show and act on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.ids import IdSource

from ..mailer.desk import Desk  # noqa: TID252  the tests are no package that has a name of its own


@pytest.fixture
def desk(tmp_path: Path, ids: IdSource) -> Iterator[Desk]:
    """A desk on an empty store."""
    made = Desk(tmp_path, ids)
    yield made
    made.store.close()
