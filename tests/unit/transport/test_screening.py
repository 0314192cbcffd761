"""Whom the line does not answer: from main's table through its messages to the ringing call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transport.calls import Premises
from transport.client import ProcessLine
from transport.line import LineProcess
from transport.network import Incoming
from transport.screening import Screen, Screening, cut
from transport.seam import LineTable
from transport.workers import Workers

from .test_line import AnsweredLeg, Children, Trunk

if TYPE_CHECKING:
    from pathlib import Path

OURS, OTHER = "+97231234567", "+97237654321"


@dataclass
class RefusedLeg(AnsweredLeg):
    """A call that keeps how it was refused."""

    refusals: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, code: int, reason: str) -> None:
        """Be refused."""
        self.refusals.append((code, reason))


@dataclass
class Main:
    """What main's side publishes of, and hears."""

    _table: LineTable
    posted: list[dict[str, Any]] = field(default_factory=list)

    def post(self, message: dict[str, Any]) -> None:
        """Keep a message."""
        self.posted.append(message)


async def test_a_blocked_caller_is_refused_before_the_answer(tmp_path: Path) -> None:
    """Lost otherwise: whoever is blocked hears a fax machine, and blocks one of our channels."""
    screens = (Screen(called=(OURS,), callers=("+12025550199",)), Screen(prefixes=("+1900",), anonymous=True))
    main = Main(LineTable(frozenset({OURS, OTHER}), screens=screens))
    ProcessLine._publish(main, main)  # type: ignore[arg-type]  # all that it needs of a client and of a link
    process = LineProcess(main, Premises(Trunk(), Workers(Children()), tmp_path))  # type: ignore[arg-type]  # as above
    for message in list(main.posted):
        process._obey(message)
    calls = {
        (OURS, "+12025550199", ""): [(603, "Decline")],
        (OTHER, "+12025550199", ""): [],
        (OURS, "+19005550100", ""): [(603, "Decline")],
        (OTHER, "", ""): [(603, "Decline")],
        ("+1", "+19005550100", ""): [(404, "Not Found")],
        (OTHER, "+19005550100", "hall"): [],
    }
    legs = {call: RefusedLeg() for call in calls}
    for (called, caller, device), leg in legs.items():
        process._incoming(Incoming(leg, called, caller, "t", device))
    assert {call: leg.refusals for call, leg in legs.items()} == calls
    assert process._declined == 3
    for task, _ in list(process._calls.values()):
        task.cancel()


def test_the_first_screen_that_means_a_call_decides() -> None:
    """Lost otherwise: who shall be kept in quarantine is refused by a later, wider entry."""
    screening = Screening([Screen(refuse=False, callers=("+19005550100",)), Screen(prefixes=("+1900",))])
    assert not screening.refuses("+1", "+19005550100")
    assert screening.refuses("+1", "+19005550101")
    assert not screening.refuses("+1", "")


def test_a_long_block_list_is_cut_and_means_the_same() -> None:
    """Lost otherwise: a list of ten thousand callers is no message that the line can hear."""
    long = Screen(called=("+1", "+2", "+3"), callers=tuple(f"+9{n}" for n in range(5)), prefixes=("+8",))
    parts = list(cut(long, 2))
    assert max(len(each) for part in parts for each in (part.called, part.callers, part.prefixes)) == 2
    for called in ("+1", "+3", "+4"):
        for caller in ("+90", "+94", "+95", "+81", ""):
            assert Screening([long]).refuses(called, caller) == Screening(parts).refuses(called, caller)
    assert list(cut(Screen(anonymous=True), 2)) == [Screen(anonymous=True)]
