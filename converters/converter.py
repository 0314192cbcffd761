"""The converters' front: files in, files out, every byte of outside content read in a confined child.

This side runs in the service's process. It opens the files, hands the descriptors to a child, checks the shape of the
answer and turns a death into what it says about the document. It parses nothing itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import signal
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from converters.document import FaxDocument, PageReport
from converters.errors import Broken, Reason, Refused
from converters.kinds import OLE, ZIP, Kind
from converters.launcher import MIB, Allowance, Death

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from converters.document import Cover, FaxStrip, HeaderLine, Paper, Rendering, Source
    from converters.launcher import Launcher, Office
    from converters.receipt import ReceiptSheet

ENTRY = "converters.worker:serve"
#: Files of one fax: each is a descriptor in the child.
MOST_FILES = 100
#: Bytes of the words of one page.
MOST_TEXT = 8 * MIB
#: Characters of a file's name that travel to the child: names are for sentences.
_NAME = 200
#: How files begin that may be Office documents; whether they are is asked in a child.
_BOXES = (ZIP, OLE, b"{\\rtf")
_TIME = frozenset({-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGPROF})


class Converter:
    """Makes fax documents, PDFs, thumbnails and receipts. Outputs are written in place: name a temporary file.

    Every method raises :class:`Refused` for what the sender can mend and :class:`Broken` for what is ours.
    """

    def __init__(self, launcher: Launcher, allowance: Allowance | None = None, *, office: Office | None = None) -> None:
        """Use ``launcher``; ``allowance`` is what one child may use. Without ``office`` its documents are refused."""
        self._launcher = launcher
        self._office = office
        self._allowance = allowance or Allowance()

    async def to_fax(
        self, sources: Sequence[Source], rendering: Rendering, output: Path, *, cover: Cover | None = None
    ) -> FaxDocument:
        """Make one fax document of the sources, in their order, after a cover page if there is one."""
        if not sources:
            raise Refused(Reason.NO_PAGES)
        if len(sources) > MOST_FILES:
            raise Refused(Reason.TOO_MANY_FILES, sources[MOST_FILES].name, detail=str(MOST_FILES))
        request: dict[str, Any] = {
            "operation": "to_fax",
            "rendering": (rendering.resolution.value, rendering.mode.value, rendering.paper.value, rendering.max_pages),
        }
        if cover is not None:
            request["cover"] = {**asdict(cover), "logo": cover.logo is not None}
        with ExitStack() as stack:
            trace = _scratch(stack, "trace")
            behind = [] if cover is None else [_scratch(stack, "behind the cover")]
            if cover is not None and cover.logo is not None:
                behind.append(_readable(stack, cover.logo))
            opened = [_readable(stack, source.path) for source in sources]
            request["sources"] = [(source.name[:_NAME], source.media_type[:_NAME]) for source in sources]
            await self._open_office(stack, request, opened, rendering, output)
            inputs = [trace, *behind, *opened]
            made = await self._run(stack, request, output, inputs, _Trace(trace, [source.name for source in sources]))
        return await _document(made, output)

    async def _open_office(
        self, stack: ExitStack, request: dict[str, Any], opened: list[int], rendering: Rendering, output: Path
    ) -> None:
        """Put the PDF of each Office document in its place among the ``opened`` sources of ``request``."""
        claims = request["sources"]
        boxed = [index for index, source in enumerate(opened) if os.pread(source, 8, 0).startswith(_BOXES)]
        if self._office is None or not boxed:
            return
        asked = {"operation": "identify", "sources": [claims[index] for index in boxed]}
        told = await self._ask(asked, [opened[index] for index in boxed])
        for index, value in zip(boxed, _kinds(told, len(boxed)), strict=True):
            if not value.office:
                continue
            made = stack.enter_context(tempfile.TemporaryFile(dir=output.parent))  # noqa: SIM115  the stack closes it
            try:
                await self._office.to_pdf(opened[index], made.fileno(), value, rendering.max_pages + 1)
            except Refused as refused:
                raise refused.named(claims[index][0]) from refused
            opened[index] = made.fileno()
            claims[index] = (claims[index][0], "application/pdf")

    async def stamp(self, fax: Path, line: HeaderLine, output: Path) -> FaxDocument:
        """Draw the header line into the top rows of each page; no page grows."""
        request = {"operation": "stamp", "line": (line.when, line.sender, line.destination)}
        with ExitStack() as stack:
            made = await self._run(stack, request, output, [_readable(stack, fax)])
        return await _document(made, output)

    async def assemble(self, pages: Sequence[FaxStrip], output: Path) -> FaxDocument:
        """Make a fax document of received pages."""
        strips, offset = [], 0
        for page in pages:
            strips.append((page.width, page.height, page.x_resolution, page.y_resolution, offset, len(page.strip)))
            offset += len(page.strip)
        with ExitStack() as stack:
            blob = _scratch(stack, "strips")
            for page, strip in zip(pages, strips, strict=True):
                os.pwrite(blob, page.strip, strip[4])
            made = await self._run(stack, {"operation": "assemble", "strips": strips}, output, [blob])
        return await _document(made, output)

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
        """Make a PDF/A-2b of a fax document, coded rows as they are. ``created``: ISO 8601 with zone, or nothing.

        ``texts``: what :meth:`read_page` returned for each page, laid over them unseen.
        """
        sizes = [len(text) for text in texts]
        request = {"operation": "to_pdf", "marks": (title[:500], language, created), "texts": sizes}
        with ExitStack() as stack:
            inputs = [_readable(stack, fax)]
            if any(sizes):
                inputs.append(_scratch(stack, "texts"))
                os.pwrite(inputs[1], b"".join(texts), 0)
            await self._run(stack, request, output, inputs)

    async def read_page(self, fax: Path, page: int, languages: str, *, seconds: float, wall: float) -> bytes:
        """Return the words of a page (1 is the first) for :meth:`to_pdf`, empty where there are none.

        ``languages``: as Tesseract names them, ``eng+heb``. ``seconds``: of a processor, at most; ``wall``: of the
        clock, which passes while others need the processor.
        """
        request = {"operation": "read", "page": page, "languages": languages, "seconds": seconds}
        allowance = replace(self._allowance, cpu=math.ceil(seconds) + 5, wall=wall)
        with ExitStack() as stack:
            text = _scratch(stack, "text")
            size = await self._ask(request, [text, _readable(stack, fax)], allowance=allowance)
            if not (isinstance(size, int) and 0 <= size <= MOST_TEXT):
                raise Broken("the converter's answer is not the size of a page's text")
            return os.pread(text, size, 0)

    async def thumbnails(self, fax: Path, pages: Sequence[int], width: int) -> list[bytes]:
        """Return gray PNGs, ``width`` pixels wide, of the fax document's ``pages`` (1 is the first)."""
        request = {"operation": "thumbnails", "pages": list(pages), "width": width}
        with ExitStack() as stack:
            blob = _scratch(stack, "thumbnails")
            sizes = await self._ask(request, [blob, _readable(stack, fax)])
            if not (isinstance(sizes, list) and len(sizes) == len(pages)):
                raise Broken("the converter's answer is not the thumbnails' sizes")
            pictures, offset = [], 0
            for size in sizes:
                pictures.append(os.pread(blob, size, offset))
                offset += size
            return pictures

    async def preview(self, fax: Path, page: int, output: Path) -> None:
        """Make a PNG of a page (1 is the first) with the very pixels that are sent, in true proportion."""
        with ExitStack() as stack:
            await self._run(stack, {"operation": "preview", "page": page}, output, [_readable(stack, fax)])

    async def receipt_pdf(
        self,
        sheet: ReceiptSheet,
        language: str,
        output: Path,
        *,
        paper: Paper,
        fax: Path | None = None,
        pages: Sequence[int] = (1,),
    ) -> None:
        """Draw a receipt; with ``fax`` it shows the transmitted bitmap of ``pages``."""
        request = {
            "operation": "receipt",
            "sheet": dict(sheet),
            "language": language,
            "paper": paper.value,
            "pages": list(pages) if fax else [],
        }
        with ExitStack() as stack:
            await self._run(stack, request, output, [_readable(stack, fax)] if fax else [])

    async def _run(
        self,
        stack: ExitStack,
        request: Mapping[str, Any],
        output: Path,
        inputs: Sequence[int],
        trace: _Trace | None = None,
    ) -> Any:
        """Open the output, hand it over first, and return what was done."""
        descriptor = os.open(output, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        return await self._ask(request, [descriptor, *inputs], trace)

    async def _ask(
        self,
        request: Mapping[str, Any],
        fds: Sequence[int],
        trace: _Trace | None = None,
        allowance: Allowance | None = None,
    ) -> Any:
        try:
            answer = await self._launcher.run(ENTRY, request, fds, allowance or self._allowance)
        except Exception as fault:
            if not isinstance(fault, Death):
                raise
            raise _of_death(fault, trace.source() if trace else "") from fault
        if (refused := answer.get("refused")) is not None:
            raise _refused(refused, answer.get("detail"), trace)
        if "done" not in answer:
            raise Broken(str(answer.get("broken", "the converter gave no answer")))
        return answer["done"]


class _Trace:
    """Which source the child was at: written by it, read after its death, believed within the list only."""

    def __init__(self, descriptor: int, names: Sequence[str]) -> None:
        self._descriptor = descriptor
        self._names = names

    def source(self) -> str:
        """Return the name of the source that was being read."""
        index = int.from_bytes(os.pread(self._descriptor, 4, 0), "big")
        return self._names[index] if index < len(self._names) else ""


def _kinds(told: Any, count: int) -> list[Kind]:
    try:
        kinds = [Kind(value) for value in told]
    except (TypeError, ValueError) as fault:
        raise Broken("the converter's answer is not a list of kinds") from fault
    if len(kinds) != count:
        raise Broken("the converter's answer does not name each kind")
    return kinds


def _of_death(death: Death, source: str) -> Exception:
    """Return what a child's end says: out of time, brought down by the document, or ours (SIGKILL)."""
    if death.status in _TIME or death.took_too_long:
        return Refused(Reason.TOO_LONG, source)
    if death.status is not None and death.status < 0 and death.status != -signal.SIGKILL:
        return Refused(Reason.DAMAGED, source)
    return Broken(f"the converter ended: {death}")


def _refused(told: Any, detail: Any, trace: _Trace | None) -> Exception:
    """Return the child's refusal; the sentence is made here, where the child cannot write it."""
    try:
        reason, source = Reason(told["reason"]), str(told["source"])
    except (KeyError, TypeError, ValueError):
        return Broken("the converter's refusal is none of the known ones")
    return Refused(reason, source or (trace.source() if trace else ""), detail=str(detail or ""))


async def _document(made: Any, output: Path) -> FaxDocument:
    try:
        pages = tuple(
            PageReport(int(n), str(s), int(p), int(w), int(h), int(y), int(b), str(t))
            for n, s, p, w, h, y, b, t in made
        )
    except (TypeError, ValueError) as fault:
        raise Broken("the converter's answer is not a report of pages") from fault
    size, sha256 = await asyncio.to_thread(_digest, output)
    return FaxDocument(pages, size, sha256)


def _digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _readable(stack: ExitStack, path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _scratch(stack: ExitStack, name: str) -> int:
    """Return a descriptor of bytes in memory that goes with the block."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor
