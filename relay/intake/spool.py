"""Where a message lies on its way in: a small one in memory, a larger one in a file. Nothing is promised of it yet.

Both are paths, since whoever reads them is handed an open file; that of memory is good in this process alone.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.store.blobs import LocalBlobs

#: Bytes of a message that is kept in memory; with the connections allowed at once it bounds what they can take.
IN_MEMORY: Final = 256 * 1024


class Spool:
    """A message on its way in; it goes when it is closed. ``path`` may change with each :meth:`write`."""

    def __init__(self, blobs: LocalBlobs) -> None:
        self._blobs = blobs
        self._open = ExitStack()
        self._size = 0
        self._small = True
        self.path, self._descriptor = self._open.enter_context(_memory())

    def write(self, content: bytes) -> None:
        """Add to the message; a page cache's time, so on the loop."""
        self._size += len(content)
        if self._small and self._size > IN_MEMORY:
            self._move()
        _write(self._descriptor, content)

    def close(self) -> None:
        """Delete it."""
        self._open.close()

    def _move(self) -> None:
        with self._open.pop_all():
            path = self._open.enter_context(self._blobs.scratch(".eml"))
            descriptor = os.open(path, os.O_WRONLY)
            self._open.callback(os.close, descriptor)
            _write(descriptor, self.path.read_bytes())
            self.path, self._descriptor, self._small = path, descriptor, False


@contextmanager
def beside(message: Path, blobs: LocalBlobs) -> Iterator[Path]:
    """Give an empty file for what is decoded of a message: in memory where the message is small."""
    if message.stat().st_size <= IN_MEMORY:
        with _memory() as (path, _):
            yield path
    else:
        with blobs.scratch() as path:
            yield path


@contextmanager
def _memory() -> Iterator[tuple[Path, int]]:
    descriptor = os.memfd_create("mail")
    try:
        yield Path(f"/proc/self/fd/{descriptor}"), descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
