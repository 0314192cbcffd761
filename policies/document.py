"""YAML text to plain data with the place of every key and value.

Source: YAML 1.1 as libyaml parses it, less everything that surprises: every scalar stays the text that was written
(``0312345678`` keeps its zero, ``1:30`` is no number of minutes), and anchors' aliases, tags, merge keys, duplicate
keys, ``yes``/``no`` booleans and empty values are errors. Invariants:

* the work is bounded by the text: one pass over libyaml's events, no recursion, at most ``MAX_DEPTH`` levels;
* ``places`` has the shape of ``data``: mappings and lists are :class:`Branch`, scalars a packed place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import yaml

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 32

Data: TypeAlias = "str | list[Data] | dict[str, Data]"

#: A packed place is ``line * _LINE + column``; no file has a longer line.
_LINE: Final = MAX_BYTES + 2
_START: Final = _LINE + 1

_NOT_A_BOOLEAN = frozenset({"yes", "no", "on", "off", "y", "n"})
_EMPTY = frozenset({"", "~", "null"})


class Place(NamedTuple):
    """Where something stands in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Branch:
    """The places of a mapping (``keys`` filled) or of a list. ``parts`` is keyed by name or by index.

    Scalars' places are packed into one int: a large policy has half a million of them, and as tuples they would
    double its loading time, most of it spent in Python's garbage collector.
    """

    at: int
    keys: dict[str, int] = field(default_factory=dict)
    parts: dict[str | int, Branch | int] = field(default_factory=dict)

    def branch(self, *path: str | int) -> Branch:
        """Return the mapping or list at ``path``, which exists."""
        here: Branch | int = self
        for step in path:
            here = here.parts[step] if isinstance(here, Branch) else here
        return here if isinstance(here, Branch) else Branch(here)

    def find(self, *path: str | int, key: bool = False) -> Place:
        """Return the place of the value at ``path``, or of its key; the nearest that exists where there is none."""
        here: Branch | int = self
        for step in path[:-1]:
            below = here.parts.get(step) if isinstance(here, Branch) else None
            if below is None:
                break
            here = below
        if isinstance(here, Branch) and path:
            last = path[-1]
            here = here.keys[str(last)] if key and last in here.keys else here.parts.get(last, here)
        return Place(*divmod(here.at if isinstance(here, Branch) else here, _LINE))


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the text itself."""

    place: Place
    path: tuple[str | int, ...]
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file as read: what could be understood (nothing, if the text breaks off), and what is wrong with it."""

    data: dict[str, Data]
    places: Branch
    problems: tuple[Problem, ...]


class _Fatal(Exception):
    """Ends the reading of one file; never leaves this module."""

    def __init__(self, at: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.problem = Problem(Place(*divmod(at, _LINE)), (), message, remedy)


@dataclass(slots=True)
class _Open:
    """A collection that is being read. ``key`` waits for its value; ``step`` is where it hangs in its parent."""

    data: list[Data] | dict[str, Data]
    branch: Branch
    step: str | int | None
    key: str | None = None


def read(content: bytes) -> Document:
    """Read one file. Never raises: what cannot be read is a :class:`Problem`."""
    reader = _Reader()
    try:
        reader.run(_decode(content))
    except _Fatal as fatal:
        return Document({}, Branch(_START), (*reader.problems, fatal.problem))
    except yaml.YAMLError as error:
        return Document({}, Branch(_START), (*reader.problems, _syntax_problem(content, error)))
    return Document(reader.root, reader.root_branch, tuple(reader.problems))


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _Fatal(_START, f"the file is larger than {MAX_BYTES // 1024**2} MiB", "split it into several files")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place_of_byte(content, error.start)
        raise _Fatal(line * _LINE + column, "the text is not UTF-8", "save the file as UTF-8") from None


def _place_of_byte(content: bytes, offset: int) -> Place:
    before = content[:offset]
    return Place(before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1) + 1)


def _syntax_problem(content: bytes, error: yaml.YAMLError) -> Problem:
    remedy = "check the indentation, the colon after the key and the quotes, here and in the line above"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        place = Place(error.problem_mark.line + 1, error.problem_mark.column + 1)
        said = error.problem or error.context or "this is not YAML"
        if "token" in said:
            remedy = "indent with spaces, never tabs, and quote values that begin with a special sign such as @ or *"
        if error.context and error.context_mark is not None and error.context_mark.line != error.problem_mark.line:
            said += f" ({error.context} that begins in line {error.context_mark.line + 1})"
        return Problem(place, (), f"this is not YAML: {said}", remedy)
    position = getattr(error, "position", 0)
    place = _place_of_byte(content, position if isinstance(position, int) else 0)
    return Problem(place, (), "there is a control character in the text", "remove it, or type the line anew")


class _Reader:
    """One pass over the events of one file."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.root: dict[str, Data] = {}
        self.root_branch = Branch(_START)
        self._documents = 0
        self._open: list[_Open] = []

    def run(self, text: str) -> None:
        parser = yaml.CSafeLoader(text)
        try:
            next_event = parser.get_event
            while (event := next_event()) is not None and not isinstance(event, yaml.StreamEndEvent):
                self._take(event)
        finally:
            parser.dispose()

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._start({}, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._start([], event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise _Fatal(_at(event), "aliases (*name) are not allowed", "write the value out")
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Fatal(_at(event), "a second document begins here", "use one file for each, without ---")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        parent = self._open[-1] if self._open else None
        at = _at(event)
        if parent is not None and parent.key is None and isinstance(parent.data, dict):
            self._key(parent, event.value, at)
            return
        step = self._attach(event.value, at)
        if event.tag is not None:
            self._problem(at, step, f"tags ({event.tag}) are not allowed", "remove it; values are read as written")
        elif not event.style:
            self._plain(event.value, at, step)

    def _plain(self, value: str, at: int, step: str | int | None) -> None:
        """Refuse the unquoted words that YAML 1.1 programs read as something else than text."""
        word = value.lower()
        if word in _EMPTY and step is not None:
            self._problem(at, step, "there is no value", "write one, or remove the key")
        elif word in _NOT_A_BOOLEAN:
            remedy = f'write true or false, or "{value}" in quotes where the word itself is meant'
            self._problem(at, step, f"{value} is read as a boolean by some programs and as a word by others", remedy)

    def _key(self, parent: _Open, name: str, at: int) -> None:
        if name == "<<":
            raise _Fatal(at, "merge keys (<<) are not allowed", "write the values out")
        parent.key = name
        first = parent.branch.keys.setdefault(name, at)
        if first != at:
            self._problem(at, name, f"duplicate key, first in line {first // _LINE}", "keep one of the two")

    def _start(self, data: list[Data] | dict[str, Data], event: yaml.CollectionStartEvent) -> None:
        at = _at(event)
        if len(self._open) >= MAX_DEPTH:
            raise _Fatal(at, f"nested more than {MAX_DEPTH} levels deep", "no policy needs it: flatten the file")
        if self._open and self._open[-1].key is None and isinstance(self._open[-1].data, dict):
            raise _Fatal(at, "a key must be one word", "write 'key: value'")
        branch = Branch(at)
        step = self._attach(data, branch)
        self._open.append(_Open(data, branch, step))
        if event.tag is not None:
            self._problem(at, None, f"tags ({event.tag}) are not allowed", "remove it; values are read as written")

    def _attach(self, data: Data, where: Branch | int) -> str | int | None:
        """Hang a value below the collection that is open and return its step; of two equal keys the first counts."""
        if not self._open:
            if isinstance(data, dict) and isinstance(where, Branch):
                self.root, self.root_branch = data, where
            elif data != "":  # a bare '---' is as empty as a file of comments
                at = where.at if isinstance(where, Branch) else where
                raise _Fatal(at, "a policy file is a mapping of sections", "begin with a section such as 'numbers:'")
            return None
        parent = self._open[-1]
        if isinstance(parent.data, list):
            index = len(parent.data)
            parent.data.append(data)
            parent.branch.parts[index] = where
            return index
        step, parent.key = parent.key, None
        if step is not None and step not in parent.data:
            parent.data[step] = data
            parent.branch.parts[step] = where
        return step

    def _problem(self, at: int, step: str | int | None, message: str, remedy: str) -> None:
        steps = (*(level.step for level in self._open), step)
        path = tuple(part for part in steps if part is not None)
        self.problems.append(Problem(Place(*divmod(at, _LINE)), path, message, remedy))


def _at(event: yaml.Event) -> int:
    mark = event.start_mark
    return _START if mark is None else (mark.line + 1) * _LINE + mark.column + 1
