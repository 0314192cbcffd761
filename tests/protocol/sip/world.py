"""Two ends of SIP in one thread, with a clock of their own and a network as bad as told: hours pass in milliseconds."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transport.sip.remains import Remains
from transport.sip.stack.dialogs import Dialog, Reply
from transport.sip.stack.invitations import Invitation, Invite, Refusal, Summons
from transport.sip.stack.station import Asked, Station
from transport.sip.uri import BadAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.sip.digest import Answerer
    from transport.sip.stack.messages import Flow
    from transport.sip.uri import Uri

DELAY = 0.01


class World:
    """The clock and the network. ``lose(text)``: whether the network loses a message."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.lose: Callable[[str], bool] = lambda _: False
        self.twice: Callable[[str], bool] = lambda _: False
        self.sent: list[str] = []

    def later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Run a callback after seconds; return what cancels it."""
        alive = [True]
        entry = (self.now + seconds, next(self._order), lambda: callback() if alive[0] else None)
        heapq.heappush(self._due, entry)
        return lambda: alive.__setitem__(0, False)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            at, _, callback = heapq.heappop(self._due)
            self.now = max(self.now, at)
            callback()
        self.now = until

    def carry(self, text: str, deliver: Callable[[bytes], None]) -> None:
        """Carry a message, unless it is lost."""
        self.sent.append(text)
        if self.lose(text):
            return
        for _ in range(2 if self.twice(text) else 1):
            self.later(DELAY, lambda: deliver(text.encode("utf-8", "surrogateescape")))

    def said(self, first: str) -> int:
        """Return how many messages with such a first line were sent."""
        return sum(1 for text in self.sent if text.startswith(first))


@dataclass(eq=False)
class Way:
    """One direction between two ends."""

    world: World
    local: tuple[str, int]
    remote: tuple[str, int]
    to: End | None = None
    back: Way | None = None
    reliable: bool = False
    transport: str = "udp"

    def send_to(self, data: str | bytes, address: object) -> None:
        """Hand a message to the network."""
        del address
        text = data if isinstance(data, str) else data.decode()
        assert self.to is not None
        assert self.back is not None
        to, back = self.to, self.back
        self.world.carry(text, lambda raw: to.station.receive(raw, back))

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:  # noqa: N802  the library's name
        """Return our address."""
        return self.local, self.transport


@dataclass
class End:
    """One end: it answers or refuses calls as told and remembers what happened."""

    world: World
    host: str
    answers: Callable[[Summons], None] | None = None
    happened: list[tuple[object, ...]] = field(default_factory=list)
    dialog: Dialog | None = None
    summons: Summons | None = None
    reply: Reply = field(default_factory=lambda: Reply(200, "OK", "v=0\r\n(answer)\r\n"))

    def __post_init__(self) -> None:
        self.station = Station(
            later=self.world.later, hop=self._hop, requested=self._requested, tap=lambda *_: None,
            unreadable=self._unreadable, remains=Remains(""),
        )  # fmt: skip

    def _unreadable(self, reason: str, _: Flow) -> bool:
        self.happened.append(("unreadable", reason))
        return True

    @staticmethod
    def _hop(uri: Uri | None, base: Flow) -> Flow:
        del uri
        return base

    def _requested(self, asked: Asked) -> None:
        if asked.method != "INVITE":
            asked.reply(200, "OK")
            return
        self.station.remember(asked.request)
        try:
            summons = asked.summons(symmetric=False)
        except BadAddress:
            asked.reply(400, "Bad Contact")
            return
        self.summons = summons
        summons.cancelled = lambda: self.happened.append(("cancelled",))
        if self.answers is not None:
            self.answers(summons)

    def answer(self, summons: Summons) -> None:
        """Answer a call."""
        self.dialog = summons.answer(self, f"<sip:fax@{self.host}>", "v=0\r\n(ours)\r\n")

    def invite(self, way: Way, answerer: Answerer | None = None) -> Invitation:
        """Call the other end."""
        invite = Invite(
            f"sip:1@{way.remote[0]}", f"<sip:2@{self.host}>", f"<sip:1@{way.remote[0]}>", f"<sip:fax@{self.host}>",
            "v=0\r\n(offer)\r\n",
        )  # fmt: skip
        made = self.station.invitation(self, invite, way, answerer)
        made.send()
        return made

    def progressed(self, code: int) -> None:
        """Remember a provisional response."""
        self.happened.append(("progressed", code))

    def accepted(self, dialog: Dialog, body: str) -> None:
        """Remember an answer."""
        self.dialog = dialog
        self.happened.append(("accepted", body.strip()))

    def refused(self, refusal: Refusal) -> None:
        """Remember a refusal."""
        self.happened.append(("refused", refusal.code, refusal.fault or refusal.reason))

    def offered(self, body: str) -> Reply:
        """Remember an offer and answer it."""
        self.happened.append(("offered", body.strip()))
        return self.reply

    def acknowledged(self, body: str) -> None:
        """Remember an ACK."""
        self.happened.append(("acknowledged", body.strip()))

    def answered(self, code: int, reason: str, body: str) -> None:
        """Remember the answer to our offer."""
        del reason
        self.happened.append(("answered", code, body.strip()))

    def gone(self, reason: str) -> None:
        """Remember the end."""
        self.happened.append(("gone", reason))

    def kinds(self) -> list[object]:
        """Return what happened, in a word each."""
        return [one[0] for one in self.happened]

    def idle(self) -> bool:
        """Return whether nothing is left of any call."""
        transactions = self.station.transactions
        return not (transactions.tclient or transactions.tserver or self.station.dialogs)


def pair(*, reliable: bool = False) -> tuple[World, End, End, Way]:
    """Return a world, a caller, a called end that answers, and the way from one to the other."""
    world = World()
    near, far = End(world, "192.0.2.1"), End(world, "192.0.2.2")
    there = Way(world, ("192.0.2.1", 5060), ("192.0.2.2", 5060), far, reliable=reliable)
    here = Way(world, ("192.0.2.2", 5060), ("192.0.2.1", 5060), near, there, reliable=reliable)
    there.back = here
    far.answers = far.answer
    return world, near, far, there
