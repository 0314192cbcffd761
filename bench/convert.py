"""Documents to fax pages: ours in its sandbox beside Ghostscript's tiffg4, the same inputs in turn.

Prints a table: pages a second, bytes a page, and ratios (speed above 1: ours is faster; size below 1: smaller).
``python bench/convert.py [FILE.pdf ...]``
"""

from __future__ import annotations

import asyncio
import io
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pikepdf
from PIL import Image

from bench.table import Row, line
from converters import Converter, Rendering, Source
from relay.confine import Confinement, Sandbox

DOCUMENTS = Path(__file__).parent.parent / "tests" / "data" / "documents"
ROUNDS = 7
GHOSTSCRIPT = ("gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE")


def inputs(folder: Path) -> list[Path]:
    """Return the letter of one page, a text of twenty, the letter with a photo, and a scan of four pages."""
    letter, photo = DOCUMENTS / "one-page.pdf", DOCUMENTS / "two-pages.pdf"
    twenty, scan = folder / "text-20.pdf", folder / "scan-4.pdf"
    with pikepdf.new() as book, pikepdf.open(letter) as page:
        for _ in range(20):
            book.pages.extend(page.pages)
        book.save(twenty)
    drawn = io.BytesIO()
    subprocess.run(
        [
            "gs",
            "-q",
            "-dSAFER",
            "-dBATCH",
            "-dNOPAUSE",
            "-sDEVICE=png16m",
            "-r200",
            f"-sOutputFile={folder}/scan.png",
            letter,
        ],
        check=True,
    )
    with Image.open(folder / "scan.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float32)
    shade = np.linspace(0.82, 0.97, pixels.shape[1], dtype=np.float32)[None, :, None]
    seen = (14 + pixels * 0.93) * shade + np.random.default_rng(1).normal(0, 4, pixels.shape)
    sheet = Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8))
    sheet.save(drawn, "PDF", resolution=200, quality=75, save_all=True, append_images=[sheet] * 3)
    scan.write_bytes(drawn.getvalue())
    return [letter, twenty, photo, scan]


def ghostscript(document: Path, output: Path) -> None:
    """Convert as fax servers do with Ghostscript."""
    subprocess.run(
        [*GHOSTSCRIPT, "-sDEVICE=tiffg4", "-r204x196", "-sPAPERSIZE=a4", "-dFIXEDMEDIA",
         "-dPDFFitPage", f"-sOutputFile={output}", document],
        check=True,
    )  # fmt: skip


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
            for document in documents or inputs(folder):
                found += await compare(converter, document, folder)
    finally:
        await confinement.close()
    return found


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
    return [
        Row(f"{what}: pages a second", f"{pages / a:.1f}", f"Ghostscript {pages / b:.1f}", f"{b / a:.2f}"),
        Row(f"{what}: bytes a page", f"{sizes[0]:.0f}", f"Ghostscript {sizes[1]:.0f}", f"{sizes[0] / sizes[1]:.2f}"),
    ]


if __name__ == "__main__":
    for row in asyncio.run(measure([Path(argument) for argument in sys.argv[1:]])):
        print(line(row))
