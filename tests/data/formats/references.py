"""Writes the reference pictures anew (``python -m tests.data.formats.references``): look at each before committing it.

They are what the picture tests compare with, so they change only where a person prefers the new one.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from converters import Converter, Rendering, Source
from relay.confine import Confinement, Sandbox
from relay.office import Office

HERE = Path(__file__).parent
#: Samples that look like another one, whose references they share.
ALIKE = {f"turned-{orientation}.jpg": "turned-1.jpg" for orientation in range(2, 9)} | {"lying-6.tif": "lying-3.tif"}
WIDTH = 288
NO_SAMPLES = {".py"}


async def make() -> None:
    """Write the small picture of every page of the samples that are named, or of all."""
    confinement = Confinement(Sandbox.BUBBLEWRAP, ["converters.worker"])
    with tempfile.TemporaryDirectory() as folder:
        office = Office(Sandbox.BUBBLEWRAP, Path(folder) / "office")
        converter, out = Converter(confinement, office=office), Path(folder) / "out.tif"
        for sample in [HERE / name for name in sys.argv[1:]] or sorted(HERE.iterdir()):
            if not sample.is_file() or sample.suffix in NO_SAMPLES or sample.name in ALIKE:
                continue
            made = await converter.to_fax([Source(sample.name, "", sample)], Rendering(), out)
            pictures = await converter.thumbnails(out, range(1, len(made.pages) + 1), WIDTH)
            for number, picture in enumerate(pictures, 1):
                (HERE / "references" / f"{sample.name}-{number}.png").write_bytes(picture)
        await office.close()
    await confinement.close()


if __name__ == "__main__":
    asyncio.run(make())
