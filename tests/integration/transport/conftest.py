"""A real line: its process, its confined workers, a simulated network inside or outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relay.confine import Confinement, Sandbox
from relay.line import LineSettings, start
from transport.client import ProcessLine
from transport.seam import Arrival, Arrived, CallEvent, CallRequest, CallResult, LineTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DOCUMENT = Path(__file__).resolve().parents[2] / "data" / "faxes" / "three-pages.tif"
OURS, ALSO_OURS = "+97231234567", "+97237654321"


@dataclass
class Office:
    """A line in a folder of its own, and what came of its calls."""

    line: ProcessLine
    folder: Path
    processes: list[asyncio.subprocess.Process]

    def request(self, number: str, call: str = "1", **changes: Any) -> CallRequest:
        """Describe a call that sends the document."""
        asked = CallRequest(call, "simulated", number, OURS, OURS, DOCUMENT, 3)
        return replace(asked, **changes)

    async def call(
        self, number: str, call: str = "1", on_event: Callable[[CallEvent], None] = lambda _: None, **changes: Any
    ) -> CallResult:
        """Make a call."""
        return await asyncio.wait_for(self.line.send(self.request(number, call, **changes), on_event), 60)

    async def until(self, number: str, kind: type[CallEvent], call: str = "1") -> asyncio.Task[CallResult]:
        """Make a call and return it once an event of a kind has come."""
        happened = asyncio.Event()

        def watch(event: CallEvent) -> None:
            if isinstance(event, kind):
                happened.set()

        task = asyncio.create_task(self.call(number, call, watch))
        await asyncio.wait_for(happened.wait(), 20)
        return task

    async def arrived(self) -> list[Arrival]:
        """Return what comes in until the next call has ended."""
        found = []
        async with asyncio.timeout(20):
            async for arrival in self.line.arrivals():
                found.append(arrival)
                if isinstance(arrival, Arrived):
                    break
        return found


@contextlib.asynccontextmanager
async def open_office(folder: Path, **settings: Any) -> AsyncIterator[Office]:
    """Start a line; settings as :class:`relay.line.LineSettings`."""
    journals = folder / "journals"
    journals.mkdir(exist_ok=True)
    wanted = LineSettings("simulated", 32, str(journals), **settings)
    processes: list[asyncio.subprocess.Process] = []

    async def begin(descriptor: int) -> asyncio.subprocess.Process:
        processes.append(await start(descriptor, wanted))
        return processes[-1]

    line = ProcessLine("simulated", {"simulated": 8}, journals, begin, simulated=True)
    await line.publish(LineTable(frozenset({OURS, ALSO_OURS})))
    await line.start()
    try:
        yield Office(line, folder, processes)
    finally:
        await line.close()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """A line as a fresh installation has it: the network is its child, time runs as fast as it can."""
    async with open_office(tmp_path) as opened:
        yield opened


@pytest.fixture
async def slow_office(tmp_path: Path) -> AsyncIterator[Office]:
    """A line whose calls last as long as real ones: there is time to kill something."""
    async with open_office(tmp_path, real_time=True) as opened:
        yield opened


@dataclass
class Network:
    """A simulated network that runs outside every relay."""

    folder: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def socket(self) -> Path:
        """Where lines reach it."""
        return self.folder / "network"

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self.socket.unlink(missing_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "transport.simulated",
            "--socket", self.socket, "--log", self.folder / "log", "--pages", self.folder / "pages",
        )  # fmt: skip
        while not self.socket.exists():
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def log(self, call: str) -> list[dict[str, Any]]:
        """Return what its far ends saw of a call."""
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
        return [line for line in lines if line["call"] == call]


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    """The network as a process of its own."""
    running = Network(tmp_path)
    await running.start()
    yield running
    await running.kill()


@pytest.fixture
async def confinement() -> AsyncIterator[Confinement]:
    """A real sandbox for media workers."""
    opened = Confinement(Sandbox.BUBBLEWRAP, ["transport.worker"])
    yield opened
    await opened.close()


@pytest.fixture
def open_line() -> Callable[..., contextlib.AbstractAsyncContextManager[Office]]:
    """What starts a line with settings of the test's own."""
    return open_office


@pytest.fixture
def office_line(tmp_path: Path) -> Callable[[str], Path]:
    """What names the journals of a line that is not started."""

    async def never(_descriptor: int) -> asyncio.subprocess.Process:
        raise OSError("not in this test")

    return ProcessLine("simulated", {}, tmp_path, never, simulated=True).journal
