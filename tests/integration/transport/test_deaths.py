"""Deaths: of workers, lines and the network, at any moment; what is claimed afterwards is true."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from transport import journal, lockstep
from transport.causes import Hangup
from transport.journal import Journal, Kind
from transport.media import Call
from transport.order import Media, MediaKind, Order, Outcome
from transport.seam import Answered, Arrived, Cause, LineDown, Negotiated, PageConfirmed, T38Started
from transport.simulated.behaviours import BEHAVIOURS
from transport.simulated.farend import FaxMachine
from transport.workers import Control, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.confine import Child, Confinement
    from tests.integration.transport.conftest import Network, Office

DOCUMENT = Path(__file__).resolve().parents[2] / "data" / "faxes" / "three-pages.tif"


T38 = Media(MediaKind.LOCKSTEP_T38)


class Watched:
    """A launcher that remembers its last child, so that a test can kill it."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self.child: Child | None = None

    async def spawn(self, entry: str, fds: Sequence[int] = (), limits: Any = None) -> Child:
        """Fork a child."""
        self.child = await self._confinement.spawn(entry, fds, limits)
        return self.child


class Trial:
    """A real confined worker that sends to a far end which this test plays, tick by tick."""

    def __init__(self, confinement: Confinement, folder: Path) -> None:
        self._launcher = Watched(confinement)
        self._workers = Workers(self._launcher)
        self._folder = folder
        self.path = folder / "1.journal"
        self.events: list[Negotiated | PageConfirmed | T38Started] = []
        self.far_confirmed: list[int] = []
        self.control = Control()

    def kinds(self) -> list[Kind]:
        """Return the records that are on disk; the worker waits for our answer meanwhile."""
        records = journal.records(self.path.read_bytes())
        return [record.kind for record in records if record.kind is not Kind.NOTE]

    async def run(
        self, each_tick: Callable[[Trial, list[bytes]], list[bytes] | None] = lambda _, said: said, pages: int = 3
    ) -> Outcome:
        """Carry the call; ``each_tick`` sees what the worker says and may change it, ``None`` hangs up."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kept = Journal.create(self.path, {})
        descriptors = (theirs.detach(), os.dup(kept.fileno()), os.open(DOCUMENT, os.O_RDONLY))
        playing = asyncio.create_task(self._play(ours, each_tick))
        order = Order("1", pages, T38, ident="+1", seconds=300.0)
        try:
            return await asyncio.wait_for(
                self._workers.carry(order, descriptors, kept, self.events.append, self.control, alone=True), 60
            )
        finally:
            kept.close()
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            ours.close()

    async def _play(self, media: socket.socket, each_tick: Callable[[Trial, list[bytes]], list[bytes] | None]) -> None:
        def note(event: str, **facts: Any) -> None:
            if event == "confirming":
                self.far_confirmed.append(facts["page"])

        far = FaxMachine(BEHAVIOURS["fax"], self._folder / "far.tif", note, random.Random(1), t38=True, ident="+1 303")
        media.setblocking(False)
        loop = asyncio.get_running_loop()
        while message := await loop.sock_recv(media, lockstep.MAX_MESSAGE):
            said = each_tick(self, lockstep.unpack(message))
            answer = far.tick(said) if said is not None else None
            if answer is None:
                break
            await loop.sock_sendall(media, lockstep.pack(answer))
        far.close()
        media.close()

    def kill(self) -> None:
        """Kill the worker with -9."""
        assert self._launcher.child is not None
        self._launcher.child.kill()


@pytest.fixture
def trial(confinement: Confinement, tmp_path: Path) -> Trial:
    """One worker's call."""
    return Trial(confinement, tmp_path)


@pytest.mark.parametrize(
    ("records", "confirmed", "offered"),
    [
        ([], 0, False),
        ([Kind.NEGOTIATED], 0, False),
        ([Kind.NEGOTIATED, Kind.PAGE_CONFIRMED], 1, False),
        ([Kind.NEGOTIATED, Kind.PAGE_CONFIRMED, Kind.PAGE_CONFIRMED], 2, False),
        ([Kind.NEGOTIATED, Kind.PAGE_CONFIRMED, Kind.PAGE_CONFIRMED, Kind.LAST_PAGE_OFFERED], 2, True),
        ([Kind.NEGOTIATED, *[Kind.PAGE_CONFIRMED] * 2, Kind.LAST_PAGE_OFFERED, Kind.PAGE_CONFIRMED], 3, True),
    ],
    ids=["nothing", "negotiated", "page 1", "page 2", "last page offered", "all confirmed"],
)
async def test_a_worker_killed_after_any_record_leaves_the_truth(
    trial: Trial, records: list[Kind], confirmed: int, offered: bool
) -> None:
    """Lost otherwise: after a worker's death a fax is sent twice, or called delivered when it was not."""

    def strike(trial: Trial, said: list[bytes]) -> list[bytes]:
        if trial.kinds()[1:] == records:
            trial.kill()
        return said

    outcome = await trial.run(strike)
    assert (outcome.hangup, outcome.confirmed, outcome.last_page) == (Hangup.LOST_WORKER, confirmed, offered)
    assert "SIGKILL" in outcome.reason
    proved = journal.read(trial.path)
    assert (proved.readable, proved.pages_confirmed, proved.last_page_offered) == (True, confirmed, offered)
    assert len(trial.far_confirmed) >= confirmed, "nothing is claimed that the far machine did not confirm"


async def test_a_worker_killed_while_the_last_page_is_on_the_wire_is_never_innocent(trial: Trial) -> None:
    """Lost otherwise: the far machine has the fax, the relay says it cannot have, and sends it again."""

    def strike(trial: Trial, said: list[bytes]) -> list[bytes]:
        if trial.far_confirmed == [1, 2, 3]:
            trial.kill()
        return said

    outcome = await trial.run(strike)
    assert (outcome.confirmed, outcome.last_page) == (2, True)


@pytest.mark.parametrize("pages", [1, 2, 3])
async def test_a_receiving_worker_killed_after_a_page_has_kept_it(
    confinement: Confinement, tmp_path: Path, pages: int
) -> None:
    """Lost otherwise: a caller's machine was told that a page is received, and nobody ever sees it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sending = Journal.create(tmp_path / "1.journal", {})
    caller = Call(Order("1", 3, T38, ident="+1"), DOCUMENT, sending, lambda _: None)
    path = tmp_path / "in-1.journal"
    kept = Journal.create(path, {})
    launcher = Watched(confinement)
    order = Order("in-1", None, T38, ident="+1")
    carried = asyncio.create_task(
        Workers(launcher).carry(
            order, (theirs.detach(), os.dup(kept.fileno())), kept, lambda _: None, Control(), alone=True
        )
    )
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while message := await loop.sock_recv(ours, lockstep.MAX_MESSAGE):
            said = caller.tick(lockstep.unpack(message))
            if journal.read(path).pages_confirmed == pages and launcher.child is not None:
                launcher.child.kill()
            await loop.sock_sendall(ours, lockstep.pack(said))
    ours.close()
    outcome = await asyncio.wait_for(carried, 10)
    kept.close()
    sending.close()
    caller.hang_up(Hangup.FAR)
    assert (outcome.hangup, outcome.confirmed) == (Hangup.LOST_WORKER, pages)
    assert [page.page for page in journal.read(path).pages] == list(range(1, pages + 1))
    assert caller.outcome is not None
    assert caller.outcome.confirmed <= pages, "no confirmation left before the page was kept"


async def test_a_cancelled_call_says_what_was_confirmed(trial: Trial) -> None:
    """Lost otherwise: a cancelled fax hangs in the air, or the pages that arrived are denied."""

    def cancel(trial: Trial, said: list[bytes]) -> list[bytes] | None:
        if Kind.PAGE_CONFIRMED in trial.kinds():
            trial.control.hang_up(Hangup.CANCELLED)
        return said

    outcome = await trial.run(cancel)
    assert outcome.hangup is Hangup.CANCELLED
    assert outcome.confirmed >= 1


async def test_hostile_packets_end_in_an_outcome(trial: Trial, confinement: Confinement, tmp_path: Path) -> None:
    """Lost otherwise: a far end that sends rubbish instead of T.38 takes the line down with it."""
    rng = random.Random(3)

    async def attack(seed: int) -> Outcome:
        folder = tmp_path / str(seed)
        folder.mkdir()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kept = Journal.create(folder / "in-1.journal", {})
        order = Order("in-1", None, T38, ident="+1", seconds=120.0)
        carried = asyncio.create_task(
            Workers(confinement).carry(
                order, (theirs.detach(), os.dup(kept.fileno())), kept, lambda _: None, Control(), alone=True
            )
        )
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        for number in range(1500):
            if not await loop.sock_recv(ours, lockstep.MAX_MESSAGE):
                break
            kind = rng.choice((0, 0, 8, rng.randrange(9)))
            data = bytes((0xFF, 0xC8, rng.randrange(256))) + rng.randbytes(rng.randrange(200))
            packet = (
                bytes((0xC0 | kind << 1, 1, 0x80 | rng.randrange(8) << 4)) + (len(data) - 1).to_bytes(2, "big") + data
            )
            packet = rng.choice((packet, rng.randbytes(rng.randrange(1, 60)), bytes((rng.randrange(16) << 1,))))
            field = bytes((len(packet),)) if len(packet) < 128 else (0x8000 | len(packet)).to_bytes(2, "big")
            await loop.sock_sendall(ours, lockstep.pack([number.to_bytes(2, "big") + field + packet + b"\0\0"]))
        ours.close()
        outcome = await asyncio.wait_for(carried, 30)
        kept.close()
        return outcome

    honest, *attacked = await asyncio.gather(trial.run(), *(attack(seed) for seed in range(4)))
    assert honest.confirmed == 3, "another call goes on meanwhile"
    assert all(outcome.confirmed == 0 for outcome in attacked)


async def test_a_document_that_is_not_what_was_said_is_never_transmitted(trial: Trial) -> None:
    """Lost otherwise: libspandsp reports success for a document that it could not read."""
    outcome = await trial.run(pages=4)
    assert (outcome.hangup, outcome.reason) == (Hangup.DOCUMENT, "the document has 3 pages, not 4")
    assert not outcome.last_page


async def test_a_killed_line_fails_its_calls_and_comes_back(slow_office: Office) -> None:
    """Lost otherwise: a fax stands in 'dialing' for ever, or the relay needs a restart after a crash of its line."""
    sending = await slow_office.until("+12025550100", Answered)
    slow_office.processes[-1].kill()
    with pytest.raises(LineDown):
        await sending
    path = slow_office.line.journal("1")
    assert await journal.wait_released(path, 5), "the workers die with their line"
    proved = journal.read(path)
    assert (proved.readable, proved.complete, proved.last_page_offered, proved.pages_confirmed) == (
        True,
        False,
        False,
        0,
    )
    assert (await slow_office.call("+12025550110", "2")).cause is Cause.BUSY
    assert len(slow_office.processes) == 2


async def test_an_inbound_call_of_a_killed_line_is_reported(slow_office: Office) -> None:
    """Lost otherwise: the pages that a caller's machine was told are received are never delivered."""
    sending = await slow_office.until("+97237654321", Answered)
    slow_office.processes[-1].send_signal(signal.SIGKILL)
    with pytest.raises(LineDown):
        await sending
    arrived = (await slow_office.arrived())[-1]
    assert isinstance(arrived, Arrived)
    assert arrived.result.cause is Cause.LOCAL
    assert arrived.journal.exists()


async def test_closing_the_line_hangs_up_and_leaves_nothing_running(slow_office: Office) -> None:
    """Lost otherwise: a stopped service goes on telephoning."""
    sending = await slow_office.until("+12025550100", Answered)
    await slow_office.line.close()
    with pytest.raises(LineDown):
        await sending
    assert slow_office.processes[-1].returncode is not None
    assert await journal.wait_released(slow_office.line.journal("1"), 1)


async def test_a_call_is_cancelled_while_it_rings_and_while_it_talks(slow_office: Office) -> None:
    """Lost otherwise: `fax cancel` does nothing until the call is over."""
    ringing = asyncio.create_task(slow_office.call("+12025550111", "1"))
    await asyncio.sleep(0.1)
    talking = await slow_office.until("+12025550100", Answered, "2")
    for call in ("1", "2"):
        await slow_office.line.cancel(call)
    results = await asyncio.wait_for(asyncio.gather(ringing, talking), 5)
    assert [result.cause for result in results] == [Cause.CANCELLED] * 2
    assert not any(result.last_page_offered for result in results)


async def test_the_network_dies_and_comes_back(
    network: Network, tmp_path: Path, open_line: Callable[..., contextlib.AbstractAsyncContextManager[Office]]
) -> None:
    """Lost otherwise: one crash of the network stops the line until somebody restarts it."""
    async with open_line(tmp_path, exchange=str(network.socket), real_time=True) as office:
        talking = await office.until("+12025550100", Answered, "1")
        await network.kill()
        result = await asyncio.wait_for(talking, 5)
        assert result.cause in (Cause.LOST_CALL, Cause.NOT_FAX)
        assert (await office.call("+12025550100", "2")).cause is Cause.TRUNK_DOWN
        await network.start()
        while (
            await office.call("+12025550110", f"3-{asyncio.get_running_loop().time():.0f}".replace(".", "-"))
        ).cause is Cause.TRUNK_DOWN:
            await asyncio.sleep(1.0)


async def test_a_document_that_is_gone_or_a_name_used_twice_is_no_call(office: Office, tmp_path: Path) -> None:
    """Lost otherwise: a call without a document is dialled, or the evidence of a call is written over."""
    gone = await office.call("+12025550100", "1", document=tmp_path / "gone.tif")
    assert gone.cause is Cause.LOCAL
    assert "cannot be read" in gone.sip_reason
    assert (await office.call("+12025550100", "2")).cause is Cause.CONFIRMED
    again = await office.call("+12025550100", "2")
    assert again.cause is Cause.LOCAL
    assert journal.read(office.line.journal("2")).pages_confirmed == 3


@pytest.mark.parametrize("name", ["", "../1", "1/2", "a" * 65, "a.b"])
def test_no_name_of_a_call_leads_out_of_the_journals(office_line: Callable[[str], Path], name: str) -> None:
    """Lost otherwise: a call's name deletes a file elsewhere."""
    with pytest.raises(ValueError, match="no name of a call"):
        office_line(name)
