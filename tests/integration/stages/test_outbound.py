"""Outbound: from an accepted submission to its end, whatever the document and the line do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from converters import Broken, Reason, Refused
from relay.outbound.recovery import recover
from relay.store import faxes
from relay.store.tables import attempt, channel, document
from relay.testing import PlainConverter, ScriptedLine, confirmed
from transport.messages import decode
from transport.seam import CallResult, Cause, Evidence, LineDown

from .conftest import OWNER, Stages

Build = Callable[..., Stages]
TO = "+12025550123"


def ended(cause: Cause, pages: int = 0, *, offered: bool = False) -> CallResult:
    """Return a call's result."""
    return CallResult("", cause, pages, last_page_offered=offered, simulated=True)


async def test_a_submission_becomes_a_sent_fax_with_its_history(stages_with: Build) -> None:
    """Lost otherwise: the main job."""
    stages = stages_with()
    (fax_id,) = stages.submit(TO, ident="+972 3 1234567", header="Office A")
    async with stages.running():
        row = await stages.until(fax_id, "sent")
    assert (row.pages, row.pages_confirmed, row.attempts) == (2, 2, 1)
    kinds = [event.kind for event in await stages.store.read(faxes.history, fax_id)]
    assert kinds == [
        "fax.accepted", "fax.preparing", "fax.queued", "fax.dialing", "fax.ringing", "fax.answered", "fax.negotiated",
        "fax.page_confirmed", "fax.page_confirmed", "fax.sent",
    ]  # fmt: skip
    request = stages.line.requests[0]
    assert (request.destination, request.caller, request.ident) == (TO, "+97231234567", "+972 3 1234567")
    assert request.document.read_bytes().endswith(b"|Office A|+12025550123|page one\npage two")
    assert stages.line.forgotten == [request.call]


async def test_what_was_transmitted_is_kept_and_named(stages_with: Build) -> None:
    """Lost otherwise: nobody can show what the far machine was sent."""
    stages = stages_with()
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        await stages.until(fax_id, "sent")
    row = await stages.store.read(lambda c: c.execute(sa.select(attempt)).one())
    assert stages.blobs.read(row.transmitted) == stages.line.requests[0].document.read_bytes()
    assert row.transmitted_size == len(stages.blobs.read(row.transmitted))
    assert decode(CallResult, row.result).cause is Cause.CONFIRMED


async def test_a_hundred_recipients_convert_once(stages_with: Build) -> None:
    """Lost otherwise: a mailing takes a hundred times the processor."""
    stages = stages_with()
    made = stages.submit(*(f"+1202555{index:04d}" for index in range(100)))
    async with stages.running():
        for fax_id in made:
            await stages.until(fax_id, "sent", seconds=30)
    assert len(stages.converter.made) == 1


@pytest.mark.parametrize(
    "cause",
    [Cause.BUSY, Cause.NO_ANSWER, Cause.NOT_FAX, Cause.TRAINING, Cause.PAGE_FAILED, Cause.LOST_CALL, Cause.TRUNK_DOWN],
)
async def test_a_call_that_fails_is_made_again_up_to_three_times(stages_with: Build, cause: Cause) -> None:
    """Lost otherwise: a busy machine loses the fax, or is rung for ever."""
    stages = stages_with(ScriptedLine({TO: [ended(cause)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(fax_id, "failed")
    assert row.attempts == 4
    assert row.reason.endswith("all 4 calls made")
    causes = await stages.store.read(lambda c: list(c.execute(sa.select(attempt.c.cause)).scalars()))
    assert causes == [cause.value] * 4


async def test_a_retry_that_works_is_sent(stages_with: Build) -> None:
    """Lost otherwise: the second call's success is forgotten over the first one's failure."""
    stages = stages_with(ScriptedLine({TO: [ended(Cause.LOST_CALL, 1), confirmed(2)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(fax_id, "sent")
    assert (row.attempts, row.pages_confirmed) == (2, 2)


async def test_a_last_page_without_confirmation_is_uncertain_and_never_dialled_again(stages_with: Build) -> None:
    """Lost otherwise: the far machine prints the fax twice, or its sender is told that it failed."""
    stages = stages_with(ScriptedLine({TO: [ended(Cause.LOST_CALL, 1, offered=True)]}))
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(fax_id, "uncertain")
        stages.clock.now += 100_000
        await asyncio.sleep(0.1)
    assert row.pages_confirmed == 1
    assert len(stages.line.requests) == 1


async def test_a_refused_document_fails_every_recipient_with_its_sentence(stages_with: Build) -> None:
    """Lost otherwise: a password-protected PDF waits for ever and its sender hears nothing."""
    converter = PlainConverter({b"locked": Refused(Reason.ENCRYPTED, "a.pdf")})
    stages = stages_with(converter=converter)
    one, two = stages.submit(TO, "+12025550124", data=b"locked")
    async with stages.running():
        assert "password" in (await stages.until(one, "failed")).reason
        await stages.until(two, "failed")
    assert stages.line.requests == []


async def test_a_fault_of_the_converter_is_tried_three_times(stages_with: Build) -> None:
    """Lost otherwise: one out-of-memory kill loses a fax, or a document that kills its worker does so for ever."""
    stages = stages_with(converter=PlainConverter(raises=[Broken("x"), Broken("x")]))
    (survives,) = stages.submit(TO)
    async with stages.running():
        await stages.until(survives, "sent")
    again = stages_with(converter=PlainConverter(raises=[Broken("x")] * 3))
    again.clock.now = stages.clock.now
    (fails,) = again.submit(TO, data=b"other")
    async with again.running():
        assert "could not be converted" in (await again.until(fails, "failed")).reason


async def test_cancelling_hangs_up_a_call(stages_with: Build) -> None:
    """Lost otherwise: a fax to the wrong number cannot be stopped once it rings."""
    stages = stages_with()
    stages.line.gate.clear()
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        await stages.until(fax_id, "dialing")
        while not stages.line.requests:
            await asyncio.sleep(0.01)
        await stages.store.write(
            lambda c: faxes.request_cancel(c, stages.ids, fax_id, at=stages.clock(), who="a person")
        )
        row = await stages.until(fax_id, "cancelled")
    assert set(stages.line.cancelled) == {stages.line.requests[0].call}
    assert row.reason == "cancelled with 0 of 2 pages confirmed"
    assert await stages.store.read(lambda c: c.execute(sa.select(sa.func.count(channel.c.fax_id))).scalar()) == 0


@pytest.mark.parametrize(
    ("confirmed_pages", "offered", "readable", "expected"),
    [(0, False, True, "queued"), (1, True, True, "uncertain"), (2, True, True, "sent"), (0, True, False, "uncertain")],
)
async def test_after_a_crash_the_journal_decides(
    stages_with: Build,
    confirmed_pages: int,
    offered: bool,
    readable: bool,
    expected: str,
) -> None:
    """Lost otherwise: a crash in a call sends the document twice, or reports what nobody confirmed."""
    stages = stages_with()
    stages.line.gate.clear()
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        await stages.until(fax_id, "dialing")
        while not stages.line.requests:
            await asyncio.sleep(0.01)
    heir = stages_with(ScriptedLine())
    heir.line.proofs[""] = Evidence(
        readable=readable, complete=False, last_page_offered=offered, pages_confirmed=confirmed_pages, result=None
    )
    heir.clock.now = stages.clock.now
    assert await recover(heir.store, heir.line, heir.conclusion, "another node") == 0
    assert await recover(heir.store, heir.line, heir.conclusion, OWNER) == 1
    assert (await heir.store.read(faxes.get, fax_id)).state == expected
    assert await heir.store.read(lambda c: c.execute(sa.select(sa.func.count(channel.c.fax_id))).scalar()) == 0


async def test_the_death_of_the_line_is_settled_by_the_journal(stages_with: Build) -> None:
    """Lost otherwise: a line that dies takes its calls' truth along."""
    line = ScriptedLine({TO: [LineDown, confirmed(2)]})
    stages = stages_with(line)
    (fax_id,) = stages.submit(TO)
    async with stages.running():
        row = await stages.until(fax_id, "sent")
    assert row.attempts == 2
    first = await stages.store.read(lambda c: c.execute(sa.select(attempt).where(attempt.c.ordinal == 1)).one())
    assert first.cause == "local"


async def test_documents_that_a_dead_worker_held_are_made_by_the_next(stages_with: Build) -> None:
    """Lost otherwise: a crash while converting leaves a fax 'preparing' for ever."""
    stages = stages_with()
    (fax_id,) = stages.submit(TO)
    claim = await stages.store.write(stages.preparing._claim)
    assert claim is not None
    assert (await stages.store.read(faxes.get, fax_id)).state == "preparing"
    stages.clock.now += 61
    async with stages.running():
        await stages.until(fax_id, "sent")
    row = await stages.store.read(lambda c: c.execute(sa.select(document)).one())
    assert row.attempts == 2
