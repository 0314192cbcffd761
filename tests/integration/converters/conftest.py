"""The converters behind a real sandbox, one for all tests of a file: as the service runs them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from converters import Converter
from relay.confine import Confinement, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def confinement() -> AsyncIterator[Confinement]:
    """Bubblewrap with the converters' worker preloaded; missing, a skip on a laptop and a failure in CI."""
    if shutil.which("bwrap") is None:
        message = "bubblewrap is not installed; `make setup` installs it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    started = Confinement(Sandbox.BUBBLEWRAP, preload=["converters.worker"])
    yield started
    await started.close()


@pytest.fixture
def converter(confinement: Confinement) -> Converter:
    """A converter with the allowance of the product."""
    return Converter(confinement)


@pytest.fixture
def documents() -> Path:
    """The folder of sample documents."""
    return Path(__file__).parents[2] / "data" / "documents"
