"""How long what a fax leaves behind is kept. None: until somebody erases it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from policies.policy import Source


@dataclass(frozen=True, slots=True)
class Retention:
    """Times after a fax's end: of its ``documents``, its ``traces``, and of all its ``rows``.

    What is left of a fax whose rows are gone is its entry in the audit: digests, times, outcome.
    """

    documents: timedelta | None = None
    traces: timedelta | None = None
    rows: timedelta | None = None
    source: Source | None = None
