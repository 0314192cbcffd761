"""Stand-ins for the rooms beside the stages, for tests: a line whose calls end as told, a converter that draws nothing.

They keep the promises that the stages rely on (:mod:`transport.seam`, the converters' public values) and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from converters import Cover, FaxDocument, FaxStrip, HeaderLine, PageReport, Refused, Rendering, Source
from transport.seam import (
    Answered,
    Arrival,
    Arriving,
    CallEvent,
    CallRequest,
    CallResult,
    Cause,
    Evidence,
    LineDown,
    LineTable,
    Negotiated,
    PageConfirmed,
    Ringing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path


class ScriptedLine:
    """A line whose calls to each number end as ``script`` says, call by call; the last entry repeats.

    A number that is not in the script gets every page confirmed. :class:`LineDown` as an entry is raised. ``gate``
    can be cleared to hold calls on the line.
    """

    name = "simulated"

    def __init__(self, script: Mapping[str, Sequence[CallResult | type[LineDown]]] | None = None) -> None:
        self.requests: list[CallRequest] = []
        self.cancelled: list[str] = []
        self.forgotten: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.channels: Mapping[str, int] = {"simulated": 4}
        self.incoming: asyncio.Queue[Arrival] = asyncio.Queue()
        self.left: list[Arriving] = []
        self.proofs: dict[str, Evidence] = {}
        self.table = LineTable()
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._script = script or {}
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._hang_up: dict[str, asyncio.Event] = {}

    async def start(self) -> None:
        """Be up."""

    async def close(self) -> None:
        """Be down."""

    async def trouble(self) -> str | None:
        """Return nothing: it is always up."""
        return None

    async def ask(self, question: str, name: str = "") -> dict[str, Any]:
        """Answer with what a test has put into :attr:`answers`."""
        return self.answers.get((question, name), {})

    async def publish(self, table: LineTable) -> None:
        """Keep the table for the test to look at."""
        self.table = table

    async def send(self, request: CallRequest, on_event: Callable[[CallEvent], None]) -> CallResult:
        """End as the script says, with the events that lead there."""
        self.requests.append(request)
        entries = self._script.get(request.destination)
        count = self._calls[request.destination]
        self._calls[request.destination] += 1
        end = entries[min(count, len(entries) - 1)] if entries else confirmed(request.pages)
        on_event(Ringing(request.call))
        hung_up = self._hang_up[request.call] = asyncio.Event()
        gate, hang_up = asyncio.ensure_future(self.gate.wait()), asyncio.ensure_future(hung_up.wait())
        await asyncio.wait([gate, hang_up], return_when=asyncio.FIRST_COMPLETED)
        gate.cancel()
        hang_up.cancel()
        if hung_up.is_set():
            return CallResult(request.call, Cause.CANCELLED, 0, last_page_offered=False, simulated=True)
        if not isinstance(end, CallResult):
            raise end
        if end.pages_confirmed:
            on_event(Answered(request.call, t38=True))
            on_event(Negotiated(request.call, 14400, ecm=True, remote_ident="FAR END"))
        for page in range(end.pages_confirmed):
            on_event(PageConfirmed(request.call, page + 1, request.pages))
        return replace(end, call=request.call)

    async def cancel(self, call: str) -> None:
        """Hang the call up."""
        self.cancelled.append(call)
        if call in self._hang_up:
            self._hang_up[call].set()

    async def arrivals(self) -> AsyncIterator[Arrival]:
        """Yield what the test puts into ``incoming``."""
        while True:
            yield await self.incoming.get()

    async def evidence(self, call: str) -> Evidence:
        """Return what the test put into ``proofs``; a call without an entry never began."""
        nothing = Evidence(readable=True, complete=False, last_page_offered=False, pages_confirmed=0, result=None)
        return self.proofs.get(call) or self.proofs.get("") or nothing

    def leftovers(self) -> list[Arriving]:
        """Return what the test put into ``left``."""
        return self.left

    def forget(self, call: str) -> None:
        """Note it."""
        self.forgotten.append(call)


def confirmed(pages: int) -> CallResult:
    """Return the result of a call that delivered everything."""
    return CallResult("", Cause.CONFIRMED, pages, last_page_offered=True, simulated=True, bit_rate=14400, ecm=True)


class PlainConverter:
    """A converter that takes the first source's bytes for the fax, and its lines for pages.

    A source whose bytes are in ``refusals`` is refused so; ``raises`` are raised first, one a call.
    """

    def __init__(self, refusals: Mapping[bytes, Refused] | None = None, raises: Sequence[Exception] = ()) -> None:
        self.made: list[tuple[list[Source], Rendering]] = []
        self.covers: list[Cover | None] = []
        self._refusals = refusals or {}
        self._raises = list(raises)

    async def to_fax(
        self, sources: Sequence[Source], rendering: Rendering, output: Path, *, cover: Cover | None = None
    ) -> FaxDocument:
        """Copy the first source; note the cover."""
        self.covers.append(cover)
        self.made.append((list(sources), rendering))
        if self._raises:
            raise self._raises.pop(0)
        data = sources[0].path.read_bytes()
        if data in self._refusals:
            raise self._refusals[data]
        return _written(output, data)

    async def stamp(self, fax: Path, line: HeaderLine, output: Path) -> FaxDocument:
        """Put the header line before the bytes."""
        return _written(output, f"{line.when}|{line.sender}|{line.destination}|".encode() + fax.read_bytes())

    async def assemble(self, pages: Sequence[FaxStrip], output: Path) -> FaxDocument:
        """Join the strips."""
        return _written(output, b"\n".join(page.strip for page in pages))

    async def to_pdf(
        self,
        fax: Path,
        output: Path,
        title: str,
        *,
        language: str = "en",
        created: str = "",
        texts: Sequence[bytes] = (),
    ) -> None:
        """Call the bytes a PDF, the texts behind them."""
        output.write_bytes(b" ".join([f"%PDF {title} {language} {created}".encode(), fax.read_bytes(), *texts]))

    async def read_page(self, fax: Path, page: int, languages: str, *, seconds: float, wall: float) -> bytes:  # noqa: ARG002  as the real one
        """Return a page's line with its languages."""
        if self._raises:
            raise self._raises.pop(0)
        return fax.read_bytes().split(b"\n")[page - 1].upper() + f" ({languages}, {seconds:.0f} s)".encode()


def _written(output: Path, data: bytes) -> FaxDocument:
    output.write_bytes(data)
    pages = tuple(
        PageReport(number + 1, "source", number + 1, 1728, 2292, 196, len(line), "fax")
        for number, line in enumerate(data.split(b"\n"))
    )
    return FaxDocument(pages, len(data), hashlib.sha256(data).hexdigest())
