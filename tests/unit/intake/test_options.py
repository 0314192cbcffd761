"""What a mail may ask for: only what its number allows, and never more than that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from policies import MailOption, Number, load
from relay.errors import Refusal
from relay.intake.mime_worker import OPTIONS
from relay.intake.options import Wish, applied, asked

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS: dict[str, Any] = {
    "resolution": "fine", "mode": "auto", "priority": 5, "retries": {"retries": 2, "delay": 60.0},
    "zone": "Asia/Jerusalem",
}  # fmt: skip


def number(tmp_path: Path, *options: str, more: str = "") -> Number:
    """Return a number that allows these options."""
    allowed = f"mail_options: [{', '.join(options)}]{more}"
    text = f"numbers: [{{number: '+97231234567', deliver_to: [a@example.com], {allowed}}}]\n"
    (tmp_path / "p.yaml").write_text(text)
    return load(tmp_path).numbers["+97231234567"]


def test_the_reader_of_mail_knows_every_option() -> None:
    """Lost otherwise: an option that the policy allows is never seen."""
    assert set(OPTIONS) == {option.value for option in MailOption}


def test_headers_and_subject_are_read_and_the_subject_is_cleaned(tmp_path: Path) -> None:
    """Lost otherwise: the far side reads '::priority=9' as the title of the fax."""
    own = number(tmp_path, "resolution", "priority")
    wish = asked({"resolution": "standard"}, "Offer ::priority=9 4711 ::resolution=superfine", own)
    assert wish.options == {MailOption.RESOLUTION: "standard", MailOption.PRIORITY: "9"}, (
        "a header counts before the subject"
    )
    assert wish.subject == "Offer 4711"
    assert applied(wish.options, SETTINGS) == {**SETTINGS, "resolution": "standard", "priority": 9}


@pytest.mark.parametrize("subject", ["Re: C++ ::std=17", "::priority=9 first", "Offer::resolution=fine", "a :: b=c"])
def test_a_subject_of_somebody_who_may_ask_for_nothing_stays(tmp_path: Path, subject: str) -> None:
    """Lost otherwise: words vanish from subjects, or anybody jumps the queue."""
    assert asked({}, subject, number(tmp_path)) == Wish({}, subject)


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
        (MailOption.MODE, "", "has to be auto, text, photo or quality"),
        (MailOption.PRIORITY, "-1", "has to be 0, 1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(option: MailOption, value: str, told: str) -> None:
    """Lost otherwise: a mistyped option is ignored, or more retries are made than the number may."""
    with pytest.raises(Refusal, match=told):
        applied({option: value}, SETTINGS)


def test_fewer_retries_can_be_asked_for(tmp_path: Path) -> None:
    """Lost otherwise: an alarm that is stale after a minute is dialled for an hour."""
    wish = asked({"retries": " 0 "}, "Alarm", number(tmp_path, "retries"))
    assert applied(wish.options, SETTINGS)["retries"] == {"retries": 0, "delay": 60.0}


#: Saturday 2026-11-21, 14:00 in Jerusalem.
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("22:30", "2026-11-21T20:30"),
        ("8:05", "2026-11-22T06:05"),
        ("14:00", "2026-11-22T12:00"),
        ("2026-11-23T08:00", "2026-11-23T06:00"),
        ("2026-11-23 08:00:30", "2026-11-23T06:00:30"),
        ("2026-11-23T08:00Z", "2026-11-23T08:00"),
        ("2026-11-23T08:00+05:00", "2026-11-23T03:00"),
    ],
)
def test_the_time_of_a_fax_is_read_in_the_numbers_zone(value: str, at: str) -> None:
    """Lost otherwise: a fax that is to ring at half past ten rings in the night."""
    found = applied({MailOption.SCHEDULE: value}, SETTINGS, now=NOW, ahead=timedelta(days=7))
    assert found["earliest"] == datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("tomorrow", "has to be a time such as 22:30"),
        ("25:00", "has to be a time such as"),
        ("2026-02-30T08:00", "has to be a time such as"),
        ("20261123T0800", "has to be a time such as"),
        ("2026-11-23", "has to be a time such as"),
        ("9999-12-31T23:59-23:59", "has to be|may be no later"),
        ("0001-01-01T00:00+23:59", "has to be"),
        ("2026-11-21T13:59", "has to be in the future; here it is 2026-11-21 14:00 IST"),
        ("2026-11-29T08:00", "may be no later than 2026-11-28 14:00 IST"),
    ],
)
def test_a_time_that_cannot_be_is_refused(value: str, told: str) -> None:
    """Lost otherwise: a fax that was to wait goes at once, or waits for years."""
    with pytest.raises(Refusal, match=told):
        applied({MailOption.SCHEDULE: value}, SETTINGS, now=NOW, ahead=timedelta(days=7))


def test_a_code_for_billing_and_whom_to_tell() -> None:
    """Lost otherwise: the bill cannot be split, or a robot gets a receipt for each of its thousand faxes."""
    found = applied({MailOption.BILLING: "Project-4711", MailOption.NOTIFY: "Failure"}, SETTINGS)
    assert (found["billing"], found["notify"]) == ("Project-4711", "failure")
    for option, value in (
        (MailOption.BILLING, "<b>"), (MailOption.BILLING, ""), (MailOption.BILLING, "a b"), (MailOption.NOTIFY, "me"),
    ):  # fmt: skip
        with pytest.raises(Refusal, match="has to be"):
            applied({option: value}, SETTINGS)


@pytest.mark.parametrize(
    ("body", "value", "covered"),
    [("ignore", None, False), ("ignore", "yes", True), ("cover", None, True), ("cover", "No", False)],
)
def test_a_cover_is_the_numbers_and_the_mails_to_choose(
    tmp_path: Path, body: str, value: str | None, *, covered: bool
) -> None:
    """Lost otherwise: a cover page that nobody wants, or none."""
    own = number(tmp_path, "cover", more=f", body: {body}")
    assert asked({"cover": value} if value else {}, "Offer", own).covered(own) is covered
    with pytest.raises(Refusal, match="has to be yes, plain, office, letter or no"):
        asked({}, "Offer ::cover=maybe", own).covered(own)
