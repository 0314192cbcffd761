"""Inbound: from a ringing line to a received fax, whatever the caller and our own machine do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
import sqlalchemy as sa

from converters import Broken, FaxDocument, FaxStrip, Reason, Refused
from relay.errors import IllegalMove
from relay.ids import IdSource
from relay.inbound.arrival import Arrivals
from relay.inbound.quarantine import release
from relay.mailer import record as records
from relay.mailer.language import Languages
from relay.mailer.received import received_fax
from relay.policy import PolicyHolder
from relay.store import faxes, schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.store.tables import document, fax
from relay.testing import PlainConverter, ScriptedLine
from transport.seam import (
    Arrived,
    Arriving,
    CallResult,
    Cause,
    Evidence,
    Negotiated,
    PageConfirmed,
    ReceivedPage,
)

from .conftest import Clock

OURS, CALLER = "+97231234567", "+12025550123"
RINGS = Arriving("in-1", "simulated", OURS, CALLER)


def proof(cause: Cause, *pages: bytes) -> Evidence:
    """Return what the journal of a call with these pages proves."""
    result = CallResult("in-1", cause, len(pages), last_page_offered=False, simulated=True, remote_ident="FAR END")
    received = tuple(ReceivedPage(n + 1, 1728, 2292, 204, 196, data) for n, data in enumerate(pages))
    return Evidence(
        readable=True, complete=True, last_page_offered=False, pages_confirmed=len(pages), result=result, pages=received
    )


class Desk:
    """The inbound stage on a real store."""

    def __init__(self, folder: Path, converter: PlainConverter | None = None, rules: str = "") -> None:
        (folder / "policies").mkdir(exist_ok=True)
        (folder / "policies" / "p.yaml").write_text(
            f'numbers:\n  - number: "{OURS}"\n    features: [fax_to_mail]\n    deliver_to: [alice@example.com]\n{rules}'
        )
        self.store = Store(f"sqlite:///{folder / 'faxrelay.db'}")
        schema.upgrade(self.store.engine)
        self.blobs = LocalBlobs(folder / "blobs")
        self.line = ScriptedLine()
        self.arrivals = Arrivals(
            self.store, self.blobs, converter or PlainConverter(), self.line,  # type: ignore[arg-type]  # a stand-in
            PolicyHolder(folder / "policies"), IdSource(), Clock(), owner="node-test", pause=0.02,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the stage for the length of a block."""
        task = asyncio.create_task(self.arrivals.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def ended(self) -> sa.Row[tuple[object, ...]]:
        """Wait until the fax has left `receiving` and return its row."""
        async with asyncio.timeout(10):
            while True:
                row = await self.store.read(lambda c: c.execute(sa.select(fax)).first())
                if row is not None and row.state != "receiving":
                    return row
                await asyncio.sleep(0.01)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An inbound stage with nothing in it."""
    return Desk(tmp_path)


async def test_a_fax_is_received_page_by_page_and_kept_as_tiff_and_pdf(desk: Desk) -> None:
    """Lost otherwise: the main job, inbound."""
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one", b"two")
    async with desk.running():
        for arrival in (
            RINGS,
            Negotiated("in-1", 14400, ecm=True, remote_ident="FAR END"),
            PageConfirmed("in-1", 1, None),
            PageConfirmed("in-1", 2, None),
            Arrived("in-1", proof(Cause.CONFIRMED, b"one", b"two").result, Path("/nowhere")),  # type: ignore[arg-type]  # there is one
        ):
            desk.line.incoming.put_nowait(arrival)
        row = await desk.ended()
    assert (row.state, row.peer, row.remote_ident, row.pages, row.reason) == (
        "received", CALLER, "FAR END", 2, "2 pages received",
    )  # fmt: skip
    assert row.settings["deliver_to"] == ["alice@example.com"]
    kept = await desk.store.read(lambda c: c.execute(sa.select(document)).one())
    assert desk.blobs.read(kept.blob) == b"one\ntwo"
    assert desk.blobs.read(kept.pdf).startswith(b"%PDF")
    assert desk.line.forgotten == ["in-1"]
    kinds = [event.kind for event in await desk.store.read(faxes.history, row.id)]
    assert kinds == ["fax.receiving", "fax.negotiated", "fax.page_confirmed", "fax.page_confirmed", "fax.received"]


async def test_a_call_that_was_cut_delivers_what_was_confirmed_and_says_so(desk: Desk) -> None:
    """Lost otherwise: a caller whose line drops on page five loses the four pages that we confirmed."""
    desk.line.proofs["in-1"] = proof(Cause.LOST_CALL, b"one")
    desk.line.left = [RINGS]
    assert await desk.arrivals.recover() == 1
    row = await desk.ended()
    assert row.state == "received"
    assert row.reason == "1 page received, then the call was cut: there may have been more pages"


async def test_a_call_without_a_page_is_undeliverable_with_its_cause(desk: Desk) -> None:
    """Lost otherwise: nobody learns that somebody tried to fax."""
    desk.line.proofs["in-1"] = proof(Cause.NOT_FAX)
    desk.line.left = [RINGS]
    await desk.arrivals.recover()
    row = await desk.ended()
    assert (row.state, row.reason) == ("undeliverable", "no page was received: no fax machine answered")


async def test_after_a_crash_a_call_is_recorded_once(desk: Desk) -> None:
    """Lost otherwise: a restart in a call delivers the same fax twice, or leaves it 'receiving' for ever."""
    desk.line.proofs["in-1"] = proof(Cause.LOST_CALL, b"one")
    await desk.store.write(desk.arrivals._record, RINGS)
    desk.line.left = [RINGS]
    assert await desk.arrivals.recover() == 1
    assert await desk.arrivals.recover() == 0
    assert await desk.store.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(fax)).scalar()) == 1


async def test_a_fault_of_ours_keeps_the_journal_for_the_next_start(tmp_path: Path) -> None:
    """Lost otherwise: a full disk at the wrong moment loses a fax that its sender saw confirmed."""
    converter = PlainConverter()
    desk = Desk(tmp_path, converter)
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
    desk.line.left = [RINGS]
    real = converter.assemble

    async def broken(*_: object) -> None:
        raise Broken("the disk is full")

    converter.assemble = broken  # type: ignore[method-assign, assignment]  # the fault
    await desk.arrivals.recover()
    assert desk.line.forgotten == []
    converter.assemble = real  # type: ignore[method-assign]  # mended
    assert await desk.arrivals.recover() == 1
    assert (await desk.ended()).state == "received"


class Picky(PlainConverter):
    """Cannot decode a page that says so."""

    async def assemble(self, pages: Sequence[FaxStrip], output: Path) -> FaxDocument:
        """Refuse the lot for one bad page, as the real one does."""
        if any(page.strip == b"bad" for page in pages):
            raise Refused(Reason.DAMAGED)
        return await super().assemble(pages, output)


async def test_one_page_that_cannot_be_decoded_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """Lost otherwise: forty-nine pages that their sender saw confirmed, for the fiftieth."""
    desk = Desk(tmp_path, Picky())
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one", b"bad", b"three")
    desk.line.left = [RINGS]
    await desk.arrivals.recover()
    row = await desk.ended()
    assert (row.state, row.pages) == ("received", 2)
    assert row.reason == "2 pages received; page 2 cannot be decoded and is kept as it came"
    assert desk.line.forgotten == []
    await desk.arrivals.recover()
    assert desk.line.forgotten == []


async def test_a_call_whose_journal_is_still_written_is_finished_later(desk: Desk) -> None:
    """Lost otherwise: pages that were confirmed are given up because a worker took its time to die."""
    desk.line.proofs["in-1"] = Evidence(
        readable=False, complete=False, last_page_offered=True, pages_confirmed=0, result=None
    )
    desk.line.left = [RINGS]
    await desk.arrivals.recover()
    assert desk.line.forgotten == []
    async with desk.running():
        desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
        assert (await desk.ended()).state == "received"


async def test_a_callers_number_is_not_trusted(desk: Desk) -> None:
    """Lost otherwise: one call with an odd number stops the service, now and at each start."""
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
    desk.line.left = [Arriving("in-1", "simulated", OURS, "+1 (202)\ud800 555-0123;ext=99999999999999")]
    await desk.arrivals.recover()
    assert (await desk.ended()).peer == "+120255501239999"


BLOCK_FAR_END = "inbound:\n  junk: {junk}\n  block:\n    - csid: far*\n"


@pytest.mark.parametrize("junk", ["quarantine", "refuse"])
async def test_what_a_blocked_machine_sent_is_kept_and_let_out_by_hand(tmp_path: Path, junk: str) -> None:
    """Lost otherwise: a wanted fax of a wrongly blocked machine is gone, though its sender saw it confirmed."""
    desk = Desk(tmp_path, rules=BLOCK_FAR_END.format(junk=junk))
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
    desk.line.left = [RINGS]
    await desk.arrivals.recover()
    row = await desk.ended()
    assert (row.state, row.settings["deliver_to"], row.settings["junk"]) == ("quarantined", [], junk)
    assert row.reason == "1 page received; kept from its mailboxes by inbound.block[0] (p.yaml:8)"
    await desk.store.write(release, IdSource(), row.id, 1.0, "a test")
    (row,) = await desk.store.read(lambda c: list(c.execute(sa.select(fax))))
    assert (row.state, row.settings["deliver_to"]) == ("received", ["alice@example.com"])
    last = (await desk.store.read(faxes.history, row.id))[-1]
    assert (last.kind, last.routed, last.reason) == ("fax.received", False, "let out of the quarantine by a test")
    with pytest.raises(IllegalMove, match="only a fax in quarantine"):
        await desk.store.write(release, IdSource(), row.id, 1.0, "a test")


async def test_a_machine_that_is_not_wanted_is_hung_up_when_it_says_who_it_is(tmp_path: Path) -> None:
    """Lost otherwise: ten pages of advertisements are taken in before anybody asks whose they are."""
    desk = Desk(tmp_path, rules=BLOCK_FAR_END.format(junk="refuse"))
    desk.line.proofs["in-1"] = proof(Cause.CANCELLED)
    ended = proof(Cause.CANCELLED).result
    assert ended is not None
    async with desk.running():
        desk.line.incoming.put_nowait(RINGS)
        desk.line.incoming.put_nowait(Negotiated("in-1", 14400, ecm=True, remote_ident="FAR END"))
        async with asyncio.timeout(5):
            while not desk.line.cancelled:
                await asyncio.sleep(0.01)
        desk.line.incoming.put_nowait(Arrived("in-1", ended, Path("/nowhere")))
        row = await desk.ended()
    assert (row.state, row.settings["deliver_to"]) == ("undeliverable", [])
    assert row.reason == "the caller is blocked by inbound.block[0] (p.yaml:8)"


async def test_junk_that_is_delivered_is_marked(tmp_path: Path) -> None:
    """Lost otherwise: nobody can file it away by its subject."""
    desk = Desk(tmp_path, rules=BLOCK_FAR_END.format(junk="deliver"))
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
    desk.line.left = [RINGS]
    await desk.arrivals.recover()
    row = await desk.ended()
    assert (row.state, row.settings["deliver_to"]) == ("received", ["alice@example.com"])
    told = received_fax(await desk.store.read(records.read, row.id), Languages().get("en"), UTC)
    assert told.title.startswith("[JUNK] New Fax Received")


async def test_a_route_is_taken_by_what_the_machine_said_even_if_its_worker_died(tmp_path: Path) -> None:
    """Lost otherwise: a fax for one room goes to the front desk, since the call's last word is missing."""
    rules = "inbound:\n  routes:\n    - {csid: far end, subaddress: '204', deliver_to: [room@example.com]}\n"
    desk = Desk(tmp_path, rules=rules)
    whole = proof(Cause.LOST_CALL, b"one")
    desk.line.proofs["in-1"] = replace(whole, complete=False, result=None)
    heard = Negotiated("in-1", 14400, ecm=True, remote_ident="FAR END", subaddress="204")
    async with desk.running():
        for arrival in (RINGS, heard, Arrived("in-1", proof(Cause.LOCAL).result, Path("/nowhere"))):  # type: ignore[arg-type]  # there is one
            desk.line.incoming.put_nowait(arrival)
        row = await desk.ended()
    assert (row.state, row.settings["deliver_to"]) == ("received", ["room@example.com"])
    assert row.settings["subaddress"] == "204"


async def test_what_is_let_out_goes_to_the_machines_too(tmp_path: Path) -> None:
    """Lost otherwise: a fax that was meant for a machine is 'received' for ever."""
    desk = Desk(tmp_path, rules=BLOCK_FAR_END.format(junk="quarantine"))
    desk.line.proofs["in-1"] = proof(Cause.CONFIRMED, b"one")
    desk.line.left = [RINGS]
    await desk.arrivals.recover()
    row = await desk.ended()
    meant_for = {"deliver_to": [], "devices": ["lobby"]}
    values = {"settings": {**row.settings, "meant_for": meant_for}}
    await desk.store.write(lambda c: c.execute(fax.update().values(**values)))
    await desk.store.write(release, IdSource(), row.id, 1.0, "a test")
    query = sa.select(fax).where(fax.c.passes_on == row.id)
    (onward,) = await desk.store.read(lambda c: list(c.execute(query)))
    assert (onward.state, onward.route, onward.peer_written) == ("accepted", "device:lobby", "lobby")
