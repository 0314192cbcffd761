"""LibreOffice behind bars: sandboxes (:mod:`relay.office_cell`) that convert one document and are thrown away.

A profile is baked once for each version of LibreOffice and kept as a tar in the service's data: in the background when
the service starts, so that the first document does not wait for it. Spares are started after the first document: a
relay that never gets one pays no memory for them.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from converters.errors import Broken, Reason, Refused
from relay.office_cell import PYTHON, SOFFICE, WORKER, Cell, Gone, OfficeLimits, OutOfMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from converters.kinds import Kind
    from relay.confine import Sandbox
    from relay.settings import Settings

log = structlog.get_logger()

_UNO: Final = (Path("/usr/lib/python3/dist-packages/uno.py"), Path("/usr/lib/libreoffice/program/uno.py"))
#: Seconds to start.
_START: Final = 60.0


class Office:
    """The sandboxes of a service (:class:`converters.Office`). ``folder`` keeps the baked profile.

    ``spares``: sandboxes that stand ready (0: each document waits for its own); ``workers``: documents at once.
    """

    def __init__(
        self, sandbox: Sandbox, folder: Path, *, spares: int = 1, workers: int = 2, limits: OfficeLimits | None = None
    ) -> None:
        self._sandbox = sandbox
        self._folder = folder
        self._spares = spares
        self._limits = limits or OfficeLimits()
        self._turns = asyncio.Semaphore(workers)
        self._baking = asyncio.Lock()
        self._ready: collections.deque[asyncio.Task[Cell]] = collections.deque()
        self._closed = False

    async def to_pdf(self, document: int, output: int, kind: Kind, pages: int) -> None:
        """Convert one document, as :class:`converters.Office` says."""
        async with self._turns, self._cell() as cell:
            asked = {"suffix": kind.value, "pages": pages}
            try:
                answer = await cell.ask(asked, [document, output], self._limits.wall)
            except OutOfMemory:
                raise Refused(Reason.TOO_LARGE, detail=" (it needs too much memory)") from None
            except TimeoutError:
                raise Refused(Reason.TOO_LONG) from None
            except Gone:
                raise Refused(Reason.DAMAGED) from None
        if "refused" in answer:
            log.info("LibreOffice refuses a document", kind=kind.value, told=str(answer["refused"])[:300])
            raise Refused(Reason.DAMAGED)
        if os.fstat(output).st_size == 0:  # LibreOffice reports success for documents that it made nothing of
            raise Refused(Reason.NO_PAGES)

    async def bake(self) -> None:
        """Make the profile now where there is none. A fault is logged: the first document tries again and tells."""
        try:
            await self._profile()
        except (Broken, OSError) as fault:
            log.warning("LibreOffice's profile cannot be made ahead", why=str(fault))

    async def close(self) -> None:
        """End the spares."""
        self._closed = True
        while self._ready:
            await _discard(self._ready.popleft())

    @contextlib.asynccontextmanager
    async def _cell(self) -> AsyncIterator[Cell]:
        """Give a sandbox for one document: a spare where there is one."""
        profile = await self._profile()
        started = self._ready.popleft() if self._ready else asyncio.create_task(self._start(profile, warm=False))
        try:
            cell = await self._first_ready(started, profile)
            try:
                yield cell
            finally:
                await asyncio.shield(cell.close())
        except asyncio.CancelledError:
            await asyncio.shield(_discard(started))
            raise
        finally:
            self._refill(profile)

    async def _first_ready(self, started: asyncio.Task[Cell], profile: Path) -> Cell:
        try:
            return await asyncio.shield(started)
        except Gone:  # a spare that died while it waited is nobody's fault
            return await self._start(profile, warm=False)

    def _refill(self, profile: Path) -> None:
        while not self._closed and len(self._ready) < self._spares:
            self._ready.append(asyncio.create_task(self._start(profile, warm=True), name="office spare"))

    async def _start(self, profile: Path | None, *, warm: bool) -> Cell:
        cell = await Cell.start(self._sandbox, self._limits)
        try:
            with contextlib.ExitStack() as stack:
                fds = [stack.enter_context(profile.open("rb")).fileno()] if profile else []
                answer = await cell.ask({"profile": profile is not None, "warm": warm}, fds, _START)
        except BaseException as fault:
            await asyncio.shield(cell.close())
            if isinstance(fault, (Gone, OutOfMemory, TimeoutError)):
                raise Broken(f"LibreOffice did not start: {fault or type(fault).__name__}") from fault
            raise
        if "ready" not in answer:
            await cell.close()
            raise Broken(f"LibreOffice did not start: {answer.get('failed')}")
        return cell

    async def _profile(self) -> Path:
        """Return the baked profile of the LibreOffice that is installed, baked now where there is none."""
        path = self._folder / f"profile-{_version()}.tar"
        async with self._baking:
            if path.exists():
                return path
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            cell = await self._start(None, warm=False)
            try:
                with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".tar", delete=False) as tar:
                    answer = await cell.ask({"bake": True}, [tar.fileno()], _START)
                    os.fsync(tar.fileno())
                if "size" not in answer:
                    raise Broken(f"no LibreOffice profile could be made: {answer}")
                Path(tar.name).replace(path)
            except (Gone, OutOfMemory, TimeoutError) as fault:
                raise Broken("no LibreOffice profile could be made") from fault
            finally:
                await cell.close()
                Path(tar.name).unlink(missing_ok=True)
            return path


def opened(settings: Settings, stack: contextlib.AsyncExitStack, *, bake: bool = False) -> Office | None:
    """Return what opens Office documents until ``stack`` is left; ``None`` without LibreOffice: they are refused.

    ``bake``: make its profile in the background, unless the settings want nothing to stand ready.
    """
    if missing():
        return None
    asked = settings.documents
    limits = OfficeLimits(memory=asked.office_memory, wall=asked.office_seconds)
    office = Office(
        settings.confinement, settings.data / "office", spares=asked.office_spares, workers=asked.office_workers,
        limits=limits,
    )  # fmt: skip
    stack.push_async_callback(office.close)
    if bake and asked.office_spares:
        stack.push_async_callback(_ended, asyncio.create_task(office.bake(), name="office profile"))
    return office


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def for_once(settings: Settings, stack: contextlib.AsyncExitStack) -> Office | None:
    """Return what opens the Office documents of one command: no spares, and a profile of its own where it must be.

    The service's profile is used where its data are ours to write.
    """
    if missing():
        return None
    ours = os.access(settings.data, os.W_OK)
    folder = settings.data if ours else Path(stack.enter_context(tempfile.TemporaryDirectory()))
    office = Office(settings.confinement, folder / "office", spares=0)
    stack.push_async_callback(office.close)
    return office


def missing() -> str:
    """Return which Debian package Office documents lack on this machine, '' where nothing is missing."""
    if not SOFFICE.exists():
        return "libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui python3-uno"
    if not (PYTHON.exists() and any(place.exists() for place in _UNO)):
        return "python3-uno"
    return ""


def _version() -> str:
    """Return a name of the installed LibreOffice and of what we make of its profile."""
    try:
        release = (SOFFICE.parent / "versionrc").read_bytes()
    except OSError as fault:
        raise Broken("LibreOffice is not installed") from fault
    return hashlib.sha256(release + WORKER.read_bytes()).hexdigest()[:16]


async def _discard(started: asyncio.Task[Cell]) -> None:
    """Cancel a sandbox that starts, or close one that stands ready."""
    started.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await (await started).close()
