"""Pages drawn ahead: none lost, none twice, and what goes wrong is told in its turn."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from converters.ahead import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_every_item_comes_once_and_in_order(count: int) -> None:
    """Lost otherwise: pages are missing or shuffled."""
    assert list(ahead(iter(range(count)))) == list(range(count))


def test_a_fault_is_raised_after_the_items_before_it() -> None:
    """Lost otherwise: a damaged third page passes for the end of the document."""

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("damaged")

    seen: list[int] = []
    with pytest.raises(ValueError, match="damaged"):
        seen.extend(ahead(items()))
    made = ahead(items())
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(made)


def test_whoever_stops_early_leaves_no_thread() -> None:
    """Lost otherwise: a refused fax goes on being drawn, and a document is closed under the hands that draw it."""
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    source = items()
    made = ahead(source)
    assert next(made) == 0
    made.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "drawing" for thread in threading.enumerate())
    source.close()  # type: ignore[attr-defined]
    assert closed.is_set()
