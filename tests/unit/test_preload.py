"""What the nursery prepares for its children."""

from __future__ import annotations

import subprocess
import sys

from relay.preload import take_holes

#: Leaves holes between blocks, takes them, and tells where the next blocks of several sizes lie.
_PROGRAM = """
import ctypes
from relay.preload import take_holes
library = ctypes.CDLL(None)
library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
blocks = [library.malloc(size) for size in (40, 600, 3000, 70000) * 200]
for block in blocks[::2]:
    library.free(block)
end = max(blocks)
taken = take_holes(library)
print(taken, *(library.malloc(size) > end for size in (5000, 20000, 60000, 100000)))
"""


def test_blocks_that_a_child_allocates_lie_beyond_those_of_its_parent() -> None:
    """Lost otherwise: a child copies a page of its parent's memory for each hole that it uses."""
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    taken, *beyond = ran.stdout.split()
    assert int(taken) >= 200
    assert beyond == ["True"] * 4


def test_a_library_that_tells_nothing_of_its_heap_is_left_alone() -> None:
    """Lost otherwise: the service does not start where the C library is not glibc."""
    assert take_holes(object()) == 0
