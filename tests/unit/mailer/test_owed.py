"""Which mails a sender is owed: pure decisions on rows of a sort."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from policies import load
from relay.fax import Outbound
from relay.mailer import owed
from relay.notification import WISHES, Notify, Wishes
from relay.policy import submission_settings

POLICY = """
numbers:
  - number: "+97231234567"
    features: [mail_to_fax]
    senders: [{match: user@example.com, proof: auth}]
    accepted_mail: true
    delayed_mail: 30m
"""
SENDER = SimpleNamespace(answerable=True, sender="user@example.com")


def posts(
    before: Outbound | None, after: Outbound, *, settings: dict[str, Any], **more: Any
) -> list[tuple[str, float]]:
    """Return the kinds that are owed for a move, and after how many seconds."""
    moved = SimpleNamespace(before=before.value if before else None, after=after.value, detail=more.pop("detail", None))
    fax = SimpleNamespace(**({"id": 1, "settings": settings, "attempts": 0, "resend_of": None} | more))
    return [(one.kind, one.after) for one in owed.to_sender(moved, after, fax, SENDER)]  # type: ignore[arg-type]


def test_a_numbers_policy_reaches_the_mails(tmp_path: Path) -> None:
    """Lost otherwise: a key of the policy is read and does nothing."""
    (tmp_path / "a.yaml").write_text(dedent(POLICY))
    number = load(tmp_path).numbers["+97231234567"]
    settings = submission_settings(number.settings, number, "en")
    assert posts(None, Outbound.ACCEPTED, settings=settings) == [(owed.DELAYED, 1800.0)]
    assert posts(Outbound.PREPARING, Outbound.QUEUED, settings=settings) == [(owed.ACCEPTED, 0.0)]


def test_nothing_is_told_before_the_end_unless_somebody_asked() -> None:
    """Lost otherwise: every fax makes three mails."""
    assert posts(None, Outbound.ACCEPTED, settings={}) == []
    assert posts(Outbound.PREPARING, Outbound.QUEUED, settings={}) == []


def test_a_fax_is_accepted_once() -> None:
    """Lost otherwise: a fax whose pages are made again for a coarse machine is accepted a second time."""
    told = {owed.ACCEPTED_MAIL: True}
    assert posts(Outbound.PREPARING, Outbound.QUEUED, settings=told, attempts=1) == []
    assert posts(Outbound.DIALING, Outbound.QUEUED, settings=told, attempts=1) == []


@pytest.mark.parametrize(
    ("notify", "kinds"),
    [(frozenset(), []), (frozenset({Notify.DELAY}), [(owed.WAITING, 0.0)]), (None, [(owed.WAITING, 0.0)])],
)
def test_who_hears_that_a_fax_waits_for_its_hours(notify: frozenset[Notify] | None, kinds: list[Any]) -> None:
    """Lost otherwise: a server that said NEVER is written to at night."""
    told = {WISHES: Wishes(notify=notify, address="user@example.com").as_settings(), owed.ACCEPTED_MAIL: True}
    assert posts(Outbound.PREPARING, Outbound.QUEUED, settings=told, detail={"waits_until": 5.0}) == kinds


def test_a_report_without_an_address_is_not_sent() -> None:
    """Lost otherwise: a delivery to nobody fails for three days."""
    told = {WISHES: Wishes(notify=frozenset(Notify)).as_settings()}
    assert posts(Outbound.DIALING, Outbound.SENT, settings=told) == []


def test_a_fax_that_a_person_sent_again_has_a_plain_receipt() -> None:
    """Lost otherwise: a program gets a second report for the same mail."""
    wishes = Wishes(notify=frozenset({Notify.SUCCESS}), address="bounces@example.com")
    told = {WISHES: wishes.as_settings()}
    assert posts(Outbound.DIALING, Outbound.FAILED, settings=told, resend_of=7) == [(owed.RECEIPT, 0.0)]
    assert posts(Outbound.DIALING, Outbound.FAILED, settings=told) == []
