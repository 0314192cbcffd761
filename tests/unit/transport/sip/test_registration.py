"""Our registration with a trunk, and whether it answers: when to do what."""

from __future__ import annotations

import itertools
import random

from transport.sip.keepalive import Keepalive
from transport.sip.registration import Registration


def _registration(expires: int = 600) -> Registration:
    return Registration(expires, random.Random(1))


def test_it_is_refreshed_before_the_time_that_was_granted_ends() -> None:
    """Lost otherwise: between two registrations no call comes in."""
    for granted in (30, 60, 120, 600, 3600):
        registration = _registration()
        registration.answered(1000.0, 200, "OK", granted=granted)
        assert registration.registered(1000.0 + granted - 1)
        assert not registration.registered(1000.0 + granted + 1)
        assert 1000.0 < registration.due < 1000.0 + granted - min(10, granted / 2.5)


def test_failures_wait_longer_each_time_and_a_wrong_password_longest() -> None:
    """Lost otherwise: a trunk bans us for our own retries."""
    registration = _registration()
    now, pauses = 0.0, []
    for _ in range(10):
        registration.failed(now, "no answer")
        pauses.append(registration.due - now)
        now = registration.due
    assert pauses[0] < 6
    assert pauses[-1] > 250
    assert all(later > earlier * 0.8 for earlier, later in itertools.pairwise(pauses))
    refused = _registration()
    refused.answered(0.0, 403, "Forbidden")
    assert refused.due > 50
    assert refused.trouble == "403 Forbidden"


def test_a_longer_time_is_asked_for_where_the_registrar_wants_it() -> None:
    """Lost otherwise: a registrar with a minimum never has us (RFC 3261 10.2.8)."""
    registration = _registration(60)
    registration.answered(5.0, 423, "Interval Too Brief", least=1800)
    assert (registration.expires, registration.due) == (1800, 5.0)
    registration.answered(6.0, 423, "Interval Too Brief", least=1800)
    assert registration.due > 6.0, "no loop with a registrar that never has enough"


def test_retry_after_is_kept_to() -> None:
    """Lost otherwise: a trunk under maintenance is pestered."""
    registration = _registration()
    registration.answered(0.0, 503, "Service Unavailable", wait=200)
    assert registration.due >= 180


def test_a_failed_refresh_leaves_what_was_granted() -> None:
    """Lost otherwise: one lost packet shows a working trunk as down."""
    registration = _registration()
    registration.answered(0.0, 200, "OK", granted=600)
    registration.failed(560.0, "no answer")
    assert registration.registered(590.0)


def test_one_lost_question_is_no_outage_two_are() -> None:
    """Lost otherwise: a trunk flickers in the status, or a dead one stays up."""
    keepalive = Keepalive(60.0)
    keepalive.answered(0.0, 200, "", 0.02)
    keepalive.answered(60.0, 408, "no answer", 32.0)
    assert (keepalive.up, keepalive.due < 70) == (True, True)
    keepalive.answered(100.0, 408, "no answer", 32.0)
    assert (keepalive.up, keepalive.since) == (False, 100.0)
    keepalive.answered(160.0, 405, "", 0.01)
    assert (keepalive.up, keepalive.since) == (True, 160.0), "any answer is a sign of life"
