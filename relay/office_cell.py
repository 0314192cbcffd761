"""One sandbox with one LibreOffice: started, asked, watched, killed (:mod:`relay.office` keeps several).

A bubblewrap of its own with the programs read-only, a private ``/tmp`` in memory, a small ``/dev/shm``, no network and
a filter of system calls (:func:`relay.seccomp.for_programs`); inside runs :mod:`converters.office_worker`. Its memory
is watched here, because LibreOffice does not start under a limit on its address space that would mean anything. The
kill goes to the sandbox's first process: when its descriptor turns readable, the kernel has emptied the sandbox.

Where the administrator says that the container is the confinement, there is no bubblewrap: limits, the filter of
system calls and a folder of its own remain.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from converters.errors import Broken
from relay import seccomp
from relay.bubblewrap import program_folders
from relay.channel import Channel, ChannelBroken
from relay.confine import MIB, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

SOFFICE: Final = Path("/usr/lib/libreoffice/program/soffice.bin")
PYTHON: Final = Path("/usr/bin/python3")
WORKER: Final = Path(__file__).resolve().parent.parent / "converters" / "office_worker.py"
#: What LibreOffice reads beside /usr.
_PLACES: Final = (
    "/etc/fonts", "/etc/libreoffice", "/etc/ld.so.cache", "/etc/alternatives", "/var/cache/fontconfig",
    "/var/lib/libreoffice",
)  # fmt: skip
_TMP: Final = 512 * MIB
_SHM: Final = 16 * MIB
#: Seconds between two looks at the memory: while less than half of what is allowed is held, and then. A document can
#: take a quarter of a gigabyte in a tenth of a second.
_LOOK, _LOOK_CLOSELY = 0.1, 0.02
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class OfficeLimits:
    """What one sandbox may use: bytes resident, seconds of a document, bytes of a file; the rest holds each process."""

    memory: int = 1024 * MIB
    wall: float = 45.0
    cpu: int = 60
    address_space: int = 4096 * MIB
    file_size: int = 256 * MIB
    open_files: int = 512


class Gone(Exception):
    """The sandbox ended before it answered."""


class OutOfMemory(Exception):
    """The sandbox held more than it may."""


class Cell:
    """One sandbox with one LibreOffice. ``first``: its first process; ``pidfd`` tells when it has ended."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel, first: int, work: Path | None) -> None:
        self._process = process
        self._channel = channel
        self._first = first
        self._work = work
        self._memory = 0
        self._pidfd = os.pidfd_open(first)

    @classmethod
    async def start(cls, sandbox: Sandbox, limits: OfficeLimits) -> Cell:
        """Start one; it waits for its profile. Raises :class:`Broken` where the sandbox cannot be made."""
        ours, theirs = Channel.pair()
        work = None if sandbox is Sandbox.BUBBLEWRAP else Path(tempfile.mkdtemp(prefix="faxrelay-office-"))
        told, tells = os.pipe2(os.O_CLOEXEC)
        process = None
        try:
            with _filter() as rules:
                command = _command(limits, work, tells, rules)
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL, env=_environment(work), pass_fds=(tells, *rules),
                    start_new_session=True,
                )  # fmt: skip
            os.close(tells)
            tells = -1
            first = await _first_process(told) if work is None else process.pid
            cell = cls(process, ours, first, work)
        except BaseException as fault:
            ours.close()  # the worker that hears of it ends
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
            if isinstance(fault, (OSError, ValueError)):
                raise Broken(f"no sandbox for LibreOffice: {fault}") from fault
            raise
        finally:
            theirs.close()
            os.close(told)
            if tells >= 0:
                os.close(tells)
        cell._memory = limits.memory
        return cell

    async def ask(self, message: dict[str, Any], fds: list[int], seconds: float) -> dict[str, Any]:
        """Return the answer to a message.

        Raises :class:`TimeoutError`, :class:`OutOfMemory` and :class:`Gone`; each leaves the sandbox to be closed.
        """
        async with asyncio.timeout(seconds):
            watching = asyncio.create_task(self._watch())
            answering = asyncio.create_task(self._answer(message, fds))
            try:
                await asyncio.wait({watching, answering}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    return answering.result()
                raise OutOfMemory
            finally:
                for task in (watching, answering):
                    task.cancel()
                await asyncio.gather(watching, answering, return_exceptions=True)

    async def close(self) -> None:
        """Kill everything in it; when this returns, nothing of it runs."""
        if self._pidfd < 0:
            return
        pidfd, self._pidfd = self._pidfd, -1
        self._channel.close()
        if self._work is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            await _readable(pidfd)
        else:
            await _kill_session(self._first)
        os.close(pidfd)
        await self._process.wait()
        if self._work is not None:
            await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)

    async def _answer(self, message: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        try:
            await self._channel.send_async(message, fds)
            received = await self._channel.receive_async()
        except (ChannelBroken, BrokenPipeError, ConnectionResetError) as fault:
            raise Gone("its answer is none") from fault
        if received is None:
            raise Gone("it ended")
        answer, descriptors = received
        for descriptor in descriptors:
            os.close(descriptor)
        return answer

    async def _watch(self) -> None:
        """Return when the sandbox holds more memory than it may."""
        while (held := resident(self._first)) <= self._memory:  # noqa: ASYNC110  the kernel wakes nobody for it
            await asyncio.sleep(_LOOK if 2 * held < self._memory else _LOOK_CLOSELY)


def _command(limits: OfficeLimits, work: Path | None, tells: int, rules: list[int]) -> list[str]:
    """Return what starts a sandbox. ``tells``: where bubblewrap writes its first process."""
    bounds = [
        "prlimit", f"--as={limits.address_space}", f"--cpu={limits.cpu}", f"--fsize={limits.file_size}",
        f"--nofile={limits.open_files}", "--core=0",
    ]  # fmt: skip
    if work is not None:
        return [*bounds, "setpriv", "--pdeathsig", "KILL", "--no-new-privs", sys.executable, "-I", "-c", _GATE,
                *(str(one) for one in rules), str(PYTHON), "-s", str(WORKER)]  # fmt: skip
    command = [*bounds, "setpriv", "--pdeathsig", "KILL", "bwrap", "--unshare-all", "--die-with-parent",
               "--new-session", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]  # fmt: skip
    command += [part for place in _PLACES for part in ("--ro-bind-try", place, place)]
    command += program_folders()
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(_SHM), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108  inside
    command += ["--size", str(_TMP), "--tmpfs", "/tmp", "--ro-bind", str(_unoserver()), "/office/unoserver"]  # noqa: S108  as above
    command += ["--ro-bind", str(WORKER), "/office/worker.py", "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108  as above
    command += ["--info-fd", str(tells)]
    for descriptor in rules:
        command += ["--seccomp", str(descriptor)]
    return [*command, "--", str(PYTHON), "-s", "/office/worker.py"]


#: Without bubblewrap our own interpreter puts the filter on itself and becomes the worker.
_GATE: Final = (
    "import ctypes, os, struct, sys; fd = int(sys.argv[1]) if sys.argv[1].isdigit() else -1; "
    "code = os.pread(fd, 65536, 0) if fd >= 0 else b''; kept = ctypes.create_string_buffer(code); "
    "code and ctypes.CDLL(None).prctl(22, 2, struct.pack('HL', len(code) // 8, ctypes.addressof(kept)), 0, 0) "
    "and sys.exit(1); rest = sys.argv[2:] if fd >= 0 else sys.argv[1:]; os.execv(rest[0], rest)"
)


def _environment(work: Path | None) -> dict[str, str]:
    home = "/tmp" if work is None else str(work)  # noqa: S108  inside the sandbox, in memory
    package = "/office" if work is None else str(_unoserver().parent)
    return {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": home, "TMPDIR": home, "FAXRELAY_WORK": home,
        "SAL_USE_VCLPLUGIN": "svp", "PYTHONPATH": package, "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": f"{home}/.cache", "PAPERSIZE": "a4",  # of documents without one; else paperconf(1) decides
    }  # fmt: skip


@contextlib.contextmanager
def _filter() -> Iterator[list[int]]:
    """Give the filter of system calls as a list of one descriptor, or of none where the architecture has none."""
    rules = seccomp.for_programs()
    if rules is None:
        yield []
        return
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, rules)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield [descriptor]
    finally:
        os.close(descriptor)


def _unoserver() -> Path:
    found = importlib.util.find_spec("unoserver")
    if found is None or found.origin is None:
        raise Broken("the package unoserver is not installed")
    return Path(found.origin).parent


async def _first_process(told: int) -> int:
    """Return the pid of the sandbox's first process, as bubblewrap writes it once the namespaces stand."""
    said = await asyncio.to_thread(_all_of, told)
    if not said:
        raise ValueError("bubblewrap cannot make one here")
    return int(json.loads(said)["child-pid"])


def _all_of(descriptor: int) -> bytes:
    said = b""
    while part := os.read(descriptor, 4096):
        said += part
    return said


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def _kill_session(group: int) -> None:
    """Kill a group of processes and see each of them end (without bubblewrap nobody does it for us)."""
    held = []
    for pid in tree(group):
        with contextlib.suppress(ProcessLookupError):
            held.append(os.pidfd_open(pid))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    for descriptor in held:
        await _readable(descriptor)
        os.close(descriptor)


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += tree(int(child))
    return found


def resident(first: int) -> int:
    """Return the bytes that a process and all below it hold; 0 when it has ended."""
    total = 0
    for pid in tree(first):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    return total
