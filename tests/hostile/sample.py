"""What a hostile document is made of: a name that a mail would give it, and the bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Aim:
    """What a hostile document tries to reach: an address that is listened on, and a file that is watched."""

    url: str
    file: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One hostile document. ``quick``: it is among those that ``make test`` runs."""

    name: str
    make: Callable[[Aim], bytes]
    quick: bool = False


Samples = dict[str, Sample]
