"""Held faxes and the queue: no claim takes one, and a released one is dialled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from relay.store import holds

if TYPE_CHECKING:
    from tests.integration.stages.conftest import Stages

Build: TypeAlias = "Callable[..., Stages]"
TO = "+12025550123"
NEEDS = {"by": ["boss@example.com"], "seconds": 3600.0, "over_pages": 2}


async def test_a_held_fax_is_passed_over_and_dialled_when_it_is_approved(stages_with: Build) -> None:
    """Lost otherwise: a fax that nobody approved rings, or one that was approved never does."""
    stages = stages_with()
    (held,) = stages.submit(TO, data=b"one\ntwo\nthree", approval=NEEDS)
    (free,) = stages.submit("+12025550124", approval=NEEDS)
    async with stages.running():
        await stages.until(free, "sent")
        assert (await stages.until(held, "held")).pages == 3
        assert [request.destination for request in stages.line.requests] == ["+12025550124"]
        await stages.store.write(
            lambda c: holds.decide(c, stages.ids, held, holds.Verdict.APPROVE, by="boss@example.com", at=stages.clock())
        )
        await stages.until(held, "sent")
    assert [request.destination for request in stages.line.requests] == ["+12025550124", TO]
