"""The stage that reads received faxes: every fax is delivered once, with its words or without, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from converters import Broken, Reason, Refused, ocr
from relay.ids import IdSource
from relay.inbound.quarantine import release
from relay.inbound.reading import TRIES, Reading
from relay.mailer import record as records
from relay.mailer.language import Languages
from relay.mailer.received import received_fax
from relay.settings import Ocr
from relay.store import faxes, queue
from relay.store.tables import document, fax
from relay.testing import PlainConverter
from transport.seam import Cause

from .conftest import Clock
from .test_inbound import BLOCK_FAR_END, RINGS, Desk, proof

OCR = "    ocr: true\n"
LIMITS = Ocr(languages="eng", page_seconds=20, fax_seconds=100)


@pytest.fixture(autouse=True)
def _languages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which English can be read."""
    monkeypatch.setattr(ocr, "there", lambda _: "eng")


class Room:
    """A received fax that waits for its words, and the stage that reads it."""

    def __init__(self, folder: Path, converter: PlainConverter | None = None, rules: str = "") -> None:
        self.converter = converter or PlainConverter()
        self.desk = Desk(folder, self.converter, OCR + rules)
        self.store, self.blobs, self.clock = self.desk.store, self.desk.blobs, Clock()
        self.stage = self.reader("node-test")

    def reader(self, owner: str, limits: Ocr = LIMITS) -> Reading:
        """A service's stage."""
        return Reading(
            self.store, self.blobs, self.converter, IdSource(), self.clock,  # type: ignore[arg-type]  # a stand-in
            lease=queue.Lease(owner), limits=limits, poll=0.02,
        )  # fmt: skip

    async def arrive(self, *pages: bytes) -> Any:
        """Take in a fax and return its row."""
        self.desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, *pages)
        self.desk.line.left = [RINGS]
        await self.desk.arrivals.recover()
        return await self.row()

    async def row(self) -> Any:
        """The fax."""
        return await self.store.read(lambda c: c.execute(sa.select(fax).where(fax.c.direction == "inbound")).one())

    async def pdf(self) -> bytes:
        """What is delivered."""
        kept = await self.store.read(lambda c: c.execute(sa.select(document)).first())
        assert kept is not None
        return self.blobs.read(kept.pdf)

    async def told(self) -> list[tuple[str, bool]]:
        """The moves of the fax, and which of them the outbox knows or needs not to."""
        events = await self.store.read(faxes.history, (await self.row()).id)
        return [(one.kind, one.routed) for one in events]

    @contextlib.asynccontextmanager
    async def running(self, stage: Reading) -> AsyncIterator[None]:
        """Run a stage for the length of a block."""
        task = asyncio.create_task(stage.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, state: str) -> Any:
        """Wait until the fax is there."""
        async with asyncio.timeout(10):
            while (row := await self.row()).state != state:
                await asyncio.sleep(0.01)
        return row


async def test_a_fax_is_read_before_anybody_hears_of_it(tmp_path: Path) -> None:
    """Lost otherwise: the mail goes out with a PDF that cannot be searched, or two mails go out."""
    room = Room(tmp_path)
    row = await room.arrive(b"one", b"two")
    assert (row.state, row.reason) == ("reading", "2 pages received; its words are being read")
    assert await room.told() == [("fax.receiving", True), ("fax.reading", True)]
    assert room.desk.line.forgotten == ["in-1"], "the line has nothing to keep for it"
    before = await room.pdf()
    async with room.running(room.stage):
        row = await room.until("received")
    assert row.reason == "2 pages received; its words were read"
    assert await room.pdf() == before + b" ONE (eng, 20 s) TWO (eng, 20 s)"
    assert await room.told() == [("fax.receiving", True), ("fax.reading", True), ("fax.received", False)]
    assert not await room.stage.step()
    told = received_fax(await room.store.read(records.read, row.id), Languages().get("en"), UTC)
    assert (told.pages, told.warning) == (2, "")


async def test_a_number_that_does_not_ask_is_not_read(tmp_path: Path) -> None:
    """Lost otherwise: every fax costs seconds that nobody asked for."""
    desk = Desk(tmp_path)
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
    desk.line.left = [RINGS]
    await desk.arrivals.recover()
    assert (await desk.ended()).state == "received"


async def test_a_cut_call_is_read_and_says_so(tmp_path: Path) -> None:
    """Lost otherwise: that pages may be missing is forgotten on the way through the reader."""
    room = Room(tmp_path)
    room.desk.line.proofs["in-1"] = proof(Cause.LOST_CALL, b"one")
    room.desk.line.left = [RINGS]
    await room.desk.arrivals.recover()
    assert await room.stage.step()
    row = await room.row()
    assert row.reason == "1 page received, then the call was cut: there may have been more pages; its words were read"
    told = received_fax(await room.store.read(records.read, row.id), Languages().get("en"), UTC)
    assert told.warning


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Refused(Reason.TOO_LONG), "it took too long"),
        (Refused(Reason.DAMAGED), "its reader failed"),
        (Broken("the converter ended"), "its reader failed"),
        (OSError(28, "no space"), "its reader failed"),
    ],
)
async def test_a_page_that_cannot_be_read_does_not_keep_the_others(tmp_path: Path, fault: Exception, why: str) -> None:
    """Lost otherwise: one page of noise costs the words of nine, or the mail."""
    room = Room(tmp_path)
    await room.arrive(b"one", b"two")
    room.converter._raises = [fault]
    assert await room.stage.step()
    row = await room.row()
    assert (row.state, row.reason) == ("received", f"2 pages received; page 1 not read: {why}")
    assert (await room.pdf()).endswith(b"  TWO (eng, 20 s)")
    assert (await room.store.read(faxes.history, row.id))[-1].detail == {"searchable": True}


async def test_a_fax_of_which_nothing_can_be_read_is_delivered_as_it_is(tmp_path: Path) -> None:
    """Lost otherwise: a fault of the reader costs the fax."""
    room = Room(tmp_path)
    await room.arrive(b"one", b"two")
    before = await room.pdf()
    room.converter._raises = [Broken("x"), Refused(Reason.TOO_LONG)]
    assert await room.stage.step()
    row = await room.row()
    assert row.reason == "2 pages received; pages 1, 2 not read: its reader failed, it took too long"
    assert (row.state, await room.pdf()) == ("received", before)
    assert (await room.store.read(faxes.history, row.id))[-1].detail == {"searchable": False}


async def test_without_tesseract_faxes_arrive_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a package that is missing keeps every fax of the number for ever."""
    monkeypatch.setattr(ocr, "there", lambda _: "")
    room = Room(tmp_path)
    await room.arrive(b"one")
    assert await room.stage.step()
    row = await room.row()
    assert (row.state, row.reason) == (
        "received", "1 page received; not read: this machine lacks tesseract-ocr, tesseract-ocr-eng",
    )  # fmt: skip


async def test_a_killed_service_reads_again_and_delivers_once(tmp_path: Path) -> None:
    """Lost otherwise: kill -9 while a page is read loses the fax, or sends two mails."""
    room = Room(tmp_path)
    await room.arrive(b"one")
    claim = await room.store.write(queue.claim_reading, queue.Lease("node-test"), room.clock())
    assert claim is not None
    assert not await room.stage.step(), "while its lease lasts it is the other's"
    await room.store.write(queue.release_leases, "node-test")  # as the next start does
    assert await room.stage.step()
    row = await room.row()
    assert row.reason == "1 page received; its words were read"
    with pytest.raises(Exception, match="in other hands"):
        await room.store.write(room.stage._received, claim, None, "late")
    assert [kind for kind, _ in await room.told()].count("fax.received") == 1


async def test_a_fax_that_ends_the_service_again_and_again_is_not_read(tmp_path: Path) -> None:
    """Lost otherwise: one fax keeps the service from ever coming up."""
    room = Room(tmp_path)
    await room.arrive(b"one")
    for _ in range(TRIES):
        assert await room.store.write(queue.claim_reading, queue.Lease("node-test"), room.clock()) is not None
        await room.store.write(queue.release_leases, "node-test")
    assert await room.stage.step()
    row = await room.row()
    assert (row.state, row.reason) == ("received", f"1 page received; not read: {TRIES} tries did not end")


async def test_no_mail_waits_longer_than_the_settings_allow(tmp_path: Path) -> None:
    """Lost otherwise: a hundred pages of one sender hold up everybody's mail for hours."""
    room = Room(tmp_path)
    await room.arrive(b"one", b"two")
    real = room.converter.read_page

    async def slow(fax: Path, page: int, languages: str, *, seconds: float, wall: float) -> bytes:
        room.clock.now += 99.5
        return await real(fax, page, languages, seconds=seconds, wall=wall)

    room.converter.read_page = slow  # type: ignore[method-assign]  # a busy machine
    assert await room.stage.step()
    row = await room.row()
    assert row.reason == "2 pages received; page 2 not read: no time was left"
    assert b"ONE" in await room.pdf()


async def test_what_waits_behind_others_goes_without_words_in_time(tmp_path: Path) -> None:
    """Lost otherwise: as above, for a fax that nobody has begun to read."""
    room = Room(tmp_path)
    await room.arrive(b"one")
    assert await room.stage.let_overdue_go() == 0
    claim = await room.store.write(queue.claim_reading, queue.Lease("node-test", 1000), room.clock())
    room.clock.now += 101
    assert await room.stage.let_overdue_go() == 0, "it is being read now"
    assert claim is not None
    await room.store.write(queue.release_leases, "node-test")
    async with room.running(room.reader("node-test", LIMITS.model_copy(update={"at_once": 0}))):
        row = await room.until("received")
    assert row.reason == "1 page received; not read: too many faxes were before it"


async def test_what_is_let_out_of_the_quarantine_is_read_too(tmp_path: Path) -> None:
    """Lost otherwise: the one fax that was looked for by hand cannot be searched."""
    room = Room(tmp_path, rules=BLOCK_FAR_END.format(junk="quarantine"))
    row = await room.arrive(b"one")
    assert row.state == "quarantined"
    await room.store.write(release, IdSource(), row.id, room.clock(), "a test")
    assert (await room.row()).state == "reading"
    assert await room.stage.step()
    row = await room.row()
    assert (row.state, row.reason) == ("received", "let out of the quarantine by a test; its words were read")


async def test_a_machine_of_ours_does_not_wait_for_words(tmp_path: Path) -> None:
    """Lost otherwise: paper comes out a minute later for words that nobody reads on it."""
    room = Room(tmp_path)
    room.desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
    real = room.desk.arrivals._policy.inbound_settings
    room.desk.arrivals._policy.inbound_settings = lambda call: real(call) | {"devices": ["lobby"]}  # type: ignore[method-assign]  # as with a real line
    room.desk.line.left = [RINGS]
    await room.desk.arrivals.recover()
    row = await room.row()
    assert row.state == "reading"
    (onward,) = await room.store.read(lambda c: list(c.execute(sa.select(fax).where(fax.c.passes_on == row.id))))
    assert (onward.state, onward.route) == ("accepted", "device:lobby")
