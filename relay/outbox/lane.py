"""What a lane is, what it answers, and what follows an answer: a pure decision.

A lane knows which events concern it (:meth:`Lane.routes`, pure) and how to deliver one row (:meth:`Lane.deliver`). It
never retries by itself and writes nothing: order, back-off, giving up and suspension are the outbox's, the same for
every lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    import sqlalchemy as sa

    from relay.store.queue import Claim

#: The kind of delivery that tells a sender why a mail that was fetched is not faxed; it belongs to no fax.
REFUSAL = "refusal"
#: The kind of delivery that tells a person that an endpoint of callbacks fails; it belongs to no fax.
ALARM = "alarm"
#: The longest that a far side may make us wait by its own word, in seconds.
LONGEST_WISH = 24 * 3600.0


class State(Enum):
    """Where a delivery stands; the values are those of ``delivery.state``."""

    DUE = "due"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Post:
    """One delivery to make: to ``target``, of ``kind``.

    Those of one ``order_key`` go out in order, others side by side. ``after``: seconds until it is due; it counts as
    made then. ``twin``: a further delivery of the same event to the same target.
    """

    target: str
    kind: str
    order_key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    after: float = 0.0
    twin: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """The far side took it; ``answer``: its words."""

    answer: str = ""


@dataclass(frozen=True, slots=True)
class Skipped(Delivered):
    """Nothing had to be sent: it says nothing about the target."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a target's own entry says, in place of the lane's patience.

    ``delays``: seconds before each attempt after the first, after the last of which it is given up; ``suspend_after``:
    failures in a row, ``None`` for never; ``gone``: the target asked not to be called any more.
    """

    delays: tuple[float, ...]
    suspend_after: int | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now. ``retry_after``: seconds, where the far side named them.

    ``blocked``: the way out itself is, for every target. ``terms``: the target's own.
    """

    reason: str
    retry_after: float | None = None
    blocked: bool = False
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Never, in the far side's words."""

    reason: str


Outcome: TypeAlias = Delivered | Deferred | Refused


@dataclass(frozen=True, slots=True)
class Patience:
    """How a lane tries, in seconds.

    The pause after a failure starts at ``first``, doubles up to ``longest`` and is lengthened by up to a fifth by
    chance, so that what failed together does not come back together. A delivery is given up ``give_up`` after it was
    made. A target is suspended after ``suspend_after`` failures in a row (``None``: never), and what is for it is
    held until a person resumes it. When the way out is blocked for all, the lane rests for ``rest``. ``at_once``:
    deliveries side by side; ``attempt``: the longest that one may take. ``of_target``: of these, to one target that
    answers; to one that does not, or has not yet, one.
    """

    first: float = 15.0
    longest: float = 3600.0
    give_up: float = 3 * 24 * 3600.0
    suspend_after: int | None = None
    rest: float = 30.0
    at_once: int = 4
    attempt: float = 300.0
    of_target: int = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt came to: the delivery's state, the words to keep, and the pause before the next attempt."""

    state: State
    answer: str
    pause: float = 0.0


def pause_after(patience: Patience, failures: int, spread: random.Random) -> float:
    """Return the pause after failure number ``failures`` (1 is the first).

    >>> import random
    >>> [round(pause_after(Patience(), n, random.Random(1))) for n in (1, 2, 3, 20)]
    [15, 31, 62, 3697]
    """
    doubled = patience.first * 2.0 ** min(failures - 1, 32)
    return min(patience.longest, doubled) * (1 + spread.random() / 5)


def judge(patience: Patience, outcome: Outcome, *, age: float, failures: int, spread: random.Random) -> Verdict:
    """Return what follows ``outcome`` of a delivery that is ``age`` seconds old; ``failures`` counts this one.

    >>> import random
    >>> judge(Patience(), Deferred("451 later"), age=3 * 24 * 3600, failures=80, spread=random.Random(1)).state
    <State.FAILED: 'failed'>
    """
    match outcome:
        case Delivered(answer):
            return Verdict(State.DONE, answer)
        case Refused(reason):
            return Verdict(State.FAILED, reason)
        case Deferred(reason, retry_after, _, terms) if terms is not None:
            return _by_terms(terms, reason, retry_after, failures)
        case Deferred(reason, retry_after, blocked):
            if age >= patience.give_up:
                return Verdict(State.FAILED, f"given up; the last answer was: {reason}")
            if blocked:
                return Verdict(State.DUE, reason, patience.rest)
            wished = min(retry_after or 0.0, LONGEST_WISH)
            return Verdict(State.DUE, reason, max(wished, pause_after(patience, failures, spread)))


def _by_terms(terms: Terms, reason: str, retry_after: float | None, failures: int) -> Verdict:
    """Return what follows a failure under a target's own terms: its schedule is kept to the attempt."""
    if terms.gone:
        return Verdict(State.DUE, reason)  # held with all else that is for the target
    if failures > len(terms.delays):
        return Verdict(State.FAILED, f"given up; the last answer was: {reason}")
    wished = min(retry_after or 0.0, LONGEST_WISH)
    return Verdict(State.DUE, reason, max(wished, terms.delays[failures - 1]))


class Lane(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """The lane's name, as ``delivery.lane`` holds it."""

    @property
    def patience(self) -> Patience:
        """How it tries."""

    def routes(self, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None) -> list[Post]:
        """Return what this lane owes for an event: pure, and never two posts to one target."""

    async def deliver(self, claim: Claim) -> Outcome:
        """Deliver one claimed row of ``delivery``; harmless when it was delivered before."""


@runtime_checkable
class ReadingLane(Protocol):
    """A lane that needs more rows than the event's to know what it owes, and keeps a log of its own."""

    def read(
        self, connection: sa.Connection, event: sa.Row[Any], fax: sa.Row[Any], submission: sa.Row[Any] | None
    ) -> list[Post]:
        """Return what is owed for an event, in the transaction that routes it."""

    def held(self) -> frozenset[str]:
        """Return the targets that are held for another reason than their failures."""

    def concluded(
        self,
        connection: sa.Connection,
        claim: Claim,
        outcome: Outcome,
        verdict: Verdict,
        now: float,
        *,
        suspended: bool,
    ) -> None:
        """Note what an attempt came to, in the transaction that ends it; ``suspended``: the target was, by it."""
