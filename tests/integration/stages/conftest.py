"""The stages of a fax's way on a real store, with a scripted line and a converter that draws nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from relay.ids import IdSource
from relay.ledger import submit
from relay.outbound.conclusion import Conclusion
from relay.outbound.dial import Dialling
from relay.outbound.prepare import Preparing
from relay.store import faxes, queue, schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.submission import File, Recipient, Submission
from relay.testing import PlainConverter, ScriptedLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

if TYPE_CHECKING:
    from converters import Converter

OWNER = "node-test"
QUICK = {"retries": {"retries": 3, "delay": 0.01}}


class Clock:
    """A clock that a test can turn."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        """Return the time, a little later each time."""
        self.now += 0.001
        return self.now


class Stages:
    """The outbound stages, put together as the service does."""

    def __init__(self, store: Store, blobs: LocalBlobs, line: ScriptedLine, converter: PlainConverter) -> None:
        self.store, self.blobs, self.line, self.converter = store, blobs, line, converter
        self.ids, self.clock = IdSource(), Clock()
        lease = queue.Lease(OWNER)
        stand_in = cast("Converter", converter)
        self.conclusion = Conclusion(store, self.ids, self.clock, random.Random(1))
        self.preparing = Preparing(store, blobs, stand_in, self.ids, self.clock, lease=lease, poll=0.02)
        self.dialling = Dialling(
            store, blobs, stand_in, line, self.conclusion, self.ids, self.clock, lease=lease, poll=0.02
        )

    def submit(self, *numbers: str, data: bytes = b"page one\npage two", **settings: Any) -> list[int]:
        """Submit one file to the numbers; return the faxes."""
        blob = self.blobs.put(data)
        asked = Submission(
            source="smtp", sender="user@example.com", proof="network", number="+97231234567", subject="Hello",
            files=(File("a.pdf", "application/pdf", blob.size, blob.name),),
            recipients=tuple(Recipient(number, number) for number in numbers), settings=QUICK | settings,
        )  # fmt: skip
        return list(self.store.write_now(submit, self.ids, asked, self.clock()).faxes)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the stages for the length of a block."""
        tasks = [asyncio.create_task(stage.run()) for stage in (self.preparing, self.dialling)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def until(self, fax_id: int, *states: str, seconds: float = 10) -> Any:
        """Wait until a fax is in one of ``states`` and return its row; the clock runs ahead meanwhile."""
        async with asyncio.timeout(seconds):
            while True:
                row = await self.store.read(faxes.get, fax_id)
                if row.state in states:
                    return row
                self.clock.now += 1
                await asyncio.sleep(0.01)


@pytest.fixture
def stages_with(tmp_path: Path) -> Iterator[Callable[..., Stages]]:
    """Build stages around a line and a converter."""
    opened: list[Store] = []

    def build(line: ScriptedLine | None = None, converter: PlainConverter | None = None) -> Stages:
        store = Store(f"sqlite:///{tmp_path / 'faxrelay.db'}")
        opened.append(store)
        schema.upgrade(store.engine)
        return Stages(store, LocalBlobs(tmp_path / "blobs"), line or ScriptedLine(), converter or PlainConverter())

    yield build
    for store in opened:
        store.close()
