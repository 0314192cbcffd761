"""The line's loop when something of ours breaks: a trunk, a disk, a worker, the process itself."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from transport import journal
from transport.accounts import TrunkAccount
from transport.calls import Premises
from transport.causes import Hangup
from transport.client import ProcessLine
from transport.journal import Journal, Kind
from transport.line import LineProcess
from transport.link import Link
from transport.messages import encode
from transport.network import Connected, Incoming, Leg, Signal
from transport.order import Media, MediaKind, Order
from transport.proven import Proven
from transport.seam import CallRequest, CallResult, Cause, LineDown, LineTable
from transport.workers import Control, Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence


T38 = Media(MediaKind.LOCKSTEP_T38)


class Died(Exception):
    """A child's death, of the shape that launchers have."""

    status: int | None = -9
    took_too_long = False


@dataclass
class Child:
    """A child that says what it was given to say, then dies."""

    says: list[dict[str, Any]]

    async def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Take the order."""

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Say the next thing."""
        if not self.says:
            raise Died("the worker was ended by SIGKILL")
        return self.says.pop(0), []

    def kill(self) -> None:
        """Die."""

    async def close(self) -> None:
        """Be gone."""


@dataclass
class Children:
    """A launcher of such children; ``None``: it cannot start any."""

    says: list[dict[str, Any]] | None = field(default_factory=list)

    async def spawn(self, entry: str, fds: Sequence[int] = (), limits: Any = None) -> Child:  # noqa: ARG002
        """Start one."""
        if self.says is None:
            raise Died("bwrap is not there")
        return Child(list(self.says))


@dataclass
class AnsweredLeg:
    """A call that is answered at once."""

    trace: Callable[[str, str, str], None] | None = None
    said: bool = False

    def take_media(self) -> tuple[int, ...]:
        """Give any descriptor."""
        return (os.open("/dev/null", os.O_RDONLY),)

    async def signal(self) -> Signal:
        """Answer, and say no more."""
        if self.said:
            await asyncio.Event().wait()
        self.said = True
        return Connected(T38)

    def answer(self) -> None:
        """Be answered."""

    def refuse(self, code: int, reason: str) -> None:
        """Be refused."""

    def hang_up(self) -> None:
        """End."""


@dataclass
class Trunk:
    """A trunk that dials as it is told."""

    dialling: Callable[[], Leg] = AnsweredLeg
    simulated: bool = True
    channels: int = 8

    async def run(self, on_incoming: Callable[[Incoming], None]) -> None:
        """Be up."""

    def publish(self, table: LineTable) -> None:
        """Hear the numbers."""

    def trunks(self) -> Mapping[str, int]:
        """Be one trunk."""
        return {"t": self.channels}

    async def ask(self, question: str, name: str) -> dict[str, object]:
        """Repeat the question."""
        return {"question": question, "name": name}

    def dial(self, request: CallRequest) -> Leg:  # noqa: ARG002  every number is the same
        """Dial."""
        return self.dialling()


@dataclass
class Setup:
    """A line's loop in this process, and main's end of its link."""

    main: Link
    folder: Path
    process: LineProcess

    async def call(self, **changes: Any) -> dict[str, Any]:
        """Order a call and return what is said of its end."""
        document = self.folder / "document.tif"
        document.touch()
        asked = CallRequest("1", "t", "+1", "+2", "+2", document, 1)
        self.main.post({"do": "call", "request": encode(replace(asked, **changes))})
        async with asyncio.timeout(5):
            while received := await self.main.receive():
                if received[0]["say"] in ("result", "lost"):
                    return received[0]
        pytest.fail("the line said nothing")


@pytest.fixture
async def trunk() -> Trunk:
    """The trunk of the line; a test changes what it does."""
    return Trunk()


@pytest.fixture
async def children() -> Children:
    """The launcher of the line; a test changes what its children say."""
    return Children()


@pytest.fixture
async def line(tmp_path: Path, trunk: Trunk, children: Children) -> AsyncIterator[Setup]:
    """A running loop."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    loop = LineProcess(Link(theirs), Premises(trunk, Workers(children), tmp_path))
    running = asyncio.create_task(loop.run(asyncio.Event()))
    main = Link(ours)
    yield Setup(main, tmp_path, loop)
    main.close()
    await asyncio.wait_for(running, 5)


async def test_a_fault_of_ours_in_a_call_is_told(line: Setup, trunk: Trunk) -> None:
    """Lost otherwise: a fault in the program leaves the fax in 'dialing' for ever."""

    def broken() -> Leg:
        raise RuntimeError("a fault of ours")

    trunk.dialling = broken
    assert await line.call() == {"say": "lost", "call": "1"}


async def test_a_line_out_of_descriptors_or_disk_says_so(line: Setup, trunk: Trunk) -> None:
    """Lost otherwise: on a full disk a call is made whose end nobody can prove, or no reason is given."""

    def full() -> Leg:
        raise OSError(28, "No space left on device")

    trunk.dialling = full
    said = await line.call()
    assert (said["result"]["cause"], said["result"]["last_page_offered"]) == ("local", False)
    assert "No space left on device" in said["result"]["sip_reason"]


async def test_a_call_without_a_journal_is_not_made(line: Setup, tmp_path: Path, trunk: Trunk) -> None:
    """Lost otherwise: a call is made that no evidence is kept of, and a crash sends the fax twice."""
    dialled: list[int] = []

    def count() -> Leg:
        dialled.append(1)
        return AnsweredLeg()

    trunk.dialling = count
    (tmp_path / "1.journal").touch()
    said = await line.call()
    assert said["result"]["cause"] == "local"
    assert "journal cannot be made" in said["result"]["sip_reason"]
    assert not dialled


async def test_a_trunk_that_is_not_there_is_named(line: Setup) -> None:
    """Lost otherwise: a policy that names a trunk wrongly fails without a word why."""
    said = await line.call(trunk="other")
    assert (said["result"]["cause"], said["result"]["sip_reason"]) == ("trunk_down", "there is no trunk other")


@pytest.mark.parametrize(
    "says",
    [
        [],
        [{"say": "outcome", "outcome": {"hangup": "done", "confirmed": "all"}}],
        [{"say": "event", "kind": "Answered", "event": {"call": "1", "t38": True}}],
        [{"say": "result"}],
        [{}],
    ],
)
async def test_a_worker_that_dies_or_babbles_is_judged_by_its_journal(
    tmp_path: Path, says: list[dict[str, Any]]
) -> None:
    """Lost otherwise: a worker that a hostile fax took over says 'confirmed', and the relay believes it."""
    kept = Journal.create(tmp_path / "1.journal", {})
    kept.append(Kind.PAGE_CONFIRMED, {"page": 1})
    kept.append(Kind.LAST_PAGE_OFFERED)
    order = Order("1", 2, T38, ident="")
    outcome = await Workers(Children(says)).carry(order, (), kept, lambda _: None, Control(), alone=True)
    kept.close()
    assert (outcome.hangup, outcome.confirmed, outcome.last_page) == (Hangup.LOST_WORKER, 1, True)


async def test_a_line_that_cannot_start_workers_says_why(tmp_path: Path) -> None:
    """Lost otherwise: without bubblewrap every call fails oddly, instead of the service saying what to install."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    loop = LineProcess(Link(theirs), Premises(Trunk(), Workers(Children(None)), tmp_path))
    running = asyncio.create_task(loop.run(asyncio.Event()))
    main = Link(ours)
    received = await asyncio.wait_for(main.receive(), 5)
    assert received is not None
    assert received[0]["say"] == "broken"
    assert "bwrap is not there" in received[0]["reason"]
    await asyncio.wait_for(running, 5)
    main.close()


async def test_a_process_that_cannot_be_started_is_a_line_down(tmp_path: Path) -> None:
    """Lost otherwise: the service hangs at its start and says nothing."""

    async def never(_descriptor: int) -> asyncio.subprocess.Process:
        raise FileNotFoundError(2, "No such file or directory")

    line = ProcessLine("simulated", {"simulated": 1}, tmp_path, never, simulated=True)
    with pytest.raises(LineDown, match="its process cannot be started: No such file or directory"):
        await asyncio.wait_for(line.start(), 5)
    with pytest.raises(LineDown):
        await line.send(CallRequest("1", "simulated", "+1", "+2", "", tmp_path, 1), lambda _: None)


def test_the_end_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Lost otherwise: after a crash the receipt of a finished call shows other facts than the call had."""
    result = CallResult("1", Cause.PAGE_FAILED, 1, last_page_offered=False, simulated=True, t30_code=48, retries=3)
    kept = Journal.create(tmp_path / "1.journal", {})
    kept.end(result)
    kept.close()
    assert journal.read(tmp_path / "1.journal").result == result


async def test_a_trunk_that_is_full_is_not_dialled(line: Setup, trunk: Trunk) -> None:
    """Lost otherwise: one call more than the account has channels, and the carrier drops one that is under way."""
    trunk.channels = 0
    said = await line.call()
    assert said["result"]["cause"] == "trunk_down"
    assert said["result"]["sip_reason"] == "all 0 channels of t are in use"
    assert said["result"]["alerted"] is False


async def test_an_operators_question_reaches_the_network(line: Setup) -> None:
    """Lost otherwise: 'trunk status' waits for an answer that never comes."""
    line.main.post({"do": "ask", "number": 7, "question": "status", "name": "t"})
    while (received := await asyncio.wait_for(line.main.receive(), 5)) is not None:
        if received[0]["say"] == "answer":
            assert received[0]["number"] == 7
            answer = received[0]["answer"]
            assert (answer["question"], answer["name"]) == ("status", "t")
            assert sum(answer["pace"]["ticks"]) == 0
            return
    pytest.fail("the line said nothing")


def test_a_worker_is_shared_with_proven_parties_alone() -> None:
    """Lost otherwise: a stranger's hostile fax ends seven calls of other people."""
    proven = Proven()
    good = CallResult("1", Cause.CONFIRMED, 1, last_page_offered=True, simulated=True)
    bad = CallResult("1", Cause.LOCAL, 0, last_page_offered=False, simulated=True)
    assert proven.alone("t", "+1", inbound=True)
    assert not proven.alone("t", "+1", inbound=False)
    proven.ended("t", "+1", good, worker_died=False)
    assert not proven.alone("t", "+1", inbound=True)
    assert proven.alone("other", "+1", inbound=True)
    proven.ended("t", "+1", bad, worker_died=True)
    assert proven.alone("t", "+1", inbound=True)
    assert proven.alone("t", "+1", inbound=False)
    assert proven.alone("t", "", inbound=True)


def test_a_trace_is_read_back_and_cannot_be_forged(tmp_path: Path) -> None:
    """Lost otherwise: what a far end said breaks the log's lines, or nobody sees why a call failed."""
    kept = Journal.create(tmp_path / "1.journal", {})
    kept.note("<", "sip", "180 Ringing\r\nX: \x1b[2J")
    for _ in range(journal.MAX_NOTES + 5):
        kept.note("-", "t30", "x" * 1000)
    kept.close()
    trace = journal.read(tmp_path / "1.journal").trace
    assert (trace[0].arrow, trace[0].layer, trace[0].text) == ("<", "sip", "180 Ringing??X: ?[2J")
    assert trace[0].at < 5
    assert len(trace) == journal.MAX_NOTES
    assert len(trace[1].text) == journal.MAX_NOTE
    assert trace[-1].text == "there was more than is kept"


async def test_a_number_is_answered_only_on_the_trunks_that_bring_its_calls(line: Setup) -> None:
    """Lost otherwise: one customer's carrier account takes the calls of another customer's number."""
    numbers = ("+97231234567", "+97237654321")
    account = TrunkAccount("t", "sip.carrier.example", numbers=numbers[:1])
    line.main.post(
        {"do": "publish", "numbers": list(numbers), "inbound_channels": {}, "devices": [],
         "trunks": [encode(replace(account, numbers=()))], "trunk_numbers": {"t": [numbers[0]]}, "screens": [],
         "first": True, "last": True},
    )  # fmt: skip
    refused: list[int] = []

    class Ringing(AnsweredLeg):
        """A call that comes in."""

        def refuse(self, code: int, reason: str) -> None:  # noqa: ARG002  the code says enough
            """Note the refusal."""
            refused.append(code)

    await asyncio.sleep(0.05)
    for number, expected in zip(numbers, ([], [404]), strict=True):
        line.process._incoming(Incoming(Ringing(), number, "+1", "t"))
        assert refused == expected
    for _ in range(20):  # a burst: none of their tasks has run yet
        line.process._incoming(Incoming(Ringing(), numbers[0], "+1", "t"))
    assert refused == [404] + [486] * 13


def test_a_record_that_the_disk_had_no_room_for_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: half a record on a full disk makes the pages behind it unreadable for ever."""
    kept = Journal.create(tmp_path / "1.journal", {})
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        """Write ten bytes, then find no room."""
        monkeypatch.setattr(os, "write", none)
        return write(descriptor, data[:10])

    def none(_descriptor: int, _data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        kept.append(Kind.PAGE_CONFIRMED, {"page": 1})
    monkeypatch.setattr(os, "write", write)
    kept.append(Kind.LAST_PAGE_OFFERED)
    kept.close()
    found = journal.read(tmp_path / "1.journal")
    assert (found.readable, found.pages_confirmed, found.last_page_offered) == (True, 0, True)
