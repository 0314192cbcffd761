"""Real media workers on real sockets: groups, deaths, hostile callers, bad networks."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relay.confine import Child, Confinement, Sandbox
from transport import journal
from transport.causes import Hangup
from transport.order import Media, MediaKind, Outcome
from transport.seam import PageConfirmed, T38Started
from transport.testing import Address, Document, End, Lossy, bound, exchange
from transport.workers import Workers

from .hostile import Attack, HostileAudio, HostileT38

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENT = Document(Path(__file__).resolve().parents[2] / "data" / "faxes" / "three-pages.tif", 3)
PAGES = 3
RTP, UDPTL = MediaKind.RTP, MediaKind.UDPTL


def sandbox() -> Confinement:
    """Return a sandbox of its own."""
    return Confinement(Sandbox.BUBBLEWRAP, ["transport.worker"])


class Watched:
    """A launcher that remembers its children."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self.children: list[Child] = []

    async def spawn(self, entry: str, fds: Sequence[int] = (), limits: Any = None) -> Child:
        """Fork a child."""
        self.children.append(await self._confinement.spawn(entry, fds, limits))
        return self.children[-1]

    async def close(self) -> None:
        """End it, and with it every child."""
        await self._confinement.close()


@contextlib.asynccontextmanager
async def staff() -> AsyncIterator[tuple[Workers, Watched]]:
    """Workers that are warm."""
    launcher = Watched(sandbox())
    workers = Workers(launcher, sandbox)
    await workers.warm()
    launcher.children.clear()
    try:
        yield workers, launcher
    finally:
        await workers.close()
        await launcher.close()


@pytest.fixture
async def ours() -> AsyncIterator[tuple[Workers, Watched]]:
    """The workers under test, and what launched them."""
    async with staff() as opened:
        yield opened


@pytest.fixture
async def theirs() -> AsyncIterator[Workers]:
    """Workers of far ends."""
    async with staff() as (workers, _):
        yield workers


async def attack(machine: HostileT38 | HostileAudio, from_: socket.socket, to: Address, seconds: float) -> None:
    """Let a hostile machine call, in real time."""
    from_.setblocking(False)
    due = time.monotonic()
    try:
        while time.monotonic() < due + seconds:
            heard = []
            with contextlib.suppress(OSError):
                while True:
                    heard.append(from_.recv(2048))
            for datagram in machine.tick(heard):
                with contextlib.suppress(OSError):
                    from_.sendto(datagram, to)
            due += 0.02
            seconds -= 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    finally:
        machine.close()
        from_.close()


async def hostile_call(
    workers: Workers, folder: Path, name: str, kind: MediaKind, harm: Attack, *, alone: bool
) -> tuple[Outcome, End]:
    """Let a worker receive a hostile fax."""
    end, stranger = End(folder, name), bound()
    to = end.address(kind)
    machine = (HostileT38 if kind is UDPTL else HostileAudio)(harm, random.Random(1))
    attacking = asyncio.create_task(attack(machine, stranger, to, 100))
    media = Media(kind, *stranger.getsockname())
    outcome = await end.carry(workers, media, document=None, alone=alone, seconds=35.0)
    attacking.cancel()
    await asyncio.gather(attacking, return_exceptions=True)
    return outcome, end


async def test_calls_of_a_group_bring_their_pages_over_good_and_bad_networks(
    ours: tuple[Workers, Watched], theirs: Workers, tmp_path: Path
) -> None:
    """Lost otherwise: faxes by SIP, and those on a line that loses a packet now and then."""
    rng = random.Random(5)

    def network(loss: float) -> Any:
        return lambda: Lossy(rng, loss, jitter=0.04, reorder=0.05)

    kinds = [(RTP, None)] * 2 + [(UDPTL, None)] * 2 + [(UDPTL, network(0.05))] * 2 + [(RTP, network(0.001))] * 2
    calls = [
        exchange(theirs, ours[0], tmp_path, str(number), kind, DOCUMENT, lossy)
        for number, (kind, lossy) in enumerate(kinds)
    ]
    outcomes = await asyncio.gather(*calls)
    confirmed = [(caller.confirmed, called.confirmed) for caller, called in outcomes]
    assert confirmed[:6] == [(PAGES, PAGES)] * 6
    assert (PAGES, PAGES) in confirmed[6:], "a lost packet can hit a frame of T.30, which libspandsp may not survive"
    assert all(caller <= called for caller, called in confirmed)
    assert len(ours[1].children) == 1, "one worker carried them all"
    strips = [
        tuple(page.strip for page in journal.read(tmp_path / f"in-{number}.journal").pages) for number in range(6)
    ]
    assert strips == [strips[0]] * 6
    trace = [entry.text for entry in journal.read(tmp_path / "in-0.journal").trace]
    assert any(text.startswith("media come from 127.0.0.1") for text in trace)
    assert any("ended: at worst" in text for text in trace)
    assert sum(ours[0].pace.ticks) > 8 * 1000


class Begun:
    """A call that is under way between two ends."""

    def __init__(self, callers: Workers, called: Workers, folder: Path, name: str, kind: MediaKind) -> None:
        self.sender, self.receiver = End(folder, name), End(folder, f"in-{name}")
        self.to_receiver, self.to_sender = (
            {one: Media(one, *end.address(one)) for one in (RTP, UDPTL)} for end in (self.receiver, self.sender)
        )
        self.sending = asyncio.create_task(self.sender.carry(callers, self.to_receiver[kind], document=DOCUMENT))
        self.receiving = asyncio.create_task(self.receiver.carry(called, self.to_sender[kind], document=None))

    async def confirmed(self, pages: int) -> None:
        """Wait until the sender was told of so many pages."""
        while sum(isinstance(happened, PageConfirmed) for happened in self.sender.events) < pages:
            await asyncio.sleep(0.02)

    async def ended(self) -> tuple[Outcome, Outcome]:
        """Return both outcomes; the receiver hears a BYE behind the sender's end."""
        caller = await self.sending
        self.receiver.control.hang_up(Hangup.FAR)
        return caller, await self.receiving


async def test_a_call_in_audio_goes_on_in_t38(ours: tuple[Workers, Watched], theirs: Workers, tmp_path: Path) -> None:
    """Lost otherwise: a gateway's re-INVITE to T.38 ends the fax."""
    call = Begun(theirs, ours[0], tmp_path, "1", RTP)
    await asyncio.sleep(2)
    call.sender.control.change(call.to_receiver[UDPTL])
    await asyncio.sleep(0.3)  # an offer and its answer take their time
    call.receiver.control.change(call.to_sender[UDPTL])
    await asyncio.sleep(1)
    call.sender.control.change(call.to_receiver[RTP])  # a gateway goes back when it pleases: nothing starts
    caller, called = await call.ended()
    assert (caller.confirmed, called.confirmed, caller.t38, called.t38) == (PAGES, PAGES, True, True)
    assert [happened for happened in call.sender.events if isinstance(happened, T38Started)] == [T38Started("1")]


async def test_a_killed_worker_ends_its_calls_by_their_journals(
    ours: tuple[Workers, Watched], theirs: Workers, tmp_path: Path
) -> None:
    """Lost otherwise: when a worker dies its faxes are sent twice, or called delivered when they were not."""
    workers, launcher = ours
    outbound = Begun(workers, theirs, tmp_path, "1", UDPTL)
    inbound = Begun(theirs, workers, tmp_path, "2", RTP)
    await asyncio.gather(outbound.confirmed(1), inbound.confirmed(1))
    assert len(launcher.children) == 1
    launcher.children[0].kill()
    sent, received = await asyncio.gather(outbound.sending, inbound.receiving)
    for outcome, path in ((sent, outbound.sender.journal), (received, inbound.receiver.journal)):
        proved = journal.read(path)
        assert (outcome.hangup, outcome.confirmed) == (Hangup.LOST_WORKER, proved.pages_confirmed)
        assert outcome.confirmed >= 1
        assert "SIGKILL" in outcome.reason
    assert not sent.last_page
    for end in (outbound.receiver, inbound.sender):
        end.control.hang_up(Hangup.FAR)
    heard, told = await asyncio.gather(outbound.receiving, inbound.sending)
    assert sent.confirmed <= heard.confirmed
    assert told.confirmed <= received.confirmed, "what the far machine was told of is kept"


async def test_a_cancelled_call_ends_at_once_and_the_others_of_its_group_go_on(
    ours: tuple[Workers, Watched], theirs: Workers, tmp_path: Path
) -> None:
    """Lost otherwise: `fax cancel` hangs up on others, or on nobody."""
    cancelled, other = (Begun(ours[0], theirs, tmp_path, name, UDPTL) for name in ("1", "2"))
    await cancelled.confirmed(1)
    began = time.monotonic()
    cancelled.sender.control.hang_up(Hangup.CANCELLED)
    outcome = await cancelled.sending
    assert time.monotonic() - began < 1
    assert (outcome.hangup, outcome.confirmed) == (Hangup.CANCELLED, 1)
    cancelled.receiver.control.hang_up(Hangup.FAR)
    assert [one.confirmed for one in await other.ended()] == [PAGES, PAGES]
    await cancelled.receiving


async def test_a_hostile_fax_kills_its_own_call_alone(
    ours: tuple[Workers, Watched], theirs: Workers, tmp_path: Path
) -> None:
    """Lost otherwise: an unknown caller can end every fax that is under way."""
    workers, _ = ours
    honest = [Begun(theirs, workers, tmp_path, str(number), kind) for number, kind in enumerate((RTP, UDPTL))]
    attacks = [
        (UDPTL, Attack.ZERO_RUNS), (RTP, Attack.ZERO_RUNS), (UDPTL, Attack.BLANK_ROWS), (UDPTL, Attack.SHORT_FRAME),
    ]  # fmt: skip
    hostile = await asyncio.gather(
        *(
            hostile_call(workers, tmp_path, f"in-h{number}", kind, harm, alone=True)
            for number, (kind, harm) in enumerate(attacks)
        )
    )
    hangups = [outcome.hangup for outcome, _ in hostile]
    assert hangups[:3] == [Hangup.LOST_WORKER, Hangup.LOST_WORKER, Hangup.TOO_LONG]
    assert hangups[3] in (Hangup.LOST_WORKER, Hangup.DONE, Hangup.DEADLINE, Hangup.DEAF)
    assert [outcome.confirmed for outcome, _ in hostile[:3]] == [0, 0, 0]
    for call in honest:
        assert [outcome.confirmed for outcome in await call.ended()] == [PAGES, PAGES]


async def test_a_hostile_fax_in_a_group_leaves_the_others_true_outcomes(
    ours: tuple[Workers, Watched], theirs: Workers, tmp_path: Path
) -> None:
    """Lost otherwise: a caller that was trusted turns hostile, and pages of others are lost, or claimed to be there."""
    workers, launcher = ours
    outbound = Begun(workers, theirs, tmp_path, "1", UDPTL)
    inbound = Begun(theirs, workers, tmp_path, "2", UDPTL)
    outcome, _ = await hostile_call(workers, tmp_path, "in-h", UDPTL, Attack.ZERO_RUNS, alone=False)
    assert (outcome.hangup, outcome.confirmed) == (Hangup.LOST_WORKER, 0)
    sent, received = await asyncio.gather(outbound.sending, inbound.receiving)
    assert len(launcher.children) == 1
    assert sent.hangup is received.hangup is Hangup.LOST_WORKER
    for end in (outbound.receiver, inbound.sender):
        end.control.hang_up(Hangup.FAR)
    heard, told = await asyncio.gather(outbound.receiving, inbound.sending)
    assert sent.confirmed == journal.read(outbound.sender.journal).pages_confirmed <= heard.confirmed
    assert told.confirmed <= received.confirmed == len(journal.read(inbound.receiver.journal).pages)
    await first_packet(workers, tmp_path, "in-3", alone=False)
    assert len(launcher.children) == 2, "the next call has a new worker"


async def first_packet(workers: Workers, folder: Path, name: str, *, alone: bool) -> float:
    """Return the seconds from the order to the first packet of a call that is then cancelled."""
    end, far = End(folder, name), bound()
    far.setblocking(False)
    began = time.monotonic()
    media = Media(RTP, *far.getsockname())
    carried = asyncio.create_task(end.carry(workers, media, document=None, alone=alone))
    await asyncio.get_running_loop().sock_recv(far, 2048)
    seconds = time.monotonic() - began
    end.control.hang_up(Hangup.CANCELLED)
    assert (await carried).hangup is Hangup.CANCELLED
    far.close()
    return seconds


async def test_a_call_begins_at_once_in_a_group_and_alone(ours: tuple[Workers, Watched], tmp_path: Path) -> None:
    """Lost otherwise: a fax machine calls, and hears nothing for so long that it thinks that a person answered."""
    workers, _ = ours
    while len(workers._ready) < 2:
        await asyncio.sleep(0.05)
    began = [await first_packet(workers, tmp_path, f"in-{number}", alone=number > 1) for number in range(4)]
    assert sorted(began)[2] < 0.1, "spares are kept; one call may have met a busy machine"


async def test_an_unproven_caller_has_a_sandbox_of_its_own(ours: tuple[Workers, Watched], tmp_path: Path) -> None:
    """Lost otherwise: a hostile fax reads the pages of others in the /tmp that workers share."""
    workers, launcher = ours
    end, far = End(tmp_path, "in-1"), bound()
    carried = asyncio.create_task(end.carry(workers, Media(RTP, *far.getsockname()), document=None, alone=True))
    await asyncio.sleep(0.3)
    assert launcher.children == []
    carried.cancel()
    await asyncio.gather(carried, return_exceptions=True)
    assert await journal.wait_released(end.journal, 5), "a call that nobody waits for is not carried on"


async def test_a_document_that_is_not_what_was_said_is_not_sent(ours: tuple[Workers, Watched], tmp_path: Path) -> None:
    """Lost otherwise: libspandsp reports success for a document that it could not read."""
    end, far = End(tmp_path, "1"), bound()
    outcome = await end.carry(ours[0], Media(UDPTL, *far.getsockname()), document=Document(DOCUMENT.path, 4))
    assert (outcome.hangup, outcome.reason) == (Hangup.DOCUMENT, "the document has 3 pages, not 4")
    assert not outcome.last_page
