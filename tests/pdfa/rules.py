"""The rules and the file that they look at."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pikepdf
from pikepdf import Name


class File:
    """A PDF as bytes and as objects."""

    def __init__(self, data: bytes) -> None:
        """Open it; raises :class:`pikepdf.PdfError` where it cannot be read at all."""
        self.data = data
        self.pdf = pikepdf.open(io.BytesIO(data))

    @cached_property
    def told(self) -> str:
        """What qpdf complains about: syntax, lengths of streams, the table of objects."""
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            Path(file.name).write_bytes(self.data)
            done = subprocess.run(["qpdf", "--check", file.name], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else (done.stderr or done.stdout).replace(file.name, "the file")

    @cached_property
    def syntax(self) -> bytes:
        """The bytes outside of streams."""
        parts, at = [], 0
        while (start := self.data.find(b"stream", at)) >= 0:
            end = self.data.find(b"endstream", start)
            if end < 0:
                break
            parts.append(self.data[at : start + 6])
            at = end
            parts.append(b"\n")
            at = end + 9
            parts.append(b"endstream")
        return b"".join([*parts, self.data[at:]])

    def objects(self) -> Iterator[pikepdf.Object]:
        """Every object and all that lies directly in it."""
        for one in self.pdf.objects:
            yield from _within(one)

    def dictionaries(self) -> Iterator[pikepdf.Object]:
        """Every dictionary, of streams too."""
        for one in self.objects():
            if isinstance(one, (pikepdf.Dictionary, pikepdf.Stream)):
                yield one

    def streams(self) -> Iterator[pikepdf.Stream]:
        """Every stream."""
        for one in self.pdf.objects:
            if isinstance(one, pikepdf.Stream):
                yield one

    def images(self) -> Iterator[pikepdf.Stream]:
        """Every image."""
        for one in self.streams():
            if one.get(Name.Subtype) == Name.Image:
                yield one

    def profile(self) -> pikepdf.Object | None:
        """The profile of the output intent."""
        for intent in self.pdf.Root.get(Name.OutputIntents, []):
            if (found := intent.get(Name.DestOutputProfile)) is not None:
                return found
        return None


def _within(one: object, depth: int = 0) -> Iterator[pikepdf.Object]:
    """Yield an object and its direct children; references lead to objects that are seen for themselves."""
    if not isinstance(one, pikepdf.Object):
        return
    yield one
    if depth and one.is_indirect:
        return
    children: list[object] = []
    if isinstance(one, (pikepdf.Dictionary, pikepdf.Stream)):
        children = (
            list(one.as_dict().values()) if isinstance(one, pikepdf.Dictionary) else list(one.stream_dict.values())
        )
    elif isinstance(one, pikepdf.Array):
        children = list(one.as_list())
    for child in children:
        if not (isinstance(child, pikepdf.Object) and child.is_indirect):
            yield from _within(child, depth + 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its clause of ISO 19005-2 and veraPDF's number below it (0: ours), what it asks, and how it looks."""

    clause: str
    number: int
    asks: str
    look: Callable[[File], Iterator[str]]

    def __str__(self) -> str:
        return f"{self.clause}-{self.number}"


RULES: list[Rule] = []

Look = Callable[[File], Iterator[str]]


def rule(clause: str, number: int) -> Callable[[Look], Look]:
    """Make a rule of a function that yields what breaks it; its docstring says what is asked."""

    def add(look: Look) -> Look:
        RULES.append(Rule(clause, number, (look.__doc__ or "").strip(), look))
        return look

    return add


def faults(data: bytes) -> dict[str, str]:
    """Return the first breach of each rule that the file breaks, by the rule's clause and number."""
    file = File(data)
    return {str(one): told for one in RULES if (told := next(iter(one.look(file)), None)) is not None}
