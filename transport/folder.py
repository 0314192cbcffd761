"""The files of a call inside its worker's sandbox: libspandsp wants paths, so a document is copied to the private /tmp.

They go when the call ends; a worker that was killed leaves its folder, which the next one in the sandbox sweeps away.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from transport.t30 import ident_problem
from transport.tiff import NotFax, check_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transport.order import Order

_FOLDER = "call-"
_CHUNK = 1 << 20


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Give a folder of this process's own in the private ``/tmp``; sweep away those of processes that were killed."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_FOLDER}*"):
        owner = left.name.removeprefix(_FOLDER).split("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_of(order: Order, document: int | None, folder: Path) -> Path:
    """Return the file of a call: its document, checked and copied, or where its pages shall be stored.

    ``document`` is a descriptor, which stays open. Raises :class:`.tiff.NotFax` for what cannot be sent.
    """
    if order.pages is None or document is None:
        return folder / "received.tif"
    problem = ident_problem(order.ident)
    if problem is not None:
        raise NotFax(problem)
    if os.fstat(document).st_size == 0:
        raise NotFax("the document is empty")
    with mmap.mmap(document, 0, access=mmap.ACCESS_READ) as data:
        check_document(data, order.pages)
        file = folder / "document.tif"
        with file.open("wb") as copy:
            for at in range(0, len(data), _CHUNK):
                copy.write(data[at : at + _CHUNK])
    return file


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
