"""Hours of sending on the way of a fax: what comes outside waits, and what did not get out in time waits again."""

from __future__ import annotations

from collections.abc import Callable

from policies import Hours, Window, next_opening
from relay import hours
from relay.store import faxes
from relay.testing import ScriptedLine
from transport.seam import CallResult, Cause

from .conftest import Stages

Build = Callable[..., Stages]
TO = "+12025550123"
#: The stages' clock stands at Monday 14:13 UTC.
LATER = Hours("UTC", (Window(frozenset(range(7)), 15 * 60, 16 * 60),))


async def test_a_fax_that_comes_outside_the_hours_waits_for_them(stages_with: Build) -> None:
    """Lost otherwise: the far office's telephone rings in the night."""
    stages = stages_with()
    opens = next_opening(LATER, stages.clock.now)
    (fax_id,) = stages.submit(TO, hours=hours.as_settings(LATER))
    async with stages.running():
        row = await stages.until(fax_id, "queued")
        assert row.not_before == opens
        assert "it waits for the hours of sending, until Monday 2026-09-21 15:00 (UTC)" in row.reason
        stages.clock.now = opens - 5
        assert stages.line.requests == []
        await stages.until(fax_id, "sent")
    assert stages.clock.now >= opens
    kinds = {event.kind: event for event in await stages.store.read(faxes.history, fax_id)}
    assert kinds["fax.queued"].detail["waits_until"] == opens


async def test_a_retry_that_is_due_after_closing_waits_for_the_next_opening(stages_with: Build) -> None:
    """Lost otherwise: the first call respects the hours and the second does not."""
    busy = CallResult("", Cause.BUSY, 0, last_page_offered=False, simulated=True)
    stages = stages_with(ScriptedLine({TO: [busy]}))
    closing = Hours("UTC", (Window(frozenset(range(7)), 14 * 60, 14 * 60 + 30),))
    rule = {"retries": 1, "delay": 1800.0}
    (fax_id,) = stages.submit(TO, hours=hours.as_settings(closing), retries=rule)
    async with stages.running():
        await stages.until(fax_id, "dialing", "queued")
        while (row := await stages.until(fax_id, "queued")).attempts == 0:
            pass
    assert row.not_before == next_opening(closing, stages.clock.now + 1800)
    assert row.reason.startswith("the number was busy; call 2 of 2 follows; it waits for the hours of sending")


async def test_a_fax_that_found_no_channel_before_closing_waits_for_the_next_opening(stages_with: Build) -> None:
    """Lost otherwise: a long queue is worked off into the night."""
    stages = stages_with()
    closing = Hours("UTC", (Window(frozenset(range(7)), 14 * 60, 14 * 60 + 30),))
    made = stages.submit(TO, "+12025550124", hours=hours.as_settings(closing))
    while await stages.preparing.step():
        pass
    stages.clock.now += 3600
    assert await stages.dialling._next() is None
    for fax_id in made:
        row = await stages.store.read(faxes.get, fax_id)
        assert row.not_before == next_opening(closing, stages.clock.now)
        assert (await stages.store.read(faxes.history, fax_id))[-1].kind == "fax.waiting"
    stages.clock.now = next_opening(closing, stages.clock.now)
    assert await stages.dialling._next() is not None
