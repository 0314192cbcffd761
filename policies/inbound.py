"""What becomes of a call that comes in: who is not wanted, and which mailboxes and machines get the fax. Pure.

A call is looked at twice: when it rings, by the numbers alone (``csid`` and ``subaddress`` are None), and when the far
machine has said who it is. Blocks that name no ident are looked at first, in their order, then those that do; the first
that fits decides what is done with the junk. The first route that fits says who gets the fax, else the number itself.
Source: ITU-T T.30 (CSI, TSI: the far machine's ident; SUB: the sub-address). Invariants:

* a call is refused before it is answered only for what is known by then;
* idents are compared without case and without spaces: machines pad them;
* the far side chose its ident, and mostly its number: neither proves anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from policies.decision import Reason, reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from policies.policy import Number, Policy, Source

#: How a policy file writes callers who withhold their number.
ANONYMOUS: Final = "anonymous"
#: So many rules that do not fit are listed one by one.
MAX_LISTED: Final = 50


class Junk(Enum):
    """What is done with a call that is blocked."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True)
class Callers:
    """Some callers: whole numbers, first digits (both E.164), and those who withhold their number."""

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    anonymous: bool = False

    def __contains__(self, caller: str) -> bool:
        if not caller:
            return self.anonymous
        return caller in self.exact or caller.startswith(self.prefixes)


@dataclass(frozen=True, slots=True)
class Selector:
    """Which calls a rule means: those that fit each part that is not empty. ``idents`` are globs (``*``, ``?``)."""

    called: frozenset[str] = frozenset()
    callers: Callers | None = None
    idents: tuple[str, ...] = ()
    subaddresses: frozenset[str] = frozenset()

    @property
    def needs_ident(self) -> bool:
        """Whether the far machine must have spoken before this can fit."""
        return bool(self.idents or self.subaddresses)

    def miss(self, call: CallFacts) -> str | None:
        """Return what keeps the rule from applying to a call, None if it applies."""
        if self.called and call.called not in self.called:
            return f"means other numbers than {call.called}"
        if self.callers is not None and call.caller not in self.callers:
            return f"means other callers than {call.caller or 'one who withholds the number'}"
        if self.idents and not any(fits(glob, call.csid or "") for glob in self.idents):
            return f"means other idents than {_heard(call.csid)}"
        if self.subaddresses and bare(call.subaddress or "") not in self.subaddresses:
            return f"means other sub-addresses than {_heard(call.subaddress)}"
        return None


@dataclass(frozen=True, slots=True)
class Block:
    """Calls that are not wanted, and what is done with them."""

    selector: Selector
    junk: Junk
    position: int
    source: Source


@dataclass(frozen=True, slots=True)
class InboundRoute:
    """Who gets the faxes of some calls: mail addresses, and names of devices."""

    selector: Selector
    deliver_to: tuple[str, ...]
    devices: tuple[str, ...]
    position: int
    source: Source


@dataclass(frozen=True, slots=True)
class Inbound:
    """All that the files say of calls that come in.

    ``blocks`` stand in the order in which they are looked at. ``by_called`` has the routes that name the called number,
    ``anywhere`` the others; both in written order.
    """

    blocks: tuple[Block, ...] = ()
    by_called: Mapping[str, tuple[InboundRoute, ...]] = field(default_factory=dict)
    anywhere: tuple[InboundRoute, ...] = ()

    def routes_of(self, called: str) -> list[InboundRoute]:
        """Return the routes that a call to a number may take, in written order."""
        return sorted((*self.by_called.get(called, ()), *self.anywhere), key=lambda route: route.position)


@dataclass(frozen=True, slots=True)
class CallFacts:
    """One call that comes in: both numbers in E.164, ``caller`` '' where it is withheld.

    ``csid``: the far machine's ident, ``subaddress``: what it asked for (T.30 SUB), '' where it said none; None while
    it has not spoken.
    """

    called: str
    caller: str = ""
    csid: str | None = None
    subaddress: str | None = None


@dataclass(frozen=True, slots=True)
class InboundDecision:
    """What becomes of a call. ``junk`` None: it is wanted. ``reasons`` name each rule that was looked at.

    ``number`` None: the called one is none of the relay's that receive faxes.
    ``unanswered``: it is refused while it rings. ``deliver_to`` and ``devices`` are empty where nobody gets the fax:
    what is refused or kept in quarantine. ``meant_for``: who would get it if it were let out of the quarantine.
    """

    number: Number | None
    junk: Junk | None
    unanswered: bool
    deliver_to: tuple[str, ...]
    devices: tuple[str, ...]
    meant_for: tuple[tuple[str, ...], tuple[str, ...]]
    reasons: tuple[Reason, ...]


def decide_call(policy: Policy, call: CallFacts) -> InboundDecision:
    """Return what becomes of a call to one of the relay's numbers; see :class:`CallFacts` for what is asked."""
    number = policy.numbers.get(call.called)
    if number is None or not number.receives:
        text = f"{call.called} is none of the numbers that receive faxes"
        told = reason("numbers", number.source if number else None, text, matched=True)
        return InboundDecision(None, None, True, (), (), ((), ()), (told,))  # noqa: FBT003  it stands above
    reasons: list[Reason] = []
    block = _first_block(policy.inbound.blocks, call, reasons)
    junk = block.junk if block is not None else None
    unanswered = block is not None and junk is Junk.REFUSE and not block.selector.needs_ident
    if unanswered:
        return InboundDecision(number, junk, unanswered, (), (), ((), ()), tuple(reasons))
    meant_for = _receivers(policy, number, call, reasons)
    mailboxes, devices = meant_for if junk in {None, Junk.DELIVER} else ((), ())
    return InboundDecision(number, junk, unanswered, mailboxes, devices, meant_for, tuple(reasons))


def fits(glob: str, ident: str) -> bool:
    """Return whether an ident is one that a glob means; a machine that says none fits nothing.

    >>> fits("*fax blast*", "The FAXBLAST Co"), fits("+1 202*", "+1202 5550123"), fits("*", "")
    (True, True, False)
    """
    pattern, text = bare(glob), bare(ident)
    if not text:
        return False
    at = here = 0
    star = resume = -1
    while here < len(text):  # each sign of the text is looked at once for each star's last place: no backtracking tree
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, here
            at += 1
        elif at < len(pattern) and pattern[at] in {"?", text[here]}:
            at, here = at + 1, here + 1
        elif star >= 0:
            resume += 1
            at, here = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def bare(ident: str) -> str:
    """Return an ident or sub-address as it is compared."""
    return ident.replace(" ", "").casefold()


def _first_block(blocks: Iterable[Block], call: CallFacts, reasons: list[Reason]) -> Block | None:
    missed = 0
    for block in blocks:
        if call.csid is None and block.selector.needs_ident:
            continue
        miss = block.selector.miss(call)
        name = f"inbound.block[{block.position}]"
        if miss is None:
            reasons.append(reason(name, block.source, _WHAT[block.junk], matched=True))
            return block
        missed += 1
        if missed <= MAX_LISTED:
            reasons.append(reason(name, block.source, miss, matched=False))
    if missed > MAX_LISTED:
        reasons.append(reason("inbound.block", None, f"{missed - MAX_LISTED} more do not fit", matched=False))
    return None


_WHAT: Final = {
    Junk.REFUSE: "the caller is refused",
    Junk.QUARANTINE: "what comes is kept, and mailed to nobody",
    Junk.DELIVER: "what comes is delivered, marked as junk",
}


def _receivers(
    policy: Policy, number: Number, call: CallFacts, reasons: list[Reason]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    for at, route in enumerate(policy.inbound.routes_of(call.called)):
        miss = route.selector.miss(call)
        name = f"inbound.routes[{route.position}]"
        if miss is None:
            to = ", ".join((*route.deliver_to, *route.devices))
            reasons.append(reason(name, route.source, f"the fax goes to {to}", matched=True))
            return route.deliver_to, route.devices
        if at < MAX_LISTED:
            reasons.append(reason(name, route.source, miss, matched=False))
    to = ", ".join((*number.deliver_to, *number.deliver_to_devices))
    name = f"numbers.{number.number}.deliver_to"
    reasons.append(reason(name, number.source, f"no route fits; the fax goes to {to}", matched=True))
    return number.deliver_to, number.deliver_to_devices


def _heard(said: str | None) -> str:
    if said is None:
        return "one not heard yet"
    return repr(said[:50]) if said else "none"
