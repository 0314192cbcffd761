"""Two fax machines in one process: our side of a call and a far end, tick by tick, without processes or sockets."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageSequence

from transport.causes import Hangup
from transport.journal import Journal, evidence
from transport.media import Call
from transport.order import Media, MediaKind, Order, Outcome
from transport.simulated.behaviours import BEHAVIOURS, Behaviour
from transport.simulated.farend import FarEnd, FaxMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.seam import CallEvent, Evidence, ReceivedPage

DOCUMENT = Path(__file__).resolve().parents[1] / "data" / "faxes" / "three-pages.tif"

T38, AUDIO = Media(MediaKind.LOCKSTEP_T38), Media(MediaKind.LOCKSTEP_AUDIO)


@dataclass
class Side:
    """One of our calls with its journal, its events, and what the disk refuses."""

    call: Call
    journal: Journal
    events: list[CallEvent]

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        assert self.call.outcome is not None
        return self.call.outcome

    def evidence(self) -> Evidence:
        """Return what its journal proves by now."""
        with Path(f"/proc/self/fd/{self.journal.fileno()}").open("rb") as written:
            return evidence(written.read())


@dataclass
class Bench:
    """Makes the machines of one test."""

    folder: Path
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def side(
        self,
        *,
        sending: bool,
        document: Path = DOCUMENT,
        pages: int = 3,
        journal: type[Journal] = Journal,
        **order: Any,
    ) -> Side:
        """Make our side of a call."""
        name = "out" if sending else "in-1"
        asked = Order(
            name, pages if sending else None, T38 if order.pop("t38", True) else AUDIO, "+1 202 555 0100", **order
        )
        kept = journal.create(self.folder / f"{name}.journal", {})
        events: list[CallEvent] = []
        file = document if sending else self.folder / "received.tif"
        return Side(Call(asked, file, kept, events.append), kept, events)

    def machine(self, behaviour: str | Behaviour = "fax", *, t38: bool = True) -> FaxMachine:
        """Make a far end of the simulated network."""
        found = BEHAVIOURS[behaviour] if isinstance(behaviour, str) else behaviour

        def note(event: str, **facts: object) -> None:
            self.notes.append((event, facts))

        return FaxMachine(found, self.folder / "far.tif", note, random.Random(7), t38=t38, ident="+1 303")

    @staticmethod
    def talk(side: Side, far: FarEnd, each_tick: Callable[[int], None] = lambda _: None) -> None:
        """Let our side and a far end talk until the call is over."""
        heard: list[bytes] = []
        for tick in range(100_000):
            said = side.call.tick(heard)
            if side.call.outcome is not None:
                return
            each_tick(tick)
            answer = far.tick(said)
            if answer is None:
                side.call.hang_up(Hangup.FAR)
                return
            heard = answer
        pytest.fail("the call never ended")

    @staticmethod
    def join(caller: Side, callee: Side, cut: Callable[[], bool] = lambda: False) -> None:
        """Let two of our sides talk until both are over; from where ``cut`` says so the caller is heard no more."""
        to_caller: list[bytes] = []
        to_callee: list[bytes] = []
        for _ in range(100_000):
            from_caller = caller.call.tick(to_caller) if caller.call.outcome is None else []
            from_callee = callee.call.tick(to_callee) if callee.call.outcome is None else []
            to_caller, to_callee = from_callee, [] if cut() else from_caller
            if caller.call.outcome is not None and callee.call.outcome is not None:
                return
        pytest.fail("the call never ended")

    @staticmethod
    def frames(path: Path) -> list[tuple[tuple[int, int], bytes]]:
        """Return size and pixels of each page of a TIFF."""
        with Image.open(path) as image:
            return [(frame.size, frame.convert("1").tobytes()) for frame in ImageSequence.Iterator(image)]

    def pixels(self, page: ReceivedPage) -> tuple[tuple[int, int], bytes]:
        """Return size and pixels of a received page's strip."""
        tags = [
            (256, page.width), (257, page.height), (258, 1), (259, 4), (262, 0), (266, 2), (273, 8), (277, 1),
            (278, page.height), (279, len(page.strip)),
        ]  # fmt: skip
        at = 8 + len(page.strip)
        directory = struct.pack("<H", len(tags)) + b"".join(
            struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags
        )
        path = self.folder / f"page-{page.page}.tif"
        path.write_bytes(b"II*\0" + struct.pack("<I", at) + page.strip + directory + bytes(4))
        return self.frames(path)[0]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two ends to be joined."""
    return Bench(tmp_path)


@pytest.fixture
def document() -> Path:
    """The fax document that is sent unless a test brings its own: three pages at fine resolution."""
    return DOCUMENT
