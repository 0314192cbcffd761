"""What a line needs of the way to the telephone network: dial a leg, answer one, follow it, hang up.

The simulated network and SIP stand behind it. A leg's media belong to the worker that takes them over as descriptors;
a network knows nothing of T.30, and who carries a call knows nothing of how it was signalled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transport.order import Media
    from transport.seam import CallRequest, LineTable


@dataclass(frozen=True, slots=True)
class Alerting:
    """The far end rings: any response from 101 to 199."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The far end answered (a 200), or its ACK came; ``media``: what was agreed."""

    media: Media


@dataclass(frozen=True, slots=True)
class Refused:
    """There will be no answer. ``code``: SIP's, ``None`` where no trunk took the call."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """New media were agreed in the call (a re-INVITE): audio gave way to T.38, an address moved, a hold."""

    media: Media


@dataclass(frozen=True, slots=True)
class Gone:
    """The far end hung up an answered call, or the dialog died. ``reason``: a sentence for people."""

    reason: str


Signal = Alerting | Connected | Refused | Changed | Gone


class Leg(Protocol):
    """One call on the network.

    What :meth:`signal` gives, in order: any number of :class:`Alerting` (outbound), then :class:`Refused` and no
    more, or :class:`Connected`, then any number of :class:`Changed`, then at most one :class:`Gone`. An inbound leg
    gives :class:`Connected` or :class:`Refused` after :meth:`answer`. ``trace``: where each message is noted (arrow,
    layer, text: :class:`.seam.TraceEntry`); what was noted before it was set is told to it then.
    """

    trace: Callable[[str, str, str], None] | None

    def take_media(self) -> tuple[int, ...]:
        """Give away the descriptors of the media, to be closed by who takes them; once, from :meth:`answer` on.

        One for lock-step; for SIP two bound UDP sockets: RTP, and UDPTL two ports above it.
        """

    async def signal(self) -> Signal:
        """Return what the network says next; blocks for ever after the last signal. Safe to cancel."""

    def answer(self) -> None:
        """Answer an incoming call."""

    def refuse(self, code: int, reason: str) -> None:
        """Refuse an incoming call."""

    def hang_up(self) -> None:
        """End the leg in any state (CANCEL, BYE); harmless when it has ended. Frees what was not taken."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call for one of our numbers, or one that a device of ours makes.

    ``number``: the called number, ``caller``: the calling one or empty; E.164 with ``+``. ``trunk``: the trunk it came
    by. ``device``: the name of the device that calls (and proved that it is it), whose call's pages become a fax to
    ``number``.
    """

    leg: Leg
    number: str
    caller: str
    trunk: str
    device: str = ""


class Network(Protocol):
    """A way to the telephone network, by one trunk or several."""

    @property
    def simulated(self) -> bool:
        """Whether nobody can be reached by it."""

    async def run(self, on_incoming: Callable[[Incoming], None]) -> None:
        """Keep the way up until cancelled; ``on_incoming`` answers or refuses the leg, at once or later."""

    def publish(self, table: LineTable) -> None:
        """Say which numbers we answer, and by which trunks and devices."""

    def trunks(self) -> Mapping[str, int]:
        """Return how many calls each trunk and each device (``device:NAME``) carries at once, both ways together."""

    def dial(self, request: CallRequest) -> Leg:
        """Begin a call on ``request.trunk``; a trunk that is not there refuses with code ``None``."""

    async def ask(self, question: str, name: str) -> dict[str, object]:
        """Answer a question of an operator as JSON values: ``status`` of every trunk, ``test`` of one; see SIP."""
