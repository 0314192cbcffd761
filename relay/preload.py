"""What the nursery does before it forks, so that its children cost little.

A fork shares its parent's memory until one of them writes to it: then the page is copied, for about 5 us. So what
every child would do first is done once here: imports, each module's ``warm()``, if it has one, a collection of the
garbage. And what lies free between the heap's blocks is taken out of use: a child that allocated there, or only
joined two free blocks, would copy a page for each. Measured with a page of a PDF: 1,850 pages copied or touched in
the child before, 1,000 since; 14.5 ms of work before, 10.7 since. Sources: malloc(3), mallinfo(3), fork(2).
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Blocks of these sizes are taken, the larger ones in steps of a tenth. glibc maps larger ones beside the heap.
_LARGEST, _SMALLEST, _STEP = 120 * 1024, 16, 16
_BY_STEPS_BELOW = 1024


class _Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` (mallinfo(3)): ten counts, of which the last is the size of the heap's free end."""

    _fields_ = (("others", ctypes.c_size_t * 9), ("keepcost", ctypes.c_size_t))


def preload(modules: Sequence[str]) -> None:
    """Import the modules, let each warm up, and make the memory ready to be shared."""
    for name in modules:
        warm = getattr(importlib.import_module(name), "warm", None)
        if warm is None:
            continue
        try:
            warm()
        except Exception:  # noqa: BLE001  the work may go all the same, and tells better what is wrong
            traceback.print_exc()
    gc.collect()
    take_holes(ctypes.CDLL(None))
    gc.freeze()  # a collection in a child would write to every object


def take_holes(library: Any) -> int:
    """Allocate every free block below the heap's end, for good; return how many. ``library``: the C library.

    Where it is not glibc's (2.33 or later) nothing is done.
    """
    if not hasattr(library, "mallinfo2"):
        return 0
    library.mallinfo2.restype = _Mallinfo2
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes, library.sbrk.argtypes = [ctypes.c_size_t], [ctypes.c_ssize_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.malloc_trim(0)  # joins the small blocks that were kept apart
    end = library.sbrk(0) - library.mallinfo2().keepcost
    taken, size = 0, _LARGEST
    while size >= _SMALLEST:
        while (block := library.malloc(size)) is not None and block < end:
            taken += 1
        library.free(block)
        size = size - _STEP if size <= _BY_STEPS_BELOW else int(size / 1.1) // _STEP * _STEP
    return taken
