"""Which worker carries a call, and what the line makes of workers that hang, lie or die."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from transport import crew as crew_module
from transport.causes import Hangup
from transport.crew import Crew
from transport.journal import Journal, Kind
from transport.messages import encode
from transport.order import Media, MediaKind, Order, Outcome
from transport.pace import CLASSES, Pace, percentile
from transport.workers import Control, Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from transport.launcher import Child

MEDIA = Media(MediaKind.RTP, "192.0.2.1", 4000)


class Died(Exception):
    """A child's death."""

    status: int | None = -9
    took_too_long = False


@dataclass
class FakeChild:
    """A child that says what a test says."""

    said: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    told: list[dict[str, Any]] = field(default_factory=list)
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:  # noqa: ARG002
        """Hear something."""
        if self.dead.is_set():
            raise Died("it is dead")
        self.told.append(dict(message))

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Say something, or die."""
        saying = asyncio.create_task(self.said.get())
        dying = asyncio.create_task(self.dead.wait())
        try:
            await asyncio.wait({saying, dying}, return_when=asyncio.FIRST_COMPLETED)
            if saying.done():
                return saying.result(), []
            raise Died("it is dead")
        finally:
            saying.cancel()
            dying.cancel()

    def kill(self) -> None:
        """Die."""
        self.dead.set()

    async def close(self) -> None:
        """End."""
        self.kill()
        self.closed = True

    def ends(self, call: str, **outcome: Any) -> None:
        """Say that a call is over."""
        said = encode(Outcome(Hangup.DONE, **outcome))
        pace = Pace()
        pace.count(0.003)
        self.said.put_nowait({"say": "outcome", "call": call, "outcome": said, "pace": pace.to_json()})


class FakeLauncher:
    """Launches fake children."""

    def __init__(self, broken: bool = False) -> None:
        self.children: list[FakeChild] = []
        self.broken = broken
        self.closed = False

    async def spawn(self, entry: str, fds: Sequence[int] = (), limits: Any = None) -> Child:  # noqa: ARG002
        """Start one."""
        await asyncio.sleep(0)
        if self.broken:
            raise Died("there is no bubblewrap")
        child = FakeChild()
        self.children.append(child)
        return child

    async def close(self) -> None:
        """End all."""
        self.closed = True


@dataclass
class Office:
    """Workers, and what stands around them."""

    folder: Path
    launcher: FakeLauncher
    workers: Workers
    solos: list[FakeLauncher]
    controls: dict[str, Control] = field(default_factory=dict)
    journals: dict[str, Journal] = field(default_factory=dict)

    async def begin(self, call: str, *, alone: bool = False) -> asyncio.Task[Outcome]:
        """Begin a call; return once its worker has it."""
        self.controls[call] = Control()
        self.journals[call] = kept = Journal.create(self.folder / call, {})
        descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
        order = Order(call, None, MEDIA, "+1")
        carried = asyncio.create_task(
            self.workers.carry(order, descriptors, kept, lambda _: None, self.controls[call], alone=alone)
        )
        for _ in range(20):
            await asyncio.sleep(0)
        return carried

    def child(self, call: str) -> FakeChild:
        """Return the child that carries a call."""
        children = [*self.launcher.children, *(child for solo in self.solos for child in solo.children)]
        return next(
            child for child in children if any(told.get("order", {}).get("call") == call for told in child.told)
        )


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Workers for three calls each."""
    launcher = FakeLauncher()
    solos: list[FakeLauncher] = []

    def solo() -> FakeLauncher:
        solos.append(FakeLauncher())
        return solos[-1]

    workers = Workers(launcher, solo, calls_per_worker=3)
    await workers.warm()
    launcher.children.clear()
    for _ in range(20):
        await asyncio.sleep(0)
    yield Office(tmp_path, launcher, workers, solos)
    await workers.close()


async def test_calls_fill_a_worker_before_the_next_and_an_empty_one_goes(office: Office) -> None:
    """Lost otherwise: wake-ups for single calls eat the machine, or a worker's damaged heap lives on."""
    calls = {name: await office.begin(name) for name in "abcd"}
    assert len(office.launcher.children) == 2
    assert office.child("a") is office.child("c") is not office.child("d")
    office.child("b").ends("b", confirmed=2)
    assert (await calls.pop("b")).confirmed == 2
    calls["e"] = await office.begin("e")
    assert office.child("e") is office.child("a")
    office.child("d").ends("d")
    await calls.pop("d")
    assert office.child("d").closed
    for name, call in calls.items():
        office.child(name).ends(name)
        await call
    assert all(child.closed for child in office.launcher.children)
    assert sum(office.workers.pace.ticks) == 5


async def test_an_unproven_caller_gets_a_spare_of_its_own_and_the_sandbox_goes_with_it(office: Office) -> None:
    """Lost otherwise: a hostile caller meets others in a worker, or each strange call leaves a sandbox behind."""
    assert [len(solo.children) for solo in office.solos] == [1, 1], "spares are ready"
    call = await office.begin("a", alone=True)
    assert office.child("a") is office.solos[0].children[0]
    assert len(office.solos) == 3, "the next spare is being built"
    office.child("a").ends("a")
    await call
    assert office.solos[0].closed
    assert office.launcher.children == []


async def test_a_spare_that_died_waiting_is_not_given_a_call(office: Office) -> None:
    """Lost otherwise: a call is handed to a dead worker, and fails for nothing."""
    for solo in office.solos[:2]:
        solo.children[0].kill()
    await asyncio.sleep(0.01)
    call = await office.begin("a", alone=True)
    assert office.child("a") not in [solo.children[0] for solo in office.solos[:2]]
    assert office.solos[0].closed
    office.child("a").ends("a")
    await call


async def test_a_death_ends_all_calls_by_their_journals_and_nobody_elses(office: Office) -> None:
    """Lost otherwise: a call of a dead worker waits for ever, or its pages are denied."""
    calls = {name: await office.begin(name) for name in "abcd"}
    office.journals["b"].append(Kind.PAGE_CONFIRMED, {"page": 1})
    office.journals["b"].append(Kind.LAST_PAGE_OFFERED)
    office.child("a").kill()
    outcomes = {name: await calls[name] for name in "abc"}
    assert {outcome.hangup for outcome in outcomes.values()} == {Hangup.LOST_WORKER}
    assert [(outcome.confirmed, outcome.last_page) for outcome in outcomes.values()] == [
        (0, False), (1, True), (0, False),
    ]  # fmt: skip
    assert not calls["d"].done()
    office.child("d").ends("d")
    await calls["d"]


@pytest.mark.parametrize(
    "lie",
    [
        {"say": "outcome", "outcome": {"hangup": "done", "confirmed": "all"}},
        {"say": "outcome", "outcome": None},
        {"say": "event", "kind": "Answered", "event": {"call": "a", "t38": True}},
        {"say": "anything"},
    ],
)
async def test_a_worker_that_says_what_has_no_meaning_is_killed(office: Office, lie: dict[str, Any]) -> None:
    """Lost otherwise: code that took over a worker talks the line into a false outcome, or out of its loop."""
    calls = [await office.begin(name) for name in "ab"]
    office.child("a").said.put_nowait({"call": "a", **lie})
    outcomes = await asyncio.gather(*calls)
    assert [outcome.hangup for outcome in outcomes] == [Hangup.LOST_WORKER] * 2
    assert "no meaning" in outcomes[0].reason


async def test_what_the_line_says_reaches_the_call(office: Office) -> None:
    """Lost otherwise: a re-INVITE or a BYE never reaches the media."""
    call = await office.begin("a")
    moved = Media(MediaKind.UDPTL, "192.0.2.9", 4002)
    office.controls["a"].change(moved)
    office.controls["a"].hang_up(Hangup.FAR)
    for _ in range(10):
        await asyncio.sleep(0)
    assert office.child("a").told[1:] == [
        {"do": "change", "call": "a", "media": encode(moved)}, {"do": "hang_up", "call": "a", "why": "far"},
    ]  # fmt: skip
    office.child("a").ends("a")
    await call


async def test_a_worker_that_does_not_end_a_call_when_told_is_killed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a call that hangs in the C library keeps its channel for ever."""
    monkeypatch.setattr(crew_module, "LAST_WORDS", 0.02)
    call = await office.begin("a")
    office.controls["a"].hang_up(Hangup.CANCELLED)
    assert (await asyncio.wait_for(call, 2)).hangup is Hangup.LOST_WORKER


async def test_a_worker_without_a_sign_of_life_is_killed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: one endless loop in the C library holds all calls of a worker for ever."""
    monkeypatch.setattr(crew_module, "SILENT", 0.08)
    call = await office.begin("a")
    for _ in range(8):
        await asyncio.sleep(0.02)
        office.child("a").said.put_nowait({"say": "alive"})
    assert not call.done()
    assert (await asyncio.wait_for(call, 2)).hangup is Hangup.LOST_WORKER


async def test_a_call_that_nobody_waits_for_is_hung_up(office: Office) -> None:
    """Lost otherwise: a line that closes leaves calls running in the air."""
    calls = [await office.begin(name) for name in "ab"]
    calls[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calls[0]
    await asyncio.sleep(0)
    assert {"do": "hang_up", "call": "a", "why": "cancelled"} in office.child("b").told
    office.child("b").ends("b")
    await calls[1]


def descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_descriptors_are_given_back_whatever_happens(office: Office) -> None:
    """Lost otherwise: a line that cannot start workers runs out of descriptors, and then of calls."""
    before = descriptors()
    office.launcher.broken = True
    outcome = await (await office.begin("a"))
    office.journals["a"].close()
    assert outcome.hangup is Hangup.LOST_WORKER
    assert "bubblewrap" in outcome.reason
    assert descriptors() == before


async def test_a_worker_is_used_up_after_its_calls_or_its_time() -> None:
    """Lost otherwise: leaks of the C library grow until the kernel ends eight calls at once."""
    crew = Crew(FakeChild(), seats=8, calls=2, seconds=100)
    crew.join("a")
    crew.leave("a")
    left = crew.room
    crew.join("b")
    old = Crew(FakeChild(), seats=8, calls=9, seconds=0)
    assert (left, crew.room, old.room) == (True, False, False)
    for one in (crew, old):
        await one.close()


def test_lateness_is_counted_in_classes() -> None:
    """Lost otherwise: nobody sees that calls stutter."""
    pace, other = Pace(), Pace()
    pace.count(0.0001, 2, first=True)
    pace.count(0.004)
    pace.count(3.0)
    other.count(0.015, 300)
    pace.add(other)
    assert (pace.worst, sum(pace.first), sum(pace.ticks)) == (3.0, 2, 304)
    assert percentile(pace.ticks, 0.99) == 0.02
    assert percentile(pace.ticks, 1) == float("inf")
    assert Pace.of_json(pace.to_json()).ticks == pace.ticks
    for lie in (
        None,
        {},
        {"ticks": [1], "first": [1], "worst": 1.0},
        {"ticks": ["a"] * 11, "first": [0] * 11, "worst": 0.0},
    ):
        assert sum(Pace.of_json(lie).ticks) == 0
    assert len(CLASSES) == 10
