"""Who has earned a place beside others in a worker.

A malicious fax can corrupt libspandsp's heap, and with it all calls of its worker. A caller is proven by a call that
came to a good end, and no more once a worker died in a call with it; a number that we dial is trusted until then.
Bounded: the ones not heard of for longest are forgotten, and so unproven again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from transport.seam import Cause

if TYPE_CHECKING:
    from transport.seam import CallResult

_REMEMBERED = 20_000


class Proven:
    """Remembers parties by trunk and number, for as long as the line runs."""

    def __init__(self) -> None:
        self._parties: OrderedDict[tuple[str, str], bool] = OrderedDict()

    def alone(self, trunk: str, number: str, *, inbound: bool) -> bool:
        """Return whether a call with this party shall have a worker of its own."""
        good = self._parties.get((trunk, number))
        return good is False or (inbound and not (good and number))

    def ended(self, trunk: str, number: str, result: CallResult, *, worker_died: bool) -> None:
        """Learn from how a call with the party ended."""
        if not worker_died and result.cause is not Cause.CONFIRMED:
            return
        self._parties[trunk, number] = not worker_died
        self._parties.move_to_end((trunk, number))
        if len(self._parties) > _REMEMBERED:
            self._parties.popitem(last=False)
