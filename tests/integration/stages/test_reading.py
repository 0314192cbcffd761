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
from relay.app import Service, open_house
from relay.errors import IllegalMove, LostClaim
from relay.fax import Inbound
from relay.ids import IdSource
from relay.inbound.quarantine import release
from relay.inbound.reading import TRIES, Overdue, Reading
from relay.mailer import record as records
from relay.mailer.language import Languages
from relay.mailer.received import received_fax
from relay.roles import Role
from relay.settings import Ocr, load
from relay.store import faxes, queue, schema
from relay.store.engine import Store
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

    def overdue(self) -> Overdue:
        """A service's watch, as a node without a converter runs it."""
        return Overdue(self.store, IdSource(), self.clock, LIMITS.fax_seconds, poll=0.02)

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
    assert await room.overdue().let_go() == 0
    claim = await room.store.write(queue.claim_reading, queue.Lease("node-test", 1000), room.clock())
    room.clock.now += 101
    assert await room.overdue().let_go() == 0, "it is being read now"
    assert claim is not None
    await room.store.write(queue.release_leases, "node-test")
    async with room.running(room.reader("node-test", LIMITS.model_copy(update={"at_once": 0}))):
        row = await room.until("received")
    assert row.reason == "1 page received; not read: nobody came to it in time"


def waiting(store: Store, count: int, now: float) -> list[int]:
    """Make received faxes that wait for their words; return their ids."""
    ids = IdSource()

    def one(connection: sa.Connection) -> int:
        of = ids()
        connection.execute(document.insert().values(id=of, rendering="", blob="0" * 64, created_at=now))
        values = {
            "direction": "inbound", "number": "+97231234567", "peer": "", "line_call": str(of), "settings": {},
            "created_at": now,
        }  # fmt: skip
        fax_id = faxes.create(connection, ids, values, reason="it rings")
        faxes.move(connection, ids, fax_id, Inbound.READING, at=now, reason="1 page", changes={"document_id": of})
        return fax_id

    return [store.write_now(one) for _ in range(count)]


def states(store: Store) -> list[str]:
    """The states of all faxes, in the order of their ids."""
    return list(store.read_now(lambda c: c.execute(sa.select(fax.c.state).order_by(fax.c.id)).scalars()))


async def test_two_nodes_let_each_overdue_fax_go_once(postgresql_database: str) -> None:
    """Lost otherwise: the slower of two nodes meets a fax that is gone already, and its service ends."""
    store = Store(postgresql_database)
    schema.upgrade(store.engine)
    clock = Clock()
    first, second = waiting(store, 2, clock.now - 101)
    nodes = [Overdue(store, IdSource(), clock, LIMITS.fax_seconds) for _ in range(2)]
    with store.engine.begin() as other:  # the other node is in the middle of its step
        faxes.move(other, IdSource(), first, Inbound.RECEIVED, at=clock.now, reason="gone")
        assert await asyncio.wait_for(nodes[0].let_go(), 5) == 1
    assert states(store) == ["received", "received"]
    waiting(store, 20, clock.now - 101)
    assert sum(await asyncio.gather(*(node.let_go() for node in nodes))) == 20
    assert second in store.read_now(lambda c: set(c.execute(sa.select(fax.c.id)).scalars()))
    store.close()


async def test_a_fax_whose_words_come_while_it_is_let_go_is_delivered_once(postgresql_database: str) -> None:
    """Lost otherwise: its reader meets a fax that is gone already, and the service ends."""
    store = Store(postgresql_database)
    schema.upgrade(store.engine)
    clock = Clock()
    (one,) = waiting(store, 1, clock.now)
    converter: Any = PlainConverter()
    blobs: Any = None
    stage = Reading(store, blobs, converter, IdSource(), clock, lease=queue.Lease("slow"), limits=LIMITS)
    claim = await store.write(queue.claim_reading, queue.Lease("slow"), clock())
    assert claim is not None
    with store.engine.begin() as other:
        faxes.move(other, IdSource(), one, Inbound.RECEIVED, at=clock.now, reason="gone")
        late = asyncio.create_task(store.write(stage._received, claim, None, "its words were read"))
        await asyncio.sleep(0.3)
        assert not late.done(), "it waits for the other's decision"
    with pytest.raises(LostClaim):
        await late
    store.close()


async def test_a_fax_that_cannot_be_moved_keeps_no_other_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: one row that somebody else has changed ends the service, again after each start."""
    room = Room(tmp_path)
    bad, _ = waiting(room.store, 2, room.clock.now - 101)
    real = faxes.move

    def move(connection: sa.Connection, ids: IdSource, fax_id: int, *rest: Any, **named: Any) -> None:
        if fax_id == bad:
            raise IllegalMove("it has left reading meanwhile")
        real(connection, ids, fax_id, *rest, **named)

    monkeypatch.setattr(faxes, "move", move)
    monkeypatch.setattr(ocr, "there", lambda _: "")
    async with asyncio.timeout(10), room.running(room.stage):
        while states(room.store) != ["reading", "received"]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        monkeypatch.setattr(faxes, "move", real)
        room.clock.now += 61  # the lease of the reader that failed has run out
        while states(room.store) != ["received", "received"]:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("roles", [{Role.LINES}, {Role.PREPARE}])
async def test_a_node_that_only_takes_calls_lets_overdue_faxes_go(tmp_path: Path, roles: set[Role]) -> None:
    """Lost otherwise: where no node prepares documents, received faxes wait for their words for ever."""
    settings = load(environment={"FAXRELAY_DATA": str(tmp_path)})
    simulated = settings.lines.simulated.model_copy(update={"enabled": False})
    lines = settings.lines.model_copy(update={"simulated": simulated})
    settings = settings.model_copy(update={"lines": lines})
    with open_house(settings) as house:
        waiting(house.store, 1, house.clock() - settings.ocr.fax_seconds - 1)
        async with asyncio.timeout(20), contextlib.AsyncExitStack() as stack:
            service = Service(house, stack, frozenset(roles), asyncio.Event())
            await service.start()
            while states(house.store) != ["received"]:
                await asyncio.sleep(0.02)
            assert service.failed is None


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
