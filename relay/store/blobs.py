"""Bytes that must not be lost, by their SHA-256: documents, attachments, pages, receipts.

A blob is written to a temporary file, synced, renamed to its name and its directory synced, in this order, before
:meth:`LocalBlobs.put` returns: a row may name it from then on, and a power failure cannot take it back. A blob never
changes; putting the same bytes again is harmless. The work is blocking: call it in a thread.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relay.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """``name``: SHA-256 in hexadecimal; ``size`` in bytes."""

    name: str
    size: int


class LocalBlobs:
    """Blobs in a folder: ``FOLDER/ab/abcdef...``; work in progress in ``FOLDER/tmp``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work = folder / "tmp"
        self._renaming = threading.Lock()
        self._work.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> Blob:
        """Keep ``data``."""
        with self.scratch() as path:
            path.write_bytes(data)
            return self.adopt(path)

    def adopt(self, path: Path) -> Blob:
        """Keep a file that :meth:`scratch` gave; it is moved, not copied."""
        with path.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            os.fsync(file.fileno())
        home = self.path(digest)
        if not home.parent.is_dir():
            home.parent.mkdir(exist_ok=True)
            sync_folder(self._folder)
        with self._alone():
            path.replace(home)
        sync_folder(home.parent)  # also when it was there before: its first writer may still be at this step
        return Blob(digest, size)

    @contextmanager
    def scratch(self, suffix: str = "") -> Iterator[Path]:
        """Give the path of an empty file on the blobs' own file system, for the length of a block."""
        descriptor, name = tempfile.mkstemp(dir=self._work, suffix=suffix)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Return where the blob ``name`` is kept, whether it exists or not."""
        return self._folder / name[:2] / name

    def read(self, name: str) -> bytes:
        """Return a blob's bytes; raises :class:`NotFound`."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no blob {name}: was the data directory restored without its blobs?") from None

    def free_bytes(self) -> int:
        """Return how much the file system has left."""
        return shutil.disk_usage(self._folder).free

    def drop_strays(self, named: Callable[[list[str]], set[str]], before: float) -> int:
        """Delete blobs older than ``before`` that no row names, and return how many went.

        ``named`` tells which of some names are named. A refused mail leaves its files so: they were kept before the
        policy's last word.
        """
        dropped = 0
        for folder in self._folder.glob("[0-9a-f][0-9a-f]"):
            dropped += self.drop([path.name for path in folder.iterdir()], named, before)
        return dropped

    def drop(self, names: Sequence[str], named: Callable[[list[str]], set[str]], before: float) -> int:
        """Delete those of ``names`` that are older than ``before`` and that no row names; return how many went."""
        dropped = 0
        old = [name for name in names if self._older(name, before)]
        for name in set(old) - (named(old) if old else set()):
            with self._alone():  # the same bytes may just be put again: they are new then
                if self._older(name, before):
                    self.path(name).unlink()
                    dropped += 1
        return dropped

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep all others out for the length of a block: threads, and the processes that accept mail."""
        with self._renaming:
            descriptor = os.open(self._work, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _older(self, name: str, before: float) -> bool:
        try:
            return self.path(name).stat().st_mtime < before
        except FileNotFoundError:
            return False

    def sweep(self) -> int:
        """Delete work that a crash left behind and return how many files went. Only while no other service runs."""
        left = list(self._work.iterdir())
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
