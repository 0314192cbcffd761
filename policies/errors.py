"""What is wrong in a policy folder, each at its place. All errors of a folder are told at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class PolicyError:
    """One mistake. ``line`` and ``column`` count from 1; ``key`` is the dotted way to the value, '' for a file."""

    file: str
    line: int
    column: int
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.message}; {self.remedy}"


class PolicyErrors(Exception):
    """A folder that changes nothing because of its errors, which are in the order of the files."""

    def __init__(self, errors: tuple[PolicyError, ...]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = errors
