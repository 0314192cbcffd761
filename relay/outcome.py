"""What follows a call: a pure decision with its reason, the sentence that the history and the receipt show.

One rule decides for a crash and for a dropped line alike: a call whose last page was offered and not confirmed may
have delivered the whole fax, so it is never dialled again by itself (``UNCERTAIN``). Every other call that was not
confirmed did not deliver the whole fax, and is tried again while the number's rule allows. No clock, no database in
here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from relay.fax import Outbound
from transport.seam import CallResult, Cause, Evidence

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

#: Dialling again cannot help, whatever the rule allows.
PERMANENT = frozenset({Cause.BAD_NUMBER, Cause.DOCUMENT})

#: What each cause means to whoever reads the history.
WORDS = {
    Cause.CONFIRMED: "every page was confirmed",
    Cause.BUSY: "the number was busy",
    Cause.NO_ANSWER: "nobody answered",
    Cause.BAD_NUMBER: "the number does not exist",
    Cause.REJECTED: "the call was rejected",
    Cause.NOT_FAX: "no fax machine answered",
    Cause.TRAINING: "the machines could not agree on a speed",
    Cause.PAGE_FAILED: "a page was not received well",
    Cause.DOCUMENT: "the document could not be transmitted",
    Cause.LOST_CALL: "the call was cut",
    Cause.TRUNK_DOWN: "no telephone line could take the call",
    Cause.CANCELLED: "the call was cancelled",
    Cause.LOCAL: "a fault of the relay ended the call",
}


@dataclass(frozen=True, slots=True)
class RetryRule:
    """A number's rule. ``retries`` counts the calls after the first; ``delays`` fall back to ``delay``."""

    retries: int = 3
    delay: timedelta = timedelta(minutes=5)
    delays: Mapping[Cause, timedelta] = field(default_factory=dict)
    never: frozenset[Cause] = frozenset()

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> RetryRule:
        """Return the rule that a fax's ``settings["retries"]`` holds as JSON (seconds), defaults where it is silent."""
        rule = settings.get("retries", {})
        return cls(
            retries=rule.get("retries", 3),
            delay=timedelta(seconds=rule.get("delay", 300)),
            delays={Cause(cause): timedelta(seconds=seconds) for cause, seconds in rule.get("delays", {}).items()},
            never=frozenset(Cause(cause) for cause in rule.get("never", ())),
        )

    def delay_after(self, cause: Cause) -> timedelta:
        """Return the pause after a call that ended so."""
        return self.delays.get(cause, self.delay)


@dataclass(frozen=True, slots=True)
class Decision:
    """The state that follows. ``after`` is ``QUEUED`` for another call, due when ``delay`` has passed.

    ``PREPARING``: the pages are made again, in standard resolution, for another call at once. ``spends``: whether the
    call counts as one of those that the rule allows.
    """

    after: Outbound
    reason: str
    delay: timedelta = timedelta()
    spends: bool = True


@dataclass(frozen=True, slots=True)
class Ways:
    """What else can be tried beside calling again: the next trunk, pages of standard resolution."""

    other_trunk: bool = False
    coarser: bool = False


_NO_WAYS = Ways()


def decide(
    rule: RetryRule,
    result: CallResult,
    *,
    pages: int,
    calls_made: int,
    spread: random.Random,
    ways: Ways = _NO_WAYS,
) -> Decision:
    """Return what follows call number ``calls_made`` of a fax of ``pages`` pages.

    A trunk that could not carry the call to the far end is no call: the next trunk is tried at once. ``spread``
    lengthens a delay by up to a tenth, so that faxes that failed together do not come back together.

    >>> lost = CallResult("1", Cause.LOST_CALL, pages_confirmed=1, last_page_offered=True, simulated=False)
    >>> decide(RetryRule(), lost, pages=2, calls_made=1, spread=random.Random(0)).after
    <Outbound.UNCERTAIN: 'uncertain'>
    """
    words = WORDS[result.cause]
    if result.pages_confirmed >= pages:
        return Decision(Outbound.SENT, f"{pages} of {pages} pages confirmed by the far machine")
    if result.last_page_offered:
        return Decision(Outbound.UNCERTAIN, f"{words}; the last page was sent but not confirmed")
    if result.cause is Cause.CANCELLED:
        return Decision(Outbound.CANCELLED, f"cancelled with {result.pages_confirmed} of {pages} pages confirmed")
    return _another_way(result, ways) or _again(rule, result, calls_made, spread)


def _another_way(result: CallResult, ways: Ways) -> Decision | None:
    """Return the call that follows at once, where it was not the fax's fault; it spends nothing of what is allowed."""
    if result.too_fine and ways.coarser:
        return Decision(Outbound.PREPARING, "the far machine takes standard resolution only", spends=False)
    if result.cause is Cause.TRUNK_DOWN and not result.alerted and ways.other_trunk:
        return Decision(Outbound.QUEUED, f"{_why(result)}; the next trunk is tried", spends=False)
    return None


def _again(rule: RetryRule, result: CallResult, calls_made: int, spread: random.Random) -> Decision:
    words = WORDS[result.cause]
    if result.cause in PERMANENT:
        return Decision(Outbound.FAILED, f"{words}; dialling again cannot help")
    if result.cause in rule.never:
        return Decision(Outbound.FAILED, f"{words}; the policy does not dial again after this")
    allowed = rule.retries + 1
    if calls_made >= allowed:
        return Decision(Outbound.FAILED, f"{words}; all {allowed} calls made")
    delay = rule.delay_after(result.cause) * (1 + spread.random() / 10)
    return Decision(Outbound.QUEUED, f"{words}; call {calls_made + 1} of {allowed} follows", delay)


def _why(result: CallResult) -> str:
    return f"{WORDS[result.cause]} ({result.sip_reason})" if result.sip_reason else WORDS[result.cause]


def of_evidence(evidence: Evidence, call: str, *, simulated: bool) -> CallResult:
    """Return the result of a call whose worker or line died, as far as its journal proves it.

    The worker's own last word where it wrote one; otherwise the call was lost, with what had been confirmed by then.
    """
    if evidence.complete and evidence.result is not None:
        return evidence.result
    return CallResult(
        call=call,
        cause=Cause.CONFIRMED if evidence.whole else Cause.LOCAL,
        pages_confirmed=evidence.pages_confirmed,
        last_page_offered=evidence.last_page_offered,
        simulated=simulated,
    )
