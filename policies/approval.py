"""Approval: which faxes of a number wait until a person has said yes. Pure.

Pages are counted when a fax has been made ready, so what depends on them is decided then; the rest when it is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from policies.policy import DestinationRule, Source

#: How long a fax waits for an answer unless the policy says otherwise.
USUAL_WAIT: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Approval:
    """``by``: mail addresses, of which the first to answer decides within ``within``.

    Every fax needs it where neither ``over_pages`` nor ``destinations`` is given, else each that either of them means.
    """

    by: tuple[str, ...]
    within: timedelta = USUAL_WAIT
    over_pages: int | None = None
    destinations: DestinationRule | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What one fax needs: the approval of ``by`` within ``within``; with ``over_pages``, if it has more pages.

    ``why`` says which rule wants it, for an admin.
    """

    by: tuple[str, ...]
    within: timedelta
    over_pages: int | None
    why: str
