"""Office documents to their first fax page: with a LibreOffice that stands ready, and with one that is started for it.

Prints a table: median and worst. ``python -m bench.office``. The peer is LibreOffice as fax servers call it, ``soffice
--convert-to pdf`` with a profile that it has made before, and Ghostscript's ``tiffg4`` of the PDF.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.table import HEAD, Row, line
from converters import Converter, Rendering, Source
from relay.confine import Confinement, Sandbox
from relay.office import Office
from relay.office_cell import SOFFICE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FORMATS = Path(__file__).parent.parent / "tests" / "data" / "formats"
DOCUMENTS = ("letter.docx", "sheet.xlsx", "slides.pptx")
ROUNDS = 9


async def rows() -> AsyncIterator[Row]:
    """Yield a row for each document and way of starting, and one for the very first document of a new service."""
    confinement = Confinement(Sandbox.BUBBLEWRAP, preload=["converters.worker"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            new = Office(Sandbox.BUBBLEWRAP, folder / "new", spares=0)
            first = await _seconds(Converter(confinement, office=new), DOCUMENTS[0], folder)
            yield Row("the first document of all, the profile made for it", f"{first:.2f} s")
            started = time.perf_counter()
            await (baked := Office(Sandbox.BUBBLEWRAP, folder / "office", spares=0)).bake()
            yield Row(
                "the profile, in the background when the service starts", f"{time.perf_counter() - started:.2f} s"
            )
            first = await _seconds(Converter(confinement, office=baked), DOCUMENTS[0], folder)
            yield Row("the first document of all, the profile made before", f"{first:.2f} s")
            for spares, what in ((1, "a LibreOffice stands ready"), (0, "a LibreOffice is started for it")):
                office = Office(Sandbox.BUBBLEWRAP, folder / "office", spares=spares)
                converter = Converter(confinement, office=office)
                for document in DOCUMENTS:
                    yield await _compared(converter, office, document, what, folder)
                await office.close()
        finally:
            await confinement.close()


async def _compared(converter: Converter, office: Office, document: str, what: str, folder: Path) -> Row:
    ours, theirs = [], []
    await _seconds(converter, document, folder)
    _theirs(FORMATS / document, folder)
    for _ in range(ROUNDS):
        await asyncio.gather(*office._ready)  # noqa: SLF001  the next document comes when the spare stands ready
        ours.append(await _seconds(converter, document, folder))
        theirs.append(_theirs(FORMATS / document, folder))
    a, b = statistics.median(ours), statistics.median(theirs)
    peer = f"soffice and Ghostscript {b:.2f} s, at worst {max(theirs):.2f} s"
    return Row(f"{document}, {what}", f"{a:.2f} s, at worst {max(ours):.2f} s", peer, f"{b / a:.2f}")


async def _seconds(converter: Converter, document: str, folder: Path) -> float:
    """Return how long one document takes until its fax is whole and checked."""
    started = time.perf_counter()
    await converter.to_fax([Source(document, "", FORMATS / document)], Rendering(), folder / "out.tif")
    return time.perf_counter() - started


def _theirs(document: Path, folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(
        [SOFFICE, "--headless", "--norestore", f"-env:UserInstallation=file://{folder}/theirs", "--convert-to", "pdf",
         "--outdir", folder, document], check=False, capture_output=True,
    )  # fmt: skip
    made = folder / f"{document.stem}.pdf"
    if made.exists():  # the first time LibreOffice makes its profile, and ends
        subprocess.run(
            ["gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=tiffg4", "-r204x196",
             f"-sOutputFile={folder}/gs.tif", made], check=True,
        )  # fmt: skip
    return time.perf_counter() - started


async def _print() -> None:
    print(HEAD)
    async for row in rows():
        print(line(row), flush=True)


if __name__ == "__main__":
    asyncio.run(_print())
