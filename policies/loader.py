"""A folder of YAML files to a :class:`Policy`: all of it, or every error in it.

Invariants: :func:`load` raises nothing but :class:`PolicyErrors` whatever the files hold; it reads each file once and
keeps no handle; a folder with an error gives no policy at all.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

from policies.compiler import compile_policy
from policies.document import MAX_BYTES, read
from policies.errors import PolicyError, PolicyErrors
from policies.validation import Sections, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from policies.policy import Policy

#: The languages that the relay has templates for, a folder each; a caller with others passes its own set.
LANGUAGES = frozenset(
    folder.name for folder in (resources.files("templates") / "mail").iterdir() if (folder / "sentences.yaml").is_file()
)


def load(folder: Path, languages: frozenset[str] = LANGUAGES) -> Policy:
    """Read every ``*.yaml`` and ``*.yml`` file of ``folder`` (not of folders below) in the order of their names.

    Raises :class:`PolicyErrors` with all that is wrong, in the order of files and lines.
    """
    paths, errors = _files(folder)
    sections: list[Sections] = []
    with _no_collection():
        for path in paths:
            found, mistakes = _load_file(path, languages)
            errors += mistakes
            sections += found
        policy, mistakes = compile_policy(sections)
    errors += mistakes
    if errors:
        raise PolicyErrors(tuple(sorted(errors)))
    return policy


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's cyclic collector from walking what is being built: half of the time of a large policy.

    A policy holds no cycles and stays, so the collector would find nothing; a second of other threads' cycles waits.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _files(folder: Path) -> tuple[list[Path], list[PolicyError]]:
    try:
        names: Iterable[Path] = list(folder.iterdir())
    except OSError as error:
        reason = error.strerror or str(error)
        return [], [PolicyError(str(folder), 1, 1, "", f"the policy folder cannot be read: {reason}", "create it")]
    # Hidden files are what editors leave beside the one that is being written.
    paths = sorted(path for path in names if path.suffix in {".yaml", ".yml"} and not path.name.startswith("."))
    if paths:
        return paths, []
    remedy = "put a file with the ending .yaml there, such as first.yaml from the examples"
    return [], [PolicyError(str(folder), 1, 1, "", "there is no policy file in this folder", remedy)]


def _load_file(path: Path, languages: frozenset[str]) -> tuple[list[Sections], list[PolicyError]]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "make it a readable file, or move it away"
        return [], [PolicyError(str(path), 1, 1, "", f"the file cannot be read: {reason}", remedy)]
    sections, errors = validate(str(path), read(content), languages)
    return [sections], errors
