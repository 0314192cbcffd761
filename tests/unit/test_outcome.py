"""The decision after a call: every cause, and the rule that nothing is dialled twice that may have arrived."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.fax import Outbound
from relay.outcome import PERMANENT, RetryRule, decide, of_evidence
from transport.seam import CallResult, Cause, Evidence

SPREAD = random.Random(7)


def ended(cause: Cause, confirmed: int = 0, *, offered: bool = False) -> CallResult:
    """Return a result."""
    return CallResult("1", cause, pages_confirmed=confirmed, last_page_offered=offered, simulated=True)


@given(
    cause=st.sampled_from(Cause), confirmed=st.integers(0, 4), offered=st.booleans(),
    pages=st.integers(1, 4), calls=st.integers(1, 6), retries=st.integers(0, 3),
)  # fmt: skip
def test_sent_only_with_every_page_confirmed_and_no_second_call_where_it_may_have_arrived(
    cause: Cause,
    confirmed: int,
    offered: bool,
    pages: int,
    calls: int,
    retries: int,
) -> None:
    """Lost otherwise: a fax called sent that is not, or a document that arrives twice."""
    decision = decide(
        RetryRule(retries=retries),
        ended(cause, confirmed, offered=offered),
        pages=pages,
        calls_made=calls,
        spread=SPREAD,
    )
    assert (decision.after is Outbound.SENT) == (confirmed >= pages)
    if offered and confirmed < pages:
        assert decision.after is Outbound.UNCERTAIN
    if decision.after is Outbound.QUEUED:
        assert calls <= retries
        assert cause not in PERMANENT
        assert not offered


def test_each_cause_waits_as_long_as_its_rule_says() -> None:
    """Lost otherwise: a busy number is rung again at once, or after an hour."""
    rule = RetryRule.of_settings(
        {"retries": {"retries": 3, "delay": 300, "delays": {"busy": 60}, "never": ["not_fax"]}}
    )
    busy = decide(rule, ended(Cause.BUSY), pages=1, calls_made=1, spread=SPREAD)
    assert busy.after is Outbound.QUEUED
    assert timedelta(seconds=60) <= busy.delay <= timedelta(seconds=66)
    assert busy.reason == "the number was busy; call 2 of 4 follows"
    lost = decide(rule, ended(Cause.LOST_CALL), pages=1, calls_made=1, spread=SPREAD)
    assert timedelta(seconds=300) <= lost.delay <= timedelta(seconds=330)
    never = decide(rule, ended(Cause.NOT_FAX), pages=1, calls_made=1, spread=SPREAD)
    assert never.after is Outbound.FAILED


@pytest.mark.parametrize("cause", sorted(PERMANENT, key=str))
def test_what_cannot_get_better_is_not_tried_again(cause: Cause) -> None:
    """Lost otherwise: a number that does not exist is rung four times and its sender waits an hour for the answer."""
    assert decide(RetryRule(), ended(cause), pages=1, calls_made=1, spread=SPREAD).after is Outbound.FAILED


def test_a_cancelled_call_that_had_offered_its_last_page_is_uncertain() -> None:
    """Lost otherwise: 'cancelled' is reported for a fax that lies in the far machine's tray."""
    decision = decide(RetryRule(), ended(Cause.CANCELLED, 1, offered=True), pages=2, calls_made=1, spread=SPREAD)
    assert decision.after is Outbound.UNCERTAIN


def test_a_dead_workers_journal_decides() -> None:
    """Lost otherwise: a worker that was killed after the last confirmation makes the fax go out twice."""
    confirmed = Evidence(readable=True, complete=False, last_page_offered=True, pages_confirmed=2, result=None)
    unreadable = Evidence(readable=False, complete=False, last_page_offered=True, pages_confirmed=0, result=None)
    early = Evidence(readable=True, complete=False, last_page_offered=False, pages_confirmed=1, result=None)

    def after(evidence: Evidence) -> Outbound:
        result = of_evidence(evidence, "1", simulated=True)
        return decide(RetryRule(), result, pages=2, calls_made=1, spread=SPREAD).after

    assert after(confirmed) is Outbound.SENT
    assert after(unreadable) is Outbound.UNCERTAIN
    assert after(early) is Outbound.QUEUED
