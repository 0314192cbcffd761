"""The peers that we did not write: sipp and Kamailio, each run on loopback ports of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .scenario import FOLDER_NAME, sipp_scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

SCENARIOS = Path(__file__).resolve().parent / FOLDER_NAME
LOOPBACK = "127.0.0.1"
#: How long a scenario may take unless told, seconds.
PATIENCE = 30.0
_KEYS = {"caller": "+12025550100", "called": "+97231234567", "user": "near", "talk": "800"}
_SEPARATOR = re.compile(r"^-{20,} .*$", re.MULTILINE)
_HEADING = re.compile(r"(?:UDP|TCP|TLS) message (sent|received) [\[(]\d+[\])]? bytes\)?\s*:?\s*\n\n?", re.ASCII)


class Ports:
    """Picks blocks of loopback ports that nobody uses; the last port of a block is bound by us: it is taken."""

    def __init__(self, first: int = 20000, last: int = 32000, size: int = 10) -> None:
        blocks = list(range(first, last, size))
        random.SystemRandom().shuffle(blocks)
        self._blocks = iter(blocks)
        self._size = size
        self._locks: list[socket.socket] = []

    def block(self) -> int:
        """Return the first port of a free block."""
        for first in self._blocks:
            with contextlib.ExitStack() as probes:
                lock = probes.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                try:
                    lock.bind((LOOPBACK, first + self._size - 1))
                    for port in range(first, first + self._size - 1):
                        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                            probes.enter_context(socket.socket(socket.AF_INET, kind)).bind((LOOPBACK, port))
                except OSError:
                    continue
                self._locks.append(lock.dup())
                return first
        raise AssertionError("no free ports on this machine")

    def close(self) -> None:
        """Give the blocks back."""
        for lock in self._locks:
            lock.close()


class SippFailed(AssertionError):
    """What sipp expected did not come; the sentence has its error and the messages."""


@dataclass
class Sipp:
    """One running scenario. ``port``: where it listens and sends from; its media are at ``port + 2`` and ``+ 4``."""

    name: str
    port: int
    folder: Path
    process: asyncio.subprocess.Process

    @property
    def messages(self) -> list[tuple[str, str]]:
        """What went over the wire so far: ``sent`` or ``received``, and the message."""
        try:
            text = (self.folder / "messages").read_text(errors="replace")
        except FileNotFoundError:
            return []
        parts = ((part, _HEADING.search(part)) for part in _SEPARATOR.split(text))
        return [(match[1], part[match.end() :].strip()) for part, match in parts if match is not None]

    def heard(self, start: str) -> list[str]:
        """Return the messages that came and begin so."""
        return [text for way, text in self.messages if way == "received" and text.startswith(start)]

    @property
    def log(self) -> str:
        """What the scenario's ``<log>`` actions wrote."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log").read_text(errors="replace")
        return ""

    async def finished(self, seconds: float = PATIENCE) -> None:
        """Wait until every call of the scenario has gone as written; raises :class:`SippFailed` otherwise."""
        try:
            status = await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            await self.stop()
            raise SippFailed(f"{self.name} did not come to its end in {seconds} s{self._story()}") from None
        if status != 0:
            raise SippFailed(f"{self.name} ended with status {status}{self._story()}")

    async def stop(self) -> None:
        """End it where it stands."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    def _story(self) -> str:
        parts = []
        for name in ("errors", "messages"):
            with contextlib.suppress(FileNotFoundError):
                parts.append(f"--- {name}\n{(self.folder / name).read_text(errors='replace')[-6000:]}")
        if not parts:
            parts.append((self.folder / "screen").read_text(errors="replace")[-2000:])
        return "\n" + "\n".join(parts)


async def start_sipp(
    name: str,
    folder: Path,
    port: int,
    *,
    target: str = "",
    calls: int = 1,
    transport: str = "u1",
    address: str = LOOPBACK,
    seconds: float = PATIENCE,
    keys: dict[str, str] | None = None,
    more: Sequence[str] = (),
) -> Sipp:
    """Start a scenario (``outbound/busy`` for ``scenarios/outbound/busy.xml``) and wait until it listens.

    ``target``: ``host:port`` to call. ``keys``: keywords of the scenario. ``more``: further options of sipp.
    """
    folder.mkdir(parents=True)
    path = folder / "scenario.xml"
    path.write_text(sipp_scenario(SCENARIOS / f"{name}.xml", {**_KEYS, **(keys or {})}))
    logs = ("messages", "errors", "log")
    tracing = zip(
        ("-trace_msg", "-trace_err", "-trace_logs"), ("-message_file", "-error_file", "-log_file"), logs, strict=True
    )
    arguments = [
        "sipp", *([target] if target else []), "-sf", str(path), "-m", str(calls), "-t", transport, "-nostdin",
        "-i", address, "-bind_local", "-p", str(port), "-mi", address, "-mp", str(port + 2),
        "-ci", address, "-cp", str(port + 8),
        "-skip_rlimit", "-timeout", f"{seconds:.0f}", "-timeout_error",
        *(word for trace, file, log in tracing for word in (trace, file, str(folder / log))), *more,
    ]  # fmt: skip
    with (folder / "screen").open("wb") as screen:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=screen, stderr=screen, cwd=folder,
            env={**os.environ, "TERM": "dumb"},
        )  # fmt: skip
    running = Sipp(name, port, folder, process)
    if not target:
        await _listening(running, address, stream=transport.startswith("t"))
    return running


async def _listening(sipp: Sipp, address: str, *, stream: bool) -> None:
    """Wait until the port is bound, as the kernel's table shows it: the address in the machine's byte order."""
    table = Path("/proc/net/tcp" if stream else "/proc/net/udp")
    bound = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{sipp.port:04X} "
    for _ in range(500):
        if bound in table.read_text():
            return
        if sipp.process.returncode is not None:
            break
        await asyncio.sleep(0.01)
    await sipp.stop()
    raise SippFailed(f"{sipp.name} does not listen{sipp._story()}")
