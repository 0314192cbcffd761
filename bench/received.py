"""A received fax to a PDF: ours in its sandbox beside img2pdf in this process, the same fax in turn.

Both embed the coded rows as they are; the figures are of the whole step, the sandbox's child included in ours. img2pdf
parses in the process that calls it and writes no PDF/A. ``python -m bench.received``
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import img2pdf  # type: ignore[import-untyped]
import pikepdf

from bench.convert import inputs
from bench.table import Row, line
from converters import Converter, Rendering, Source, faxpdf
from converters.tiff import opened
from relay.confine import Confinement, Sandbox

ROUNDS = 15
#: The most that the issue allows a page without its words being read, in milliseconds.
MOST = 50.0


async def measure() -> list[Row]:
    """Measure in turn, so that whatever else runs on the machine slows both."""
    confinement = Confinement(Sandbox.BUBBLEWRAP, preload=["converters.worker"])
    converter = Converter(confinement)
    found: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            wanted = {"one-page": "1 page", "tinted-letter-20": "20 pages"}
            for document in inputs(folder):
                if document.stem in wanted:
                    found += await compare(converter, document, wanted[document.stem], folder)
    finally:
        await confinement.close()
    return found


async def compare(converter: Converter, document: Path, what: str, folder: Path) -> list[Row]:
    """Make PDFs of one fax with both, several times; ours must have the fax's very rows."""
    fax, ours, theirs = folder / "fax.tif", folder / "ours.pdf", folder / "theirs.pdf"
    source = Source(document.name, "application/pdf", document)
    pages = len((await converter.to_fax([source], Rendering(), fax)).pages)
    seconds: list[tuple[float, float]] = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        await converter.to_pdf(fax, ours, "Fax", created="2026-11-21T02:03:04+00:00")
        middle = time.perf_counter()
        with theirs.open("wb") as output:
            img2pdf.convert(str(fax), outputstream=output)
        seconds.append((middle - start, time.perf_counter() - middle))
    same_rows(fax, ours)
    a, b = (statistics.median(pair[side] for pair in seconds[1:]) for side in (0, 1))
    assert a / pages * 1000 < MOST
    sizes = [path.stat().st_size / pages for path in (ours, theirs)]
    start = time.perf_counter()
    words = await converter.read_page(fax, 1, "eng", seconds=60.0, wall=300.0)
    read = time.perf_counter() - start
    assert words
    rows = [
        Row(
            f"received fax to PDF, {what}: ms a page", f"{a / pages * 1000:.1f}", f"img2pdf {b / pages * 1000:.1f}",
            f"{b / a:.2f}",
        ),
        Row(
            f"received fax to PDF, {what}: bytes a page", f"{sizes[0]:.0f}", f"img2pdf {sizes[1]:.0f}",
            f"{sizes[0] / sizes[1]:.2f}",
        ),
    ]  # fmt: skip
    return rows if pages > 1 else [*rows, Row("received fax, words of a page read (OCR)", f"{read:.1f} s")]


def same_rows(fax: Path, pdf: Path) -> None:
    """Assert that the PDF's pages have the coded rows of the fax, bit for bit (TIFF orders the bits of a byte anew)."""
    with fax.open("rb") as file, opened(file.fileno()) as reader, pikepdf.open(pdf) as made:
        for page, _ in zip(made.pages, reader.directories(len(made.pages) - 1), strict=True):
            image = page.obj.Resources.XObject.F
            assert image.read_raw_bytes() == reader.raw_strip().translate(faxpdf._MIRRORED)  # noqa: SLF001  the orders


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(line(row))
