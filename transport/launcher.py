"""What calls need of the launcher of confined children: protocols, so that this room knows no relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one media worker may use: bytes, seconds, counts. ``wall`` is the launcher's, the others the kernel's."""

    address_space: int = 768 * MIB
    cpu: int = 600
    file_size: int = 128 * MIB
    open_files: int = 32
    processes: int = 0
    wall: float = 7200.0


class WorkerChannel(Protocol):
    """A worker's end of its channel: messages with descriptors, blocking."""

    def fileno(self) -> int:
        """Return the descriptor, for ``poll``."""

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send one message."""

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next message, ``None`` when the far end is gone."""


@runtime_checkable
class Death(Protocol):
    """The exception of a launcher whose child ended. ``status``: negative for a signal, ``None`` at the wall clock."""

    status: int | None

    @property
    def took_too_long(self) -> bool:
        """Whether a time limit ended the child."""


class Child(Protocol):
    """One confined child."""

    async def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message; raises a :class:`Death` if there is nobody to read it."""

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Return the next message; raises a :class:`Death` when the child ended."""

    def kill(self) -> None:
        """Kill it now."""

    async def close(self) -> None:
        """Kill it if it lives, wait for its end, and give its descriptors back."""


class Launcher(Protocol):
    """Starts confined children. An entry is ``package.module:function(channel, descriptors)``."""

    async def spawn(self, entry: str, fds: Sequence[int] = (), limits: Any = None) -> Child:
        """Fork a child; raises a :class:`Death` when that cannot be done."""
