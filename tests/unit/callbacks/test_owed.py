"""What an endpoint is owed for an event."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.callbacks.dialects import DIALECTS, owed
from relay.callbacks.endpoint import Endpoint, Trigger, When
from relay.callbacks.event import Name, Occasion

from .events import ENDPOINTS, EVENTS

PLAIN = ENDPOINTS["standard"]
ASSINATURAS = ENDPOINTS["assinaturas"]
A, S, F = Occasion.ACTION, Occasion.STEP, Occasion.FLOW


def told(endpoint: Endpoint, name: str) -> list[Occasion]:
    """Return as what an event is told to an endpoint."""
    return [one.occasion for one in owed(EVENTS[name], endpoint)]


@pytest.mark.parametrize(
    ("trigger", "name", "plain", "steps"),
    [
        (Trigger.ACTION, "queued", [A], [A]),
        (Trigger.ACTION, "sent", [A], [A, S]),
        (Trigger.ACTION, "completed", [F], [F]),
        (Trigger.STEP, "queued", [], []),
        (Trigger.STEP, "attempt_failed", [], []),
        (Trigger.STEP, "failed", [S], [S]),
        (Trigger.STEP, "completed", [F], [F]),
        (Trigger.FLOW, "sent", [], []),
        (Trigger.FLOW, "completed", [F], [F]),
        (Trigger.FLOW, "received", [A], [A]),
        (Trigger.FLOW, "bounced", [A], [A]),
        (Trigger.FLOW, "suspended", [A], [A]),
    ],
)
def test_triggers_hold_those_below_them(
    trigger: Trigger, name: str, plain: list[Occasion], steps: list[Occasion]
) -> None:
    """Lost otherwise: a program that waits for the end of a mailing is called for every recipient, or never."""
    assert told(replace(PLAIN, trigger=trigger), name) == plain
    assert told(replace(ASSINATURAS, trigger=trigger), name) == steps


@pytest.mark.parametrize(
    ("when", "names"),
    [
        (When.ALWAYS, {"sent", "failed", "uncertain", "cancelled", "queued", "received", "bounced", "completed"}),
        (When.ON_SUCCESS, {"sent", "received"}),
        (When.ON_FAILURE, {"failed", "uncertain", "cancelled", "bounced", "completed"}),
        (When.NEVER, set()),
    ],
)
def test_when_chooses_by_the_end(when: When, names: set[str]) -> None:
    """Lost otherwise: whoever asked for failures alone hears of every fax, or takes an uncertain one for sent."""
    shown = ("sent", "failed", "uncertain", "cancelled", "queued", "received", "bounced", "completed")
    assert {name for name in shown if told(replace(PLAIN, when=when), name)} == names


def test_only_wanted_events_are_told() -> None:
    """Lost otherwise: the list of events in a policy file does nothing."""
    endpoint = replace(PLAIN, events=frozenset({Name.SENT}))
    assert told(endpoint, "sent") == [A]
    assert told(endpoint, "failed") == []


def test_a_test_call_is_always_owed() -> None:
    """Lost otherwise: an endpoint that is being set up cannot be tried."""
    assert told(replace(PLAIN, when=When.NEVER, events=frozenset({Name.HELD})), "test") == [A]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_preset_holds_pauses(dialect: str) -> None:
    """Lost otherwise: a schedule that calls at once and for ever."""
    assert all(pause >= 5 for pause in DIALECTS[dialect].PRESET)


def test_the_presets_are_those_of_their_documents() -> None:
    """Lost otherwise: a receiver that is down for a morning misses its calls."""
    presets = {name: list(DIALECTS[name].PRESET) for name in DIALECTS}
    assert presets["standard"] == [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600]
    assert presets["sfax"] == [120] * 4
    assert sum(presets["assinaturas"]) == 24 * 3600
    assert len(presets["esms"]) == 4
