"""The next page is drawn while this one is made black and white: drawing and pixels both run outside Python's lock."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Items that are made before they are asked for: with one, a page that takes longer keeps its neighbours waiting.
WAITING = 2

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items; those after each are made in a thread meanwhile, :data:`WAITING` of them at most.

    The items are made by one thread at a time, in order. What making one raises is raised here, in its turn. Whoever
    stops early waits until the item in the making is done.
    """
    first = next(items, None)
    if first is None:
        return
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=WAITING)
    wanted = threading.Semaphore(WAITING)
    stopped = threading.Event()
    thread = threading.Thread(target=_make, args=(items, made, wanted, stopped), name="drawing", daemon=True)
    thread.start()
    try:
        yield first
        while True:
            item, fault = made.get()
            if fault is not None:
                raise fault
            if item is None:
                return
            wanted.release()
            yield item
    finally:
        stopped.set()
        wanted.release()
        thread.join()


def _make(
    items: Iterator[Item],
    made: queue.Queue[tuple[Item | None, BaseException | None]],
    wanted: threading.Semaphore,
    stopped: threading.Event,
) -> None:
    while True:
        wanted.acquire()
        if stopped.is_set():
            return
        try:
            item, fault = next(items, None), None
        except BaseException as raised:  # noqa: BLE001  it is raised again where the items are asked for
            item, fault = None, raised
        made.put((item, fault))
        if item is None:
            return
