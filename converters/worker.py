"""The confined child: one request, one operation, one answer (entry :func:`serve`; the launcher calls it).

Requests name an operation and carry descriptors beside them; nothing in here opens a file of ours by name. Answers are
``{"done": ...}``, ``{"refused": {...}}`` for a fault of the document, or ``{"broken": "..."}`` for one of ours. A page
that takes longer than :data:`PAGE_SECONDS` ends the child by SIGALRM, whose default action no library can catch;
``trace``, a shared page of memory, tells the parent at which source a child died.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import traceback
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Protocol

from converters import assembly, faxing, faxpdf, header, heap, readers, receiptpdf, tesseract, textlayer, thumbnails
from converters.containers import identify
from converters.document import Cover, FaxStrip, HeaderLine, PageReport, Paper, Rendering
from converters.errors import Broken, Reason, Refused
from converters.logo import MOST_BYTES as MOST_LOGO

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that one page may take, and the layout of a text. A colour scan of the worst honest kind takes one.
PAGE_SECONDS = 30.0
#: Seconds without a request after which a child warms up. Not at once: of many documents it would slow the others.
IDLE = 0.01
#: Pages of a fax document that an operation on finished documents takes.
MOST_PAGES = 2000
#: A small page with words in two fonts that it does not bring, on paper and on a tint (ISO 32000-1; the table of its
#: objects is left for PDFium to find).
_SHEET = b"""%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Count 1 /Kids [3 0 R]>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 90 60] /Contents 4 0 R /Resources
<</Font <</A <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>
/B <</Type /Font /Subtype /Type1 /BaseFont /Times-Roman>>>>>>>> endobj
4 0 obj <</Length 110>> stream
0.8 0.8 1 rg 5 5 80 20 re f 0 g BT /A 9 Tf 9 11 Td (on a tint) Tj ET 0.4 g BT /B 9 Tf 9 40 Td (on paper) Tj ET
endstream endobj
trailer <</Root 1 0 R /Size 5>>
%%EOF
"""


class Channel(Protocol):
    """The child's end: a blocking message channel with descriptors."""

    def fileno(self) -> int:
        """Return the descriptor that can be read when a request has come."""

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the request, ``None`` if the parent is gone."""

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send the answer."""


def warm() -> None:
    """Make a fax of a small page of our own: what that loads, each child of this process has."""
    sheet, output = os.memfd_create("sheet"), os.memfd_create("output")
    try:
        os.write(sheet, _SHEET)
        faxing.make([readers.File("", "", sheet)], Rendering(), output, lambda _: None)
    finally:
        os.close(sheet)
        os.close(output)


def serve(channel: Channel, fds: list[int]) -> None:  # noqa: ARG001  the launcher's signature
    """Answer one request; while there is none, get ready for it."""
    heap.prepare()
    if not select.select([channel], [], [], IDLE)[0]:
        with contextlib.suppress(Exception):  # the request may have nothing to do with it, and goes all the same
            warm()
    received = channel.receive()
    if received is None:
        return
    request, descriptors = received
    channel.send(_answer(request, descriptors))


def _answer(request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    _tick()
    try:
        done = OPERATIONS[request["operation"]](request, descriptors)
    except Refused as refused:
        told = {"reason": refused.reason.value, "source": refused.source, "sentence": refused.sentence}
        return {"refused": told, "detail": refused.detail}
    except MemoryError:
        return {"refused": {"reason": Reason.TOO_LARGE.value, "source": "", "sentence": ""}, "detail": ""}
    except Broken as fault:
        return {"broken": str(fault)}
    except Exception:  # noqa: BLE001  the parent tells a fault of ours from a death; nothing else sees it
        return {"broken": traceback.format_exc()[-2000:]}
    return {"done": done}


def _tick() -> None:
    """Give the next page its time."""
    signal.setitimer(signal.ITIMER_REAL, PAGE_SECONDS)


def _to_fax(request: dict[str, Any], descriptors: list[int]) -> Any:
    output, trace, *rest = descriptors
    told = request.get("cover")
    first = 0 if told is None else 1 + told["logo"]
    beside, sources = rest[:first], rest[first:]
    files = [
        readers.File(name, media_type, descriptor)
        for (name, media_type), descriptor in zip(request["sources"], sources, strict=True)
    ]

    def progress(index: int) -> None:
        os.pwrite(trace, index.to_bytes(4, "big"), 0)
        _tick()

    rendering = Rendering.of_settings(*request["rendering"])
    if told is None:
        return _reports(faxing.make(files, rendering, output, progress))
    logo = os.pread(beside[1], MOST_LOGO, 0) if told["logo"] else b""
    cover = Cover(**{**told, "sender": tuple(told["sender"]), "logo": None})
    return _reports(faxing.make_covered(files, cover, rendering, output, beside[0], progress, logo=logo))


def _identify(request: dict[str, Any], descriptors: list[int]) -> Any:
    """Tell the kind of each source: who asks starts an office program for some."""
    kinds = []
    for (name, media_type), descriptor in zip(request["sources"], descriptors, strict=True):
        with open(descriptor, "rb", closefd=False) as stream:
            kinds.append(identify(stream, name, media_type).value)
    return kinds


def _stamp(request: dict[str, Any], descriptors: list[int]) -> Any:
    output, fax = descriptors
    return _reports(header.stamp(fax, HeaderLine(*request["line"]), output, MOST_PAGES, _tick))


def _assemble(request: dict[str, Any], descriptors: list[int]) -> Any:
    output, blob = descriptors
    strips = (
        FaxStrip(width, height, x_resolution, y_resolution, os.pread(blob, size, offset))
        for width, height, x_resolution, y_resolution, offset, size in request["strips"]
    )
    return _reports(assembly.assemble(strips, output, _tick))


def _to_pdf(request: dict[str, Any], descriptors: list[int]) -> Any:
    output, fax, *read = descriptors
    texts, offset = [], 0
    for size in request["texts"]:
        texts.append(textlayer.loaded(os.pread(read[0], size, offset)) if size else [])
        offset += size
    with open(output, "wb", closefd=False) as stream:
        return faxpdf.write(fax, stream, faxpdf.Marks(*request["marks"]), MOST_PAGES, texts)


def _read(request: dict[str, Any], descriptors: list[int]) -> Any:
    """Read the words of one page: whoever does it waits for processors that others need, so those seconds count."""
    output, fax = descriptors
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, request["seconds"])  # SIGPROF ends it as SIGALRM does the others
    words = tesseract.read(fax, request["page"], request["languages"])
    if not words:
        return 0
    return os.pwrite(output, textlayer.dumped(words), 0)


def _thumbnails(request: dict[str, Any], descriptors: list[int]) -> Any:
    output, fax = descriptors
    pictures = thumbnails.thumbnails(fax, request["pages"], request["width"])
    with open(output, "wb", closefd=False) as stream:
        stream.write(b"".join(pictures))
    return [len(picture) for picture in pictures]


def _preview(request: dict[str, Any], descriptors: list[int]) -> Any:
    output, fax = descriptors
    with open(output, "wb", closefd=False) as stream:
        return stream.write(thumbnails.preview(fax, request["page"]))


def _receipt(request: dict[str, Any], descriptors: list[int]) -> Any:
    output, *fax = descriptors
    pictures = receiptpdf.pictures_of(fax[0], request["pages"]) if fax else []
    made = receiptpdf.draw(request["sheet"], request["language"], Paper(request["paper"]), pictures)
    with open(output, "wb", closefd=False) as stream:
        stream.write(made)
    return len(made)


def _reports(reports: list[PageReport]) -> list[list[Any]]:
    return [list(astuple(report)) for report in reports]


OPERATIONS: dict[str, Callable[[dict[str, Any], list[int]], Any]] = {
    "identify": _identify,
    "to_fax": _to_fax,
    "stamp": _stamp,
    "assemble": _assemble,
    "to_pdf": _to_pdf,
    "read": _read,
    "thumbnails": _thumbnails,
    "preview": _preview,
    "receipt": _receipt,
}
