"""A line of real SIP for each test, with sipp and Kamailio on the same machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ...conftest import need
from .office import SipOffice, sip_office

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[SipOffice]:
    """A line without trunks yet."""
    need("sipp")
    async with sip_office(tmp_path) as opened:
        yield opened


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[SipOffice]:
    """A line that lets a number ring for two seconds."""
    need("sipp")
    async with sip_office(tmp_path, ring_seconds=2.0) as opened:
        yield opened
