"""A sample of the hostile documents (tests/hostile; all in ``make soak``): each is refused or faxed, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from ...hostile.run import ALL, Range, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = [name for name, sample in ALL.items() if sample.quick]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grounds() -> AsyncIterator[Range]:
    """One range for all of them."""
    async with opened() as made:
        yield made


@pytest.mark.parametrize("name", QUICK)
async def test_a_hostile_document_does_no_harm(grounds: Range, name: str) -> None:
    """Lost otherwise: somebody's mail reads the relay's files, reaches into its network, or stops it."""
    hit = await grounds.shoot(ALL[name])
    assert hit.harmless, hit


async def test_there_are_enough_of_them() -> None:
    """Lost otherwise: a kind of attack falls out of the proof and nobody notices."""
    assert len(ALL) >= 120
