"""Blobs: what is put is kept, whatever happens beside it."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from relay.errors import NotFound
from relay.store.blobs import LocalBlobs


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """An empty folder of blobs."""
    return LocalBlobs(tmp_path / "blobs")


def test_a_blob_is_found_by_the_hash_of_its_bytes(blobs: LocalBlobs) -> None:
    """Lost otherwise: a receipt's SHA-256 would not be that of the transmitted image."""
    kept = blobs.put(b"one page")
    assert kept.name == hashlib.sha256(b"one page").hexdigest()
    assert kept.size == 8
    assert blobs.read(kept.name) == b"one page"
    assert blobs.put(b"one page") == kept


def test_file_and_folders_are_synced_before_it_counts(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lost otherwise: a power failure after the 250 takes the document back."""
    steps: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"sync {'folder' if place.is_dir() else 'file'} {place.relative_to(tmp_path / 'blobs').parts[:1]}")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    name = blobs.put(b"one page").name
    assert steps == ["sync file ('tmp',)", "sync folder ()", "rename", f"sync folder ('{name[:2]}',)"]


def test_work_in_progress_of_a_crash_is_swept(blobs: LocalBlobs, tmp_path: Path) -> None:
    """Lost otherwise: every crash leaves a document's worth of disk behind for ever."""
    kept = blobs.put(b"kept")
    (tmp_path / "blobs" / "tmp" / "left").write_bytes(b"half a document")
    assert blobs.sweep() == 1
    assert blobs.read(kept.name) == b"kept"


def test_strays_go_and_what_a_row_names_stays(blobs: LocalBlobs) -> None:
    """Lost otherwise: each refused mail costs its size of disk for ever, or a kept document vanishes."""
    named, stray, fresh = (blobs.put(data).name for data in (b"named", b"stray", b"fresh"))
    for name in (named, stray):
        os.utime(blobs.path(name), (1000, 1000))
    assert blobs.drop_strays(lambda names: {named} & set(names), before=2000) == 1
    assert blobs.path(named).exists()
    assert blobs.path(fresh).exists()
    assert not blobs.path(stray).exists()


def test_bytes_that_another_process_puts_again_stay(
    blobs: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a mail that an accepting process has just kept is answered 250, and its file is swept away."""
    name = blobs.put(b"a letterhead").name
    os.utime(blobs.path(name), (1000, 1000))
    others = LocalBlobs(tmp_path / "blobs")  # with a lock of its own, as in another process
    putting = threading.Thread(target=others.put, args=[b"a letterhead"])
    looks = []

    def older(*_: object) -> bool:
        looks.append(name)
        if len(looks) > 1:  # the last look before the blob is deleted
            putting.start()
            putting.join(0.3)
        return True

    monkeypatch.setattr(blobs, "_older", older)
    blobs.drop([name], lambda _: set(), before=2000)
    putting.join()
    assert blobs.path(name).exists()


def test_a_missing_blob_is_named(blobs: LocalBlobs) -> None:
    """Lost otherwise: a restore without its blobs shows up as a riddle."""
    with pytest.raises(NotFound, match="no blob abcd"):
        blobs.read("abcd")
