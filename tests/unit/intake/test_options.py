"""What a mail may ask for: only what its number allows, and never more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from policies import MailOption, Number, load
from relay.errors import Refusal
from relay.intake.mime_worker import OPTIONS
from relay.intake.options import applied, asked

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS: dict[str, Any] = {
    "resolution": "fine", "mode": "auto", "priority": 5, "retries": {"retries": 2, "delay": 60.0},
}  # fmt: skip


def number(tmp_path: Path, *options: str) -> Number:
    """Return a number that allows these options."""
    text = f"numbers: [{{number: '+97231234567', deliver_to: [a@example.com], mail_options: [{', '.join(options)}]}}]\n"
    (tmp_path / "p.yaml").write_text(text)
    return load(tmp_path).numbers["+97231234567"]


def test_the_reader_of_mail_knows_every_option() -> None:
    """Lost otherwise: an option that the policy allows is never seen."""
    assert set(OPTIONS) == {option.value for option in MailOption}


def test_headers_and_subject_are_read_and_the_subject_is_cleaned(tmp_path: Path) -> None:
    """Lost otherwise: the far side reads '::priority=9' as the title of the fax."""
    own = number(tmp_path, "resolution", "priority")
    found, rest = asked({"resolution": "standard"}, "Offer ::priority=9 4711 ::resolution=superfine", own)
    assert found == {MailOption.RESOLUTION: "standard", MailOption.PRIORITY: "9"}, "a header counts before the subject"
    assert rest == "Offer 4711"
    assert applied(found, SETTINGS) == {**SETTINGS, "resolution": "standard", "priority": 9}


@pytest.mark.parametrize("subject", ["Re: C++ ::std=17", "::priority=9 first", "Offer::resolution=fine", "a :: b=c"])
def test_a_subject_of_somebody_who_may_ask_for_nothing_stays(tmp_path: Path, subject: str) -> None:
    """Lost otherwise: words vanish from subjects, or anybody jumps the queue."""
    assert asked({}, subject, number(tmp_path)) == ({}, subject)


def test_a_header_that_is_not_allowed_is_refused_by_name(tmp_path: Path) -> None:
    """Lost otherwise: a sender believes that his fax is urgent, and it is not."""
    with pytest.raises(Refusal, match=r"X-Fax-Priority is not allowed for faxes from \+97231234567"):
        asked({"priority": "9"}, "Offer", number(tmp_path, "resolution"))


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (MailOption.RESOLUTION, "ultra", "has to be standard, fine or superfine"),
        (MailOption.PRIORITY, "10", "has to be 0, 1"),
        (MailOption.RETRIES, "3", "has to be 0, 1 or 2"),
        (MailOption.MODE, "", "has to be auto, text or photo"),
        (MailOption.PRIORITY, "-1", "has to be 0, 1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(option: MailOption, value: str, told: str) -> None:
    """Lost otherwise: a mistyped option is ignored, or more retries are made than the number may."""
    with pytest.raises(Refusal, match=told):
        applied({option: value}, SETTINGS)


def test_fewer_retries_can_be_asked_for(tmp_path: Path) -> None:
    """Lost otherwise: an alarm that is stale after a minute is dialled for an hour."""
    found, _ = asked({"retries": " 0 "}, "Alarm", number(tmp_path, "retries"))
    assert applied(found, SETTINGS)["retries"] == {"retries": 0, "delay": 60.0}
