"""What the converters need of the launcher of confined children: a protocol, so that this room knows no relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from converters.kinds import Kind

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one child may use: bytes, seconds, counts. ``wall`` is the launcher's to keep, the others the kernel's.

    ``address_space`` is a little over 1 GiB, because programs and fonts are part of it and hold little memory.
    ``processes`` is not zero because Pango looks for fonts in a thread, and a thread counts as a process
    (setrlimit(2)).
    """

    address_space: int = 1088 * MIB
    cpu: int = 240
    file_size: int = 256 * MIB
    open_files: int = 160
    processes: int = 64
    wall: float = 300.0


@runtime_checkable
class Death(Protocol):
    """The exception of a launcher whose child ended before it answered.

    ``status``: exit status, negative for a signal, ``None`` when the wall clock ran out. ``took_too_long``: a limit of
    time ended it.
    """

    status: int | None

    @property
    def took_too_long(self) -> bool:
        """Whether a time limit ended the child."""


class Launcher(Protocol):
    """Runs ``entry`` (``package.module:function``) in a confined child and returns its one answer.

    Raises an exception of the shape of :class:`Death` when the child ends without an answer. ``limits`` is an
    :class:`Allowance` (``Any``: a launcher may name its own class of the same shape).
    """

    async def run(
        self,
        entry: str,
        request: Mapping[str, Any],
        fds: Sequence[int] = (),
        limits: Any = None,
    ) -> dict[str, Any]:
        """Send one request with its descriptors to a fresh child and return its answer."""


class Office(Protocol):
    """Makes PDFs of Office documents, each in a sandbox that is thrown away after it."""

    async def to_pdf(self, document: int, output: int, kind: Kind, pages: int) -> None:
        """Write the PDF of the first ``pages`` pages of the document to the descriptor ``output``.

        Raises :class:`converters.errors.Refused` for what the sender can mend, :class:`converters.errors.Broken` else.
        """
