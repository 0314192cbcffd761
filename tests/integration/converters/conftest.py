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
from relay.office import Office, missing

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """LibreOffice as the service starts it, one spare standing ready; missing, as above."""
    if missing():
        message = f"LibreOffice is not installed: apt-get install {missing()}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    started = Office(Sandbox.BUBBLEWRAP, tmp_path_factory.mktemp("office"), spares=1)
    yield started
    await started.close()


@pytest.fixture
def office_converter(confinement: Confinement, office: Office) -> Converter:
    """A converter that opens Office documents, too."""
    return Converter(confinement, office=office)


@pytest.fixture
def formats() -> Path:
    """The folder of sample files of every format."""
    return Path(__file__).parents[2] / "data" / "formats"


@pytest.fixture
def converter(confinement: Confinement) -> Converter:
    """A converter with the allowance of the product."""
    return Converter(confinement)


@pytest.fixture
def documents() -> Path:
    """The folder of sample documents."""
    return Path(__file__).parents[2] / "data" / "documents"
