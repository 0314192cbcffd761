"""How well faxed pages can be read, ours beside Ghostscript's ``tiffg4`` of the same PDFs.

``python -m tests.integration.converters.legibility`` measures all of :mod:`.sheets` and writes docs/legibility.md; CI
measures a sample. A reader is Tesseract, on the page as the far machine prints it: true proportion, black and white.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from converters import Converter, Mode, Rendering, Resolution, Source
from relay.confine import Confinement, Sandbox

from . import sheets

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE = Path(__file__).resolve().parents[3] / "docs" / "legibility.md"
TEXT = """\
# Can it be read?

Written by `make soak`; `make test` measures a sample. {date}, Tesseract {tesseract}, Ghostscript {ghostscript}.

Each page is a PDF of A4 (or the colour scan of one: 200 dpi, a shade across it, noise, JPEG), converted by faxrelay in
`auto` mode and by Ghostscript (`tiffg4`, 204 dpi across), at fine (196 lines an inch) and standard (98). Tesseract
reads both in true proportion (the mixed page's photograph is covered), as one block or after
its own search for columns, whichever gives more; what counts is how many of the characters are
right (1 less the edit distance over the length). Bytes are those of the page's coded image: 1,800 of them are a second
of line at 14,400 bit/s.

{words}

## Thin lines

Share of the length of twenty rules across and twenty down that is ink on the faxed page.

{lines}

## Photographs

How well the darkness of 2.5 mm squares of the faxed page follows that of the photograph (correlation), and what the
page costs.

{photos}
"""
DOTS = 204 / 25.4
#: Better is not looked for.
_GOOD = 0.99
_STRIP_BYTES = 279  # TIFF 6.0 section 8
_RESOLUTIONS = (Resolution.FINE, Resolution.STANDARD)


@dataclass(frozen=True, slots=True)
class Faxed:
    """A page as it is sent. ``ink``: true is black, in the true proportion of 204 dots an inch both ways.

    ``size``: bytes of its coded image. ``centred``: the sheet is in the middle of the line, not at its left.
    """

    ink: NDArray[np.bool_]
    size: int
    centred: bool


def faxed(tif: Path, *, centred: bool) -> Faxed:
    """Return the first page of a fax document."""
    with Image.open(tif) as page:
        size = sum(page.tag_v2[_STRIP_BYTES])  # type: ignore[attr-defined]
        x_dpi, y_dpi = (float(value) for value in page.info["dpi"])
        tall = page.convert("L").resize((page.width, round(page.height * x_dpi / y_dpi)), Image.Resampling.NEAREST)
    return Faxed(np.asarray(tall) < 128, size, centred)


async def ours(converter: Converter, pdf: Path, resolution: Resolution, mode: Mode = Mode.AUTO) -> Faxed:
    """Return the page as faxrelay sends it."""
    out = pdf.with_name("ours.tif")
    await converter.to_fax([Source(pdf.name, "application/pdf", pdf)], Rendering(resolution, mode), out)
    return faxed(out, centred=True)


def theirs(pdf: Path, resolution: Resolution) -> Faxed:
    """Return the page as Ghostscript makes it."""
    out = pdf.with_name("theirs.tif")
    subprocess.run(
        ["gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=tiffg4", f"-r204x{resolution.dpi}",
         f"-sOutputFile={out}", pdf], check=True,
    )  # fmt: skip
    return faxed(out, centred=False)


def left_of(page: Faxed) -> int:
    """Return the column at which the A4 sheet begins: ours is in the middle of the line, Ghostscript's at its left."""
    return (page.ink.shape[1] - round(210 * DOTS)) // 2 if page.centred else 0


def legible(page: Faxed, sheet: sheets.Sheet, folder: Path) -> float:
    """Return the accuracy with which Tesseract reads the page: on twice the dots, as it wants letters 30 pixels high.

    The better of two ways counts: as one block of text, or after its own search for columns and pictures.
    """
    ink = page.ink.copy()
    if sheet.photo:
        left, top, width, height = (round(value * DOTS) for value in sheets.PHOTO)
        left += left_of(page)
        ink[top - 12 : top + height + 12, left - 12 : left + width + 12] = False
    picture = Image.fromarray(~ink).convert("L").resize((2 * ink.shape[1], 2 * ink.shape[0]), Image.Resampling.BICUBIC)
    picture.save(folder / "read.png", dpi=(408, 408))
    best = 0.0
    for layout in ("6", "3"):
        done = subprocess.run(
            ["tesseract", folder / "read.png", "-", "--psm", layout, "-l", sheet.language],
            check=True, capture_output=True, text=True, env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        best = max(best, accuracy(" ".join(done.stdout.split()), sheet.words))
        if best > _GOOD:
            break
    return best


def accuracy(found: str, meant: str) -> float:
    """Return the share of the meant characters that was found: 1 less the edit distance over the length, at least 0."""
    row = np.arange(len(found) + 1)
    letters = np.array([ord(letter) for letter in found])
    for count, letter in enumerate(meant, 1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(letter)))
        whole = np.concatenate([[count], changed])
        # Insertions run along the row: the least of what stands before, and one for each step.
        row = np.minimum.accumulate(whole - np.arange(len(whole))) + np.arange(len(whole))
    return max(0.0, 1 - float(row[-1]) / len(meant))


def kept(page: Faxed, *, down: bool) -> float:
    """Return which share of the rules' length is ink; rules are where :func:`.sheets.lines` put them."""
    left = left_of(page)
    ink, across, along = (page.ink.T, left, 0) if down else (page.ink, 0, left)
    first, step, length = (27.0, 8.13, 200.0) if down else (30.0, 9.37, 160.0)
    shares = []
    for n in range(20):
        at = round((first + step * n) * DOTS) + across
        rule = slice(round(26 * DOTS) + along, round((24 + length) * DOTS) + along)
        shares.append(ink[at - 5 : at + 9, rule].any(0).mean())
    return float(np.mean(shares))


def follows(page: Faxed, photo: Image.Image) -> float:
    """Return the correlation of the photograph's darkness with the page's, by squares of 20 dots."""
    left, top = round(25 * DOTS) + left_of(page), round(25 * DOTS)
    part = page.ink[top : top + 44 * 20, left : left + 64 * 20].reshape(44, 20, 64, 20).mean((1, 3))
    meant = np.asarray(photo.resize((64, 44), Image.Resampling.BOX), np.float64)
    return float(np.corrcoef(255 - meant.ravel(), part.ravel())[0, 1])


async def measure_words(converter: Converter, folder: Path, sheet: sheets.Sheet, resolution: Resolution) -> list[float]:
    """Return accuracy and bytes of our page, accuracy and bytes of theirs."""
    pdf = sheets.saved(sheet.pdf, folder)
    pages = [await ours(converter, pdf, resolution), theirs(pdf, resolution)]
    return [value for page in pages for value in (legible(page, sheet, folder), page.size)]


async def _words(converter: Converter, folder: Path) -> str:
    out = ["| page | fine: faxrelay | Ghostscript | standard: faxrelay | Ghostscript | bytes, fine | Ghostscript |"]
    out.append("| --- | --- | --- | --- | --- | --- | --- |")
    for sheet in [*sheets.words(), *sheets.scripts(), *sheets.mixed()]:
        fine, standard = [await measure_words(converter, folder, sheet, resolution) for resolution in _RESOLUTIONS]
        shares = " | ".join(f"{value:.1%}" for value in (fine[0], fine[2], standard[0], standard[2]))
        out.append(f"| {sheet.name} | {shares} | {fine[1]:,.0f} | {fine[3]:,.0f} |")
        print(out[-1], flush=True)  # noqa: T201  it takes minutes
    return "\n".join(out)


async def _lines(converter: Converter, folder: Path) -> str:
    out = [
        "| rules | fine: faxrelay | Ghostscript | standard: faxrelay | Ghostscript |",
        "| --- | --- | --- | --- | --- |",
    ]
    for points, colour, pdf in sheets.lines():
        path = sheets.saved(pdf, folder)
        shares = []
        for resolution in _RESOLUTIONS:
            pages = (await ours(converter, path, resolution), theirs(path, resolution))
            shares += [f"{kept(page, down=False):.0%} across, {kept(page, down=True):.0%} down" for page in pages]
        out.append(f"| {points} pt, {colour} | {' | '.join(shares)} |")
    return "\n".join(out)


async def _photos(converter: Converter, folder: Path) -> str:
    out = ["| made by | fine | bytes | standard | bytes |", "| --- | --- | --- | --- | --- |"]
    pdf, photo = sheets.photograph()
    path = sheets.saved(pdf, folder)
    for name, mode in (("faxrelay, auto", Mode.AUTO), ("faxrelay, quality", Mode.QUALITY), ("Ghostscript", None)):
        cells = []
        for resolution in _RESOLUTIONS:
            page = theirs(path, resolution) if mode is None else await ours(converter, path, resolution, mode)
            cells += [f"{follows(page, photo):.3f}", f"{page.size:,}"]
        out.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(out)


async def measured() -> str:
    """Return the report."""
    confinement = Confinement(Sandbox.BUBBLEWRAP, ["converters.worker"])
    converter = Converter(confinement)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            return TEXT.format(
                date=datetime.now(UTC).date(),
                tesseract=_version("tesseract", "--version").split()[1],
                ghostscript=_version("gs", "--version"),
                lines=await _lines(converter, folder),
                photos=await _photos(converter, folder),
                words=await _words(converter, folder),
            )
    finally:
        await confinement.close()


def _version(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0].strip()


if __name__ == "__main__":
    PAGE.write_text(asyncio.run(measured()), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
