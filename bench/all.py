"""``make bench``: every measurement in one table, printed and written to docs/performance.md."""

from __future__ import annotations

import asyncio
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench import accept, callbacks, channels, claims, convert, loss, media, office, policies, received
from bench.table import HEAD, line
from tests.conftest import postgresql_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.table import Row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
TEXT = """\
# Performance

Written by `make bench` on {date}: {cores} cores of {processor}, Python {python}. The machine is shared: trust the
ratios, which compare faxrelay with its peer in turn within one run, not the absolute figures. A ratio of speeds above 1
means that faxrelay is faster; a ratio of bytes below 1 that its pages are smaller and its calls shorter.

* Mail: Postfix's own `smtp-source` as the load, a multipart mail with a one-page PDF, every message synced by both
  before the 250. Postfix queues it; faxrelay, in two accepting processes, parses it in a confined child, asks the
  policy, keeps the document and commits its rows. A signed mail's DKIM signature is verified beside that, with SPF and
  DMARC; Postfix verifies nothing.
* Calls in real time: two lines on this machine, SIP, workers and sandboxes included, eight calls in a worker unless
  their callers are unknown. On such a core Asterisk 20 took 0.28 to 0.33 CPU-seconds a
  channel-minute in G.711, and 0.10 to 0.25 in T.38, when it was measured.
* Pages: Ghostscript's `tiffg4` at 204 x 196 dpi. Ours includes the sandbox and a full decoding of every page that was
  written; CPU, memory and the time to the first page are those of a forked child without the sandbox around it. One
  document after the other finds a child that has warmed up; "without a pause" there is no time for that.
* Office documents: until the fax is whole and checked, in a sandbox that is thrown away; the peer is LibreOffice as fax
  servers call it, without one, and Ghostscript.
* Received faxes: img2pdf in one process, without PDF/A; ours includes the sandbox's child. Words are read (OCR) at the
  lowest priority there is, so that figure is of what the machine had left.
* Callbacks: from the commit of the event to the commit of its call's end, on SQLite with its full syncs, with the
  receiver in a process of its own; each of those that hang holds a call from the start, and all time out together.

"""


def measured() -> Iterator[Row]:
    """Yield every row, as it is measured."""
    yield from accept.rows(accept.COUNTS, rounds=3)
    with postgresql_folder() as server:
        yield from claims.table(server)
    yield from asyncio.run(convert.measure())
    yield from asyncio.run(_office())
    yield from asyncio.run(received.measure())
    yield from channels.rows()
    yield from asyncio.run(_media())
    yield from loss.rows()
    yield from policies.rows()
    yield from callbacks.rows()


async def _office() -> list[Row]:
    return [row async for row in office.rows()]


async def _media() -> list[Row]:
    return [row async for row in media.rows()]


def main() -> None:
    """Measure, print, write."""
    lines = [HEAD]
    print(HEAD)
    for row in measured():
        lines.append(line(row))
        print(lines[-1], flush=True)
    text = TEXT.format(
        date=datetime.now(UTC).date(),
        cores=os.cpu_count(),
        processor=platform.machine(),
        python=platform.python_version(),
    )
    PAGE.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
