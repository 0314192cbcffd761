"""Documents to fax pages: ours in its sandbox beside Ghostscript's tiffg4, the same inputs in turn.

Prints a table: pages a second, bytes a page, and ratios (speed above 1: ours is faster; size below 1: smaller).
``python bench/convert.py [FILE.pdf ...]``
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pikepdf
from PIL import Image
from weasyprint import HTML  # type: ignore[import-untyped]

from bench.table import Row, line
from converters import Converter, Rendering, Source, faxing, heap, readers, worker
from relay.confine import Confinement, Sandbox
from relay.preload import preload

if TYPE_CHECKING:
    from collections.abc import Callable

Measured = TypeVar("Measured")
DOCUMENTS = Path(__file__).parent.parent / "tests" / "data" / "documents"
ROUNDS = 7
IN_A_ROW = 20
#: Progress is told before each file and after each page.
FIRST_PAGE = 2
GHOSTSCRIPT = ("gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE")


def inputs(folder: Path) -> list[Path]:
    """Return documents of one page and of many, plain and tinted, drawn and scanned in colour."""
    letter, photo = DOCUMENTS / "one-page.pdf", DOCUMENTS / "two-pages.pdf"
    plain, note = folder / "plain-text.pdf", folder / "plain-note.pdf"
    plain.write_bytes(HTML(string=_TEXT * 9).write_pdf())
    note.write_bytes(HTML(string=_TEXT * 3).write_pdf())
    texts = [_times(plain, 20, folder / "plain-text-20.pdf"), _times(letter, 20, folder / "tinted-letter-20.pdf")]
    scan = _scanned(letter, folder)
    return [note, plain, letter, scan, photo, *texts, _times(scan, 4, folder / "colour-scan-4.pdf")]


#: A paragraph of black on white; nine fill a page.
_TEXT = (
    "<style>@page { size: A4; margin: 22mm } body { font: 11pt 'Liberation Serif'; text-align: justify }</style><p>"
    + "The levels were read at seven in the morning and at seven in the evening, as in the years before. " * 6
)


def _times(document: Path, count: int, output: Path) -> Path:
    """Write a document of so many of the first page."""
    with pikepdf.new() as book, pikepdf.open(document) as page:
        for _ in range(count):
            book.pages.append(page.pages[0])
        book.save(output)
    return output


def _scanned(document: Path, folder: Path) -> Path:
    """Write a colour scan of 200 dpi: a shade across it, noise, JPEG."""
    command = [*GHOSTSCRIPT, "-sDEVICE=png16m", "-r200", f"-sOutputFile={folder}/scan.png", str(document)]
    subprocess.run(command, check=True)
    with Image.open(folder / "scan.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float32)
    shade = np.linspace(0.82, 0.97, pixels.shape[1], dtype=np.float32)[None, :, None]
    seen = (14 + pixels * 0.93) * shade + np.random.default_rng(1).normal(0, 4, pixels.shape)
    scan = folder / "colour-scan.pdf"
    Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).save(scan, "PDF", resolution=200, quality=75)
    return scan


def ghostscript(document: Path, output: Path) -> None:
    """Convert as fax servers do with Ghostscript."""
    subprocess.run(
        [*GHOSTSCRIPT, "-sDEVICE=tiffg4", "-r204x196", "-sPAPERSIZE=a4", "-dFIXEDMEDIA",
         "-dPDFFitPage", f"-sOutputFile={output}", document],
        check=True,
    )  # fmt: skip


def _cpu(document: Path, output: Path) -> float:
    """Return Ghostscript's CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ghostscript(document, output)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fresh(measure: Callable[..., Measured], *about: Path) -> Measured:
    """Measure in a process that is as the sandbox's parent is: what else a bench has loaded is not in the figure."""
    with ProcessPoolExecutor(1, get_context("spawn"), preload, (["converters.worker"],)) as process:
        return process.submit(measure, *about).result()


def alone(document: Path) -> tuple[float, float, float]:
    """Convert in a fork, as the sandbox's parent forks its children; return CPU seconds, megabytes, time to a page."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        heap.prepare()
        start, calls = time.perf_counter(), 0

        def progress(_: int) -> None:
            nonlocal calls
            calls += 1
            if calls == FIRST_PAGE:
                os.write(tell, struct.pack("d", time.perf_counter() - start))

        file = readers.File(document.name, "", os.open(document, os.O_RDONLY))
        faxing.make([file], Rendering(), os.memfd_create("out"), progress)
        os._exit(0)
    os.close(tell)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{document} could not be converted")
    with os.fdopen(told, "rb") as answer:
        (first,) = struct.unpack("d", answer.read())
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, first


def warming() -> float:
    """Return the CPU seconds that a child takes to warm up while it waits."""
    child = os.fork()
    if child == 0:
        heap.prepare()
        worker.warm()
        os._exit(0)
    _, _, usage = os.wait4(child, 0)
    return usage.ru_utime + usage.ru_stime


def pages_of(output: Path) -> int:
    """Return the pages of a TIFF."""
    with Image.open(output) as picture:
        return int(getattr(picture, "n_frames", 1))


async def measure(documents: list[Path] | None = None) -> list[Row]:
    """Measure in turn, so that whatever else runs on the machine slows both."""
    confinement = Confinement(Sandbox.BUBBLEWRAP, preload=["converters.worker"])
    converter = Converter(confinement)
    found: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            documents = documents or inputs(folder)
            for document in documents:
                found += await compare(converter, document, folder)
            found.append(await in_a_row(converter, documents[0], folder))
        warm = fresh(warming)
        found.append(Row("a waiting child's warming up, in none of the rows above: CPU", f"{warm * 1000:.0f} ms"))
    finally:
        await confinement.close()
    return found


async def in_a_row(converter: Converter, document: Path, folder: Path) -> Row:
    """Convert a document many times without a pause: no child waits long enough to warm up."""
    source, ours, theirs = Source(document.name, "application/pdf", document), folder / "ours.tif", folder / "gs.tif"
    rates: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(IN_A_ROW):
            await converter.to_fax([source], Rendering(), ours)
        middle = time.perf_counter()
        for _ in range(IN_A_ROW):
            ghostscript(document, theirs)
        rates.append((IN_A_ROW / (middle - start), IN_A_ROW / (time.perf_counter() - middle)))
    a, b = (statistics.median(pair[side] for pair in rates) for side in (0, 1))
    what = f"{document.stem}, {IN_A_ROW} documents without a pause: documents a second"
    return Row(what, f"{a:.1f}", f"Ghostscript {b:.1f}", f"{a / b:.2f}")


async def compare(converter: Converter, document: Path, folder: Path) -> list[Row]:
    """Convert one document with both, several times."""
    ours, theirs = folder / "ours.tif", folder / "gs.tif"
    source = Source(document.name, "application/pdf", document)
    seconds: list[tuple[float, float]] = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        await converter.to_fax([source], Rendering(), ours)
        middle = time.perf_counter()
        ghostscript(document, theirs)
        seconds.append((middle - start, time.perf_counter() - middle))
    a, b = (statistics.median(pair[side] for pair in seconds[1:]) for side in (0, 1))
    pages = pages_of(ours)
    sizes = [path.stat().st_size / pages for path in (ours, theirs)]
    what = f"{document.stem}, {pages} page{'s' * (pages != 1)}"
    (cpu, memory, first), their_cpu = fresh(alone, document), _cpu(document, theirs)
    return [
        Row(f"{what}: pages a second", f"{pages / a:.1f}", f"Ghostscript {pages / b:.1f}", f"{b / a:.2f}"),
        Row(f"{what}: bytes a page", f"{sizes[0]:.0f}", f"Ghostscript {sizes[1]:.0f}", f"{sizes[0] / sizes[1]:.2f}"),
        Row(
            f"{what}: CPU a page", f"{cpu / pages * 1000:.0f} ms", f"Ghostscript {their_cpu / pages * 1000:.0f} ms",
            f"{cpu / their_cpu:.2f}",
        ),
        Row(f"{what}: first page ready, peak memory", f"{first * 1000:.0f} ms, {memory:.0f} MB"),
    ]  # fmt: skip


if __name__ == "__main__":
    for row in asyncio.run(measure([Path(argument) for argument in sys.argv[1:]])):
        print(line(row))
