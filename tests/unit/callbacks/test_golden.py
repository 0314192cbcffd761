"""Each dialect's exact request for each event that it can show; and nothing for those that it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.callbacks.dialects import DIALECTS

from .events import ENDPOINTS, EVENTS, GOLDEN, rendered, shown

ENDS = {"sent", "failed", "failed_without_a_call", "uncertain", "cancelled", "refused", "unconfirmed", "step", "test"}
MAILS = {"mail_delivered", "bounced", "opened", "test_mail"}
SHOWN = {
    "standard": set(EVENTS),
    "sfax": ENDS | {"received", "test_received"},
    "interfax": ENDS,
    "interfax-soap": ENDS,
    "assinaturas": ENDS | {"released", "confirmed", "attempt_failed", "completed"} | MAILS,
    "esms": ENDS | {"held", "released", "confirmed", "queued", "dialing", "attempt_failed", "completed"},
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_is_exactly_this(dialect: str, event: str) -> None:
    """Lost otherwise: a receiver that was made for this dialect does not understand the relay."""
    DIALECTS[dialect].check(ENDPOINTS[dialect])
    request = rendered(dialect, EVENTS[event])
    if event not in SHOWN[dialect]:
        assert request is None
        return
    assert request is not None
    assert shown(request) == (GOLDEN / dialect / f"{event}.txt").read_text("utf-8")


def test_every_golden_file_is_used() -> None:
    """Lost otherwise: a file that no test reads is taken for the truth."""
    kept = {(path.parent.name, path.stem) for path in GOLDEN.glob("*/*.txt")}
    assert kept == {(dialect, event) for dialect, events in SHOWN.items() for event in events}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_address_that_is_not_set_gets_nothing(dialect: str) -> None:
    """Lost otherwise: faxes that are received are told to whoever wanted those that are sent."""
    deaf = replace(ENDPOINTS[dialect], url="", inbound_url="")
    assert all(DIALECTS[dialect].render(event, deaf, 0.0) is None for event in EVENTS.values())
