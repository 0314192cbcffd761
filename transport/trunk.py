"""What a line needs of the way to the telephone network: dial a leg, answer one, hang up.

The simulated network stands behind it, and SIP can. Media belong to a leg as a descriptor that a worker takes over; a
trunk knows nothing of T.30.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transport.seam import CallRequest


@dataclass(frozen=True, slots=True)
class Alerting:
    """The far end rings (a 180)."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The far end answered (a 200); ``t38``: the media are T.38."""

    t38: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """There will be no answer. ``code``: SIP's, ``None`` where no trunk took the call."""

    code: int | None
    reason: str


Signal = Alerting | Connected | Refused


class Leg(Protocol):
    """One call on the trunk."""

    def take_media(self) -> int:
        """Give away the descriptor of the media: for the worker alone, so that its death is a hang-up. Once."""

    async def signal(self) -> Signal:
        """Return what the trunk says next; after :class:`Connected` or :class:`Refused` there is no more."""

    def answer(self) -> None:
        """Answer an incoming call."""

    def refuse(self, code: int, reason: str) -> None:
        """Refuse an incoming call."""

    def hang_up(self) -> None:
        """End the leg in any state; harmless when it has ended."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call for one of our numbers."""

    leg: Leg
    number: str
    caller: str
    t38: bool


class Trunk(Protocol):
    """One way to the telephone network."""

    @property
    def simulated(self) -> bool:
        """Whether nobody can be reached by it."""

    async def run(self, on_incoming: Callable[[Incoming], None]) -> None:
        """Keep the trunk up until cancelled."""

    def publish(self, numbers: Sequence[str]) -> None:
        """Say which numbers we answer."""

    def dial(self, request: CallRequest) -> Leg:
        """Begin a call."""
