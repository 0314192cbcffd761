"""A mapping of a policy file while it is compiled: where its parts stand, and how an error about them is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.errors import PolicyError
from policies.policy import Source
from policies.validation import dotted

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from policies.document import Branch


class Scope:
    """One mapping, known by its file, its dotted key and its places; its errors go to the list that all share."""

    def __init__(self, errors: list[PolicyError], file: str, key: str, branch: Branch) -> None:
        self._errors = errors
        self._file = file
        self._key = key
        self._branch = branch

    def at(self, *path: str | int) -> Scope:
        """Return the scope of a mapping within this one."""
        return Scope(self._errors, self._file, dotted((self._key, *path)), self._branch.branch(*path))

    def source(self, *path: str | int) -> Source:
        """Return where a part stands."""
        return Source(self._file, self._branch.find(*path).line)

    def tell(self, message: str, remedy: str, *path: str | int, key: bool = False) -> None:
        """Tell an error at a part; ``key``: at its key, not at its value."""
        place = self._branch.find(*path, key=key)
        name = ".".join(filter(None, (self._key, dotted(path))))
        self._errors.append(PolicyError(self._file, place.line, place.column, name, message, remedy))

    def twice(self, what: str, which: str, first: Source, *path: str | int) -> None:
        """Tell that something stands at ``first`` already."""
        self.tell(f"{what} {which} already stands in {first.file}:{first.line}", "keep one of the two", *path)

    def no_repeats(self, key: str, values: Sequence[Hashable]) -> None:
        """Tell the values of a list that stand there already."""
        if len(values) == len(set(values)):
            return
        seen: set[Hashable] = set()
        for index, value in enumerate(values):
            if value in seen:
                self.tell("the same value stands twice", "keep one of the two", key, index)
            seen.add(value)
