"""The desk of the mail tests, whose faxes the pages show and act on, on a store of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.ids import IdSource
from relay.store.engine import Store

from ..mailer.desk import Desk
from .browser import Browser


@pytest.fixture
def desk(tmp_path: Path, ids: IdSource, store: Store) -> Desk:
    """A desk on an empty store."""
    return Desk(tmp_path, ids, store)


@pytest.fixture
def web(desk: Desk) -> Browser:
    """A browser on the desk's pages."""
    return Browser(desk)
