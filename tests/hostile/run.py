"""Runs hostile documents as the service would, and watches what they reach: a listener, a file, the time, the memory.

``python -m tests.hostile.run`` runs all of them and writes docs/hostile.md (``make soak``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from converters import Broken, Converter, Refused, Rendering, Source
from relay.confine import MIB, Confinement, Sandbox
from relay.office import Office, missing
from relay.office_cell import tree

from .macros import MACROS
from .office import OFFICE
from .papers import PAPERS
from .pictures import PICTURES
from .sample import Aim
from .web import WEB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .sample import Sample, Samples

ALL: Samples = PAPERS | PICTURES | WEB | OFFICE | MACROS
SECONDS = 60.0
MEMORY = 1024 * MIB
REPORT = Path(__file__).parents[2] / "docs" / "hostile.md"
_SECRET = "the canary's own words"


@dataclass
class Range:
    """Where hostile documents are let loose: a converter as the service has it, a listener and a canary."""

    converter: Converter
    folder: Path
    aim: Aim
    canary: Path
    packets: list[str] = field(default_factory=list)

    async def shoot(self, sample: Sample) -> Hit:
        """Convert one and tell what came of it."""
        source = self.folder / "in"
        source.write_bytes(await asyncio.to_thread(sample.make, self.aim))
        self.canary.write_text(_SECRET, encoding="ascii")
        os.utime(self.canary, (1, self.canary.stat().st_mtime))  # a read would set this time anew
        before, peak = set(tree(os.getpid())), _Peak()
        started = time.monotonic()
        watching = asyncio.create_task(peak.watch())
        try:
            made = await self.converter.to_fax([Source(sample.name, "", source)], Rendering(), self.folder / "out.tif")
            said = f"a fax of {len(made.pages)} page{'s' * (len(made.pages) != 1)}"
        except Refused as refused:
            said = f"refused: {refused.reason.value}"
        except Broken as fault:
            said = f"BROKEN: {fault}"
        seconds = time.monotonic() - started
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        read = self.canary.stat().st_atime != 1 or self.canary.read_text(encoding="ascii") != _SECRET
        return Hit(
            said, seconds, peak.bytes, len(self.packets), touched=read, left=len(set(tree(os.getpid())) - before)
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """What came of a hostile document. ``memory``: bytes of the largest process that read it."""

    said: str
    seconds: float
    memory: int
    packets: int
    touched: bool
    left: int

    @property
    def harmless(self) -> bool:
        """Whether it ended in a refusal or a fax, in time, within its memory, and touched nothing."""
        good = self.said.startswith(("a fax", "refused"))
        return good and self.seconds < SECONDS and self.memory < MEMORY and not self.packets and not self.touched


class _Peak:
    """The most memory that one process below us held."""

    def __init__(self) -> None:
        self.bytes = 0

    async def watch(self) -> None:
        """Look again and again until cancelled."""
        while True:
            for pid in tree(os.getpid())[1:]:
                self.bytes = max(self.bytes, _held(pid))
            await asyncio.sleep(0.1)


def _held(pid: int) -> int:
    """The bytes that a process holds; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


@contextlib.asynccontextmanager
async def opened(sandbox: Sandbox = Sandbox.BUBBLEWRAP) -> AsyncIterator[Range]:
    """Open a range: sandboxes, LibreOffice with a spare, a listener on loopback for TCP and UDP, a canary."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packets: list[str] = []

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            packets.append("tcp")
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(packets), ("127.0.0.1", port))
        canary = folder / "canary.txt"
        confinement = Confinement(sandbox, ["converters.worker"])
        office = None if missing() else Office(sandbox, folder / "office", spares=1)
        aim = Aim(f"http://127.0.0.1:{port}/", str(canary))
        try:
            yield Range(Converter(confinement, office=office), folder, aim, canary, packets)
        finally:
            if office is not None:
                await office.close()
            await confinement.close()
            udp.close()
            server.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, packets: list[str]) -> None:
        self._packets = packets

    def datagram_received(self, data: bytes, address: object) -> None:  # noqa: ARG002  asyncio's signature
        """Count one."""
        self._packets.append("udp")


async def soak(names: list[str]) -> int:
    """Run all of them, write the report, and return how many were not harmless."""
    rows, bad = [], 0
    async with opened() as grounds:
        for name in names or ALL:
            sys.stdout.write(f"{name}... ")
            sys.stdout.flush()
            hit = await grounds.shoot(ALL[name])
            bad += not hit.harmless
            rows.append(f"| {name} | {ALL[name].name} | {hit.said} | {hit.seconds:.1f} | {hit.memory // MIB} |")
            told = f"{'ok ' if hit.harmless else 'BAD'} {rows[-1]} packets {hit.packets}, touched {hit.touched}\n"
            sys.stdout.write(told)
            sys.stdout.flush()
    if not names:
        REPORT.write_text(_HEAD.format(count=len(rows), bad=bad) + "\n".join(rows) + "\n", encoding="utf-8")
    return bad


_HEAD = """# Documents that mean harm

{count} hostile documents, run by `make soak` (tests/hostile) through the converters as the service has them, {bad} of
them with harm: each has to end in a refusal or a fax within 60 s and 1 GiB, without a packet to a listener on loopback
and without touching a file outside.

| document | called | came of it | seconds | MiB |
| --- | --- | --- | ---: | ---: |
"""

if __name__ == "__main__":
    sys.exit(asyncio.run(soak(sys.argv[1:])) > 0)
