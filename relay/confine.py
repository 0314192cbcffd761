"""The one launcher of confined children.

Whatever reads a document, a mail or a fax from outside runs in a child that this module started, never in the
service's own process. A :class:`Confinement` is one sandbox with a preloaded parent in it (:mod:`relay.nursery`)
that forks a child for each order, so that safety costs milliseconds:

* bubblewrap: no network, its own process table, no capabilities, a read-only view of the programs alone (not of
  the data directory, not of the home directories), a private ``/tmp`` in memory; files pass as descriptors;
* limits on address space, CPU, file size and open files (setrlimit(2)) in each child, a filter that refuses it new
  processes, programs and sockets (:mod:`relay.seccomp`), and a wall clock here;
* every child dies with the nursery, and the nursery with this process.

Where bubblewrap cannot run (an unprivileged container) the administrator may say that the container is the
confinement (:attr:`Sandbox.CONTAINER`): limits and the filter remain, the isolation of files does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import structlog

from relay.bubblewrap import bubblewrap, environment
from relay.channel import Channel, ChannelBroken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

log = structlog.get_logger()

MIB = 1024 * 1024


class Sandbox(Enum):
    """What stands around the nursery."""

    BUBBLEWRAP = "bubblewrap"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use. Bytes, seconds, counts; ``wall`` is kept here, the others by the kernel.

    ``processes`` counts threads (setrlimit(2)); processes of its own the filter refuses a child.
    """

    address_space: int = 1536 * MIB
    cpu: int = 60
    file_size: int = 256 * MIB
    open_files: int = 64
    processes: int = 64
    wall: float = 60.0


class ChildDied(Exception):
    """A child ended before it answered. ``status``: its exit status, negative for a signal, ``None`` out of time."""

    def __init__(self, entry: str, status: int | None) -> None:
        what = "took too long" if status is None else _describe(status)
        super().__init__(f"{entry} {what}")
        self.entry = entry
        self.status = status

    @property
    def took_too_long(self) -> bool:
        """Whether a time limit, of the wall clock or of the CPU, ended it."""
        return self.status is None or self.status == -signal.SIGXCPU


class Child:
    """One confined child: a channel to talk to it and a descriptor to kill it by."""

    def __init__(self, entry: str, channel: Channel, pidfd: int, ended: asyncio.Future[int]) -> None:
        self.entry = entry
        self.channel = channel
        self._pidfd = pidfd
        self._ended = ended
        self._late = False
        self._alarm: asyncio.TimerHandle | None = None
        ended.add_done_callback(lambda _: self._stop_clock())

    @property
    def alive(self) -> bool:
        """Whether its end is not known yet."""
        return not self._ended.done()

    def start_clock(self, wall: float) -> None:
        """Kill it in ``wall`` seconds."""
        self._alarm = asyncio.get_running_loop().call_later(wall, self._too_late)

    async def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message; raises :class:`ChildDied` if there is nobody to read it."""
        try:
            await self.channel.send_async(message, fds)
        except (BrokenPipeError, ConnectionResetError):
            raise await self._death() from None

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Return the next message; raises :class:`ChildDied` when the child ended or broke the channel's rules."""
        try:
            received = await self.channel.receive_async()
        except ChannelBroken:
            self.kill()
            received = None
        if received is None:
            raise await self._death()
        return received

    def kill(self) -> None:
        """Kill it now; harmless when it has ended."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def wait(self) -> int:
        """Return the exit status, negative for a signal."""
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Kill it if it lives, and give its descriptors back."""
        self.kill()
        self._stop_clock()
        self.channel.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        await asyncio.wait([self._ended], timeout=5)

    def _stop_clock(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _too_late(self) -> None:
        self._late = True
        self.kill()

    async def _death(self) -> ChildDied:
        status = await self.wait()
        return ChildDied(self.entry, None if self._late else status)


class Confinement:
    """One sandbox with its nursery, started when first needed and started again when it died."""

    def __init__(self, sandbox: Sandbox, preload: Sequence[str] = (), *, memory: int = 512 * MIB) -> None:
        """``preload``: modules that the children's entries need; ``memory``: bytes of the private ``/tmp``."""
        self._sandbox = sandbox
        self._preload = tuple(preload)
        self._memory = memory
        self._lock = asyncio.Lock()
        self._control: Channel | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._orders = 0
        self._spawning: dict[int, asyncio.Future[tuple[Channel, int]]] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}
        # By entry and limits, but for the wall clock, which starts with the request.
        self._waiting: dict[tuple[str, Limits], Child] = {}
        self._forking: dict[tuple[str, Limits], asyncio.Task[None]] = {}

    async def spawn(self, entry: str, fds: Sequence[int] = (), limits: Limits | None = None) -> Child:
        """Fork a child that calls ``entry`` (``package.module:function``) with its channel and ``fds``.

        The descriptors stay open here. Raises :class:`ChildDied` when the nursery cannot start or dies.
        """
        limits = limits or Limits()
        child = await self._fork(entry, fds, limits)
        child.start_clock(limits.wall)
        return child

    async def _fork(self, entry: str, fds: Sequence[int], limits: Limits) -> Child:
        async with self._lock:
            if self._control is None:
                await self._start()
            control = self._control
            if control is None:  # pragma: no cover  (_start sets it or raises)
                raise ChildDied(entry, 1)
            self._orders += 1
            order = self._orders
            loop = asyncio.get_running_loop()
            spawned: asyncio.Future[tuple[Channel, int]] = loop.create_future()
            ended: asyncio.Future[int] = loop.create_future()
            self._spawning[order], self._ended[order] = spawned, ended
            try:
                await control.send_async({"order": order, "entry": entry, "limits": _resources(limits)}, fds)
            except (BrokenPipeError, ConnectionResetError):
                raise ChildDied("nursery", 1) from None
        channel, pidfd = await spawned
        return Child(entry, channel, pidfd, ended)

    @contextlib.asynccontextmanager
    async def child(self, entry: str, fds: Sequence[int] = (), limits: Limits | None = None) -> AsyncIterator[Child]:
        """Spawn a child for the length of a block; it is dead when the block is left."""
        async with _closing(await self.spawn(entry, fds, limits)) as child:
            yield child

    async def run(
        self, entry: str, request: Mapping[str, Any], fds: Sequence[int] = (), limits: Limits | None = None
    ) -> dict[str, Any]:
        """Send one request with its descriptors to a fresh child and return its one answer.

        The child of the next such request is forked meanwhile and waits for it: an entry begins by receiving.
        """
        async with _closing(await self._take(entry, limits or Limits())) as child:
            await child.send(request, fds)
            answer, descriptors = await child.receive()
            for descriptor in descriptors:
                os.close(descriptor)
            return answer

    async def _take(self, entry: str, limits: Limits) -> Child:
        """Return the child that waits for such a request, or a new one; then have the next one wait."""
        what = (entry, replace(limits, wall=0.0))
        child = self._waiting.pop(what, None)
        if child is not None and not child.alive:  # its nursery ended
            await child.close()
            child = None
        child = child or await self._fork(entry, (), limits)
        child.start_clock(limits.wall)
        if what not in self._forking and what not in self._waiting:
            self._forking[what] = asyncio.create_task(self._fork_ahead(*what), name="the next child")
        return child

    async def _fork_ahead(self, entry: str, limits: Limits) -> None:
        try:
            with contextlib.suppress(ChildDied):  # whoever asks next is told
                self._waiting[entry, limits] = await self._fork(entry, (), limits)
        finally:
            del self._forking[entry, limits]

    async def close(self) -> None:
        """End the nursery and with it every child."""
        for task in list(self._forking.values()):
            task.cancel()
            await asyncio.wait([task])
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._fail_all()
        while self._waiting:
            await self._waiting.popitem()[1].close()

    async def _start(self) -> None:
        ours, theirs = Channel.pair()
        command = [sys.executable, "-P", "-m", "relay.nursery", str(theirs.fileno()), *self._preload]
        if self._sandbox is Sandbox.BUBBLEWRAP:
            command = [*bubblewrap(self._memory), *command]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command, pass_fds=(theirs.fileno(),), env=environment(), stdin=asyncio.subprocess.DEVNULL
            )
        except OSError as fault:
            ours.close()
            raise ChildDied("bubblewrap (apt-get install bubblewrap)", fault.errno) from fault
        finally:
            theirs.close()
        self._control = ours
        self._reader = asyncio.create_task(self._read(ours), name="confinement")

    async def _read(self, control: Channel) -> None:
        """Hand the nursery's answers on; whatever ends this ends the nursery, and the next spawn starts another."""
        try:
            await self._hand_over(control)
        except (ChannelBroken, OSError, LookupError):
            log.exception("the nursery's answers cannot be read; it is started again")
        finally:
            control.close()
            if self._control is control:
                self._control = None
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            self._fail_all()

    async def _hand_over(self, control: Channel) -> None:
        while (received := await control.receive_async()) is not None:
            answer, fds = received
            order = answer["order"]
            if "status" in answer:
                _settle(self._ended.pop(order, None), answer["status"])
            elif (spawned := self._spawning.pop(order, None)) is not None and not spawned.done():
                spawned.set_result((Channel.of_descriptor(fds[0]), fds[1]))
            else:
                for descriptor in fds:  # nobody waits any more: closing the channel is the child's end
                    os.close(descriptor)

    def _fail_all(self) -> None:
        for spawned in self._spawning.values():
            if not spawned.done():
                spawned.set_exception(ChildDied("nursery", 1))
        self._spawning.clear()
        for ended in self._ended.values():
            _settle(ended, -signal.SIGKILL)
        self._ended.clear()


@contextlib.asynccontextmanager
async def _closing(child: Child) -> AsyncIterator[Child]:
    try:
        yield child
    finally:
        await asyncio.shield(child.close())


def _resources(limits: Limits) -> dict[str, int]:
    """Return limits, or a leaf's values of the same shape, by the names of :mod:`resource`."""
    return {
        "RLIMIT_AS": limits.address_space,
        "RLIMIT_CPU": limits.cpu,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_CORE": 0,
    }


def _settle(future: asyncio.Future[int] | None, status: int) -> None:
    if future is not None and not future.done():
        future.set_result(status)


def _describe(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
