"""Another way for a call that failed: the next trunk, the next rung, coarser pages; what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import sqlalchemy as sa

from relay.store import traces
from relay.store.tables import attempt
from relay.testing import ScriptedLine, confirmed
from transport.seam import CallResult, Cause, Evidence, T38Mode, TraceEntry

from .conftest import Stages

Build = Callable[..., Stages]
TO = "+12025550123"


class TwoTrunks(ScriptedLine):
    """A line with two trunks and a device; ``down``: how calls end on a trunk, by its name."""

    def __init__(self, down: Mapping[str, CallResult]) -> None:
        super().__init__()
        self.channels = {"first": 1, "second": 1, "device:lobby": 1}
        self._down = down

    async def send(self, request: object, on_event: object) -> CallResult:
        """End as the trunk does."""
        result = await super().send(request, on_event)  # type: ignore[arg-type]  # passed through
        return replace(self._down.get(request.trunk, result), call=result.call)  # type: ignore[attr-defined]


def ended(cause: Cause, *, alerted: bool = False, code: int | None = None) -> CallResult:
    """Return how a call ended."""
    return CallResult("", cause, 0, last_page_offered=False, simulated=True, alerted=alerted, t30_code=code)


async def trunks_tried(stages: Stages, fax_id: int) -> list[str]:
    """Return the trunks of a fax's attempts, in order."""
    query = sa.select(attempt.c.trunk).where(attempt.c.fax_id == fax_id).order_by(attempt.c.ordinal)
    return await stages.store.read(lambda c: list(c.execute(query).scalars()))


async def test_a_dead_trunk_costs_no_retry(stages_with: Build) -> None:
    """Lost otherwise: one carrier's outage uses up the faxes' retries while the other carrier stands idle."""
    stages = stages_with(TwoTrunks({"first": ended(Cause.TRUNK_DOWN)}))
    (fax_id,) = stages.submit(TO, trunks=["first", "second"])
    async with stages.running():
        row = await stages.until(fax_id, "sent")
    assert await trunks_tried(stages, fax_id) == ["first", "second"]
    assert (row.attempts, row.free_attempts) == (2, 1)


async def test_when_every_trunk_is_dead_the_retries_begin_again_with_the_first(stages_with: Build) -> None:
    """Lost otherwise: after a short outage of all carriers, faxes fail at once or never try the first carrier again."""
    down = ended(Cause.TRUNK_DOWN)
    stages = stages_with(TwoTrunks({"first": down, "second": down}))
    (fax_id,) = stages.submit(TO, trunks=["first", "second"])
    async with stages.running():
        row = await stages.until(fax_id, "failed")
    assert await trunks_tried(stages, fax_id) == ["first", "second"] * 4
    assert row.free_attempts == 4
    assert row.reason.endswith("all 4 calls made")


async def test_a_call_that_had_rung_is_no_trunks_fault(stages_with: Build) -> None:
    """Lost otherwise: a machine that drops calls is rung once more for each trunk there is."""
    stages = stages_with(TwoTrunks({"first": ended(Cause.TRUNK_DOWN, alerted=True)}))
    (fax_id,) = stages.submit(TO, trunks=["first", "second"])
    async with stages.running():
        row = await stages.until(fax_id, "failed")
    assert await trunks_tried(stages, fax_id) == ["first"] * 4
    assert row.free_attempts == 0


async def test_a_full_trunk_does_not_hold_up_faxes_of_another(stages_with: Build) -> None:
    """Lost otherwise: a hundred faxes that wait for one carrier's channel stop those that another would carry."""
    stages = stages_with(TwoTrunks({}))
    stages.line.gate.clear()
    stages.submit("+12025550101", "+12025550102", trunks=["first"])
    other = stages.submit("+12025550103", trunks=["second"])
    device = stages.submit("+12025550104", trunks=["device:lobby"])
    async with stages.running():
        await stages.until(other[0], "dialing")
        await stages.until(device[0], "dialing")
        stages.line.gate.set()
        await stages.until(other[0], "sent")
    routes = [(request.destination, request.trunk) for request in stages.line.requests]
    assert ("+12025550103", "second") in routes
    assert ("+12025550104", "device:lobby") in routes


async def test_a_fax_without_a_route_never_rings_a_device(stages_with: Build) -> None:
    """Lost otherwise: somebody's fax for a customer comes out of the machine in the lobby."""
    line = TwoTrunks({})
    line.channels = {"device:lobby": 1, "second": 1}
    stages = stages_with(line)
    made = stages.submit("+12025550101", "+12025550102")
    async with stages.running():
        for fax_id in made:
            await stages.until(fax_id, "sent")
    assert {request.trunk for request in line.requests} == {"second"}


async def test_each_retry_takes_the_next_rung(stages_with: Build) -> None:
    """Lost otherwise: a gateway that breaks T.38 breaks the same call four times."""
    stages = stages_with(ScriptedLine({TO: [ended(Cause.LOST_CALL)] * 3 + [confirmed(2)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        await stages.until(fax_id, "sent")
    made = [(asked.t38, asked.max_rate, asked.ecm) for asked in stages.line.requests]
    assert made == [
        (T38Mode.AUTO, 14400, True), (T38Mode.AUTO, 9600, True), (T38Mode.NEVER, 14400, True),
        (T38Mode.NEVER, 9600, False),
    ]  # fmt: skip
    (again,) = stages.submit(TO)
    async with stages.running():
        await stages.until(again, "sent")
    last = stages.line.requests[-1]
    assert (last.t38, last.max_rate, last.ecm) == (T38Mode.NEVER, 9600, False), "what worked is tried first"


@pytest.mark.parametrize("cause", [Cause.BUSY, Cause.NO_ANSWER, Cause.TRUNK_DOWN])
async def test_a_busy_number_says_nothing_of_the_way(stages_with: Build, cause: Cause) -> None:
    """Lost otherwise: a machine that was busy three times is called slowly and without error correction."""
    stages = stages_with(ScriptedLine({TO: [ended(cause)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        await stages.until(fax_id, "failed")
    assert {(asked.t38, asked.max_rate) for asked in stages.line.requests} == {(T38Mode.AUTO, 14400)}


async def test_a_machine_of_standard_resolution_gets_its_pages_without_a_retry(stages_with: Build) -> None:
    """Lost otherwise: old machines, of which there are many, never get a fax from us."""
    stages = stages_with(ScriptedLine({TO: [ended(Cause.DOCUMENT, alerted=True, code=11), confirmed(2)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(fax_id, "sent")
    assert (row.attempts, row.free_attempts) == (2, 1)
    assert [rendering.resolution.value for _, rendering in stages.converter.made] == ["fine", "standard"]
    (again,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(again, "sent")
    assert row.attempts == 1, "it is remembered"
    assert stages.converter.made[-1][1].resolution.value == "standard"


async def test_a_machine_that_takes_no_resolution_at_all_is_not_rung_for_ever(stages_with: Build) -> None:
    """Lost otherwise: a broken machine is rung again and again, since each call is free."""
    stages = stages_with(ScriptedLine({TO: [ended(Cause.DOCUMENT, alerted=True, code=11)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(fax_id, "failed")
    assert row.attempts == 2


async def test_a_cancelled_fax_is_not_prepared_again(stages_with: Build) -> None:
    """Lost otherwise: a fax that its sender took back leaves after all, in standard resolution."""
    stages = stages_with(ScriptedLine({TO: [ended(Cause.DOCUMENT, alerted=True, code=11)]}))
    (fax_id,) = stages.submit(TO)
    stages.line.gate.clear()
    async with stages.running():
        await stages.until(fax_id, "dialing")
        await stages.store.write(
            lambda c: c.execute(sa.text("UPDATE fax SET cancel_requested = 1 WHERE id = :id"), {"id": fax_id})
        )
        stages.line.gate.set()
        await stages.until(fax_id, "cancelled")


async def test_the_trace_of_a_call_is_kept_with_the_fax(stages_with: Build) -> None:
    """Lost otherwise: the journal goes with the call, and nobody can see any more what was said on the wire."""
    stages = stages_with()
    entry = TraceEntry(0.5, ">", "sip", "INVITE sip:+12025550123@carrier.example")
    stages.line.proofs[""] = Evidence(
        readable=True, complete=True, last_page_offered=True, pages_confirmed=2, result=None, trace=(entry,)
    )
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        await stages.until(fax_id, "sent")
    (kept,) = await stages.store.read(traces.of_fax, fax_id)
    assert (kept.attempt, kept.entries) == (1, [[0.5, ">", "sip", "INVITE sip:+12025550123@carrier.example"]])
    assert await stages.store.write(traces.drop, stages.clock() + 1) == 1


async def test_a_full_line_spends_nothing_and_is_no_call(stages_with: Build) -> None:
    """Lost otherwise: while the lines are busy with received faxes, faxes fail for want of a telephone line."""
    full = replace(ended(Cause.TRUNK_DOWN), line_full=True)
    stages = stages_with(ScriptedLine({TO: [full] * 6 + [confirmed(2)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(fax_id, "sent", seconds=20)
    assert (row.attempts, row.free_attempts) == (1, 0)
    assert len(await trunks_tried(stages, fax_id)) == 1
