"""Each fault of the simulated network, from the mail to the mail: its cause, its retries, its sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from transport.seam import Cause
from transport.simulated.behaviours import BEHAVIOURS, Behaviour
from transport.simulated.numbers import NUMBERS
from transport.t30 import Resolution

from .service import Relay

ENDED = ("sent", "failed", "uncertain")
#: What the sender reads in the first line of the receipt, by cause.
SAID = {
    Cause.CONFIRMED: "was sent",
    Cause.BUSY: "The number was busy.",
    Cause.NO_ANSWER: "Nobody answered the call.",
    Cause.BAD_NUMBER: "this number does not exist",
    Cause.REJECTED: "The call was rejected.",
    Cause.NOT_FAX: "not by a fax machine",
    Cause.TRAINING: "could not agree on a speed",
    Cause.PAGE_FAILED: "could not read a page",
    Cause.DOCUMENT: "could not be transmitted to this machine",
    Cause.LOST_CALL: "The call was cut before the fax was through.",
    Cause.TRUNK_DOWN: "None of our telephone lines could take the call.",
}
#: And where the last page was not confirmed, or a later call worked.
UNCERTAIN, SENT = "not confirmed", "was sent"
PERMANENT = {Cause.BAD_NUMBER, Cause.DOCUMENT}


def expected(behaviour: Behaviour) -> tuple[str, int]:
    """Return the state in which a fax to such a far end ends, and the calls that it takes."""
    if not behaviour.confirms_last_page:
        return "uncertain", 1
    if behaviour.first is not None or not behaviour.resolutions & Resolution.FINE:
        return "sent", 2
    if behaviour.cause is Cause.CONFIRMED:
        return "sent", 1
    return "failed", 1 if behaviour.cause in PERMANENT else 4


@pytest.mark.timeout(300)
def test_each_far_end_ends_in_its_cause_its_retries_and_its_mail(tmp_path: Path) -> None:
    """Lost otherwise: a busy number is reported as a bad one, or nobody hears of a fax that failed."""
    relay = Relay(tmp_path, retries="retries:\n  delay: 1s")
    relay.start()
    for number in NUMBERS:
        relay.mail(f"{number}@fax.example.com", copies=3)
    faxes = {fax["peer"]: fax for fax in relay.wait_for(*ENDED, count=len(NUMBERS), seconds=240)}
    mails = relay.until_mailed("user@example.com", len(NUMBERS))
    texts = {number: text for number in NUMBERS for text in map(body, mails) if spaced(number) in text}
    for number, name in NUMBERS.items():
        fax, behaviour = faxes[number], BEHAVIOURS[name]
        shown = relay.ask("fax", "show", fax["id"])
        state, calls = expected(behaviour)
        told = f"{name}: {fax['state']}, {fax['attempts_made']} calls, {[one['cause'] for one in shown['attempts']]}"
        assert (fax["state"], fax["attempts_made"]) == (state, calls), told
        assert shown["attempts"][0]["cause"] == behaviour.cause.value, told
        assert all(one["result"]["simulated"] for one in shown["attempts"]), told
        assert fax["pages_confirmed"] == (3 if state == "sent" else behaviour.drop_after or fax["pages_confirmed"]), (
            told
        )
        assert "SIMULATED" in texts[number]
        # A machine that gets only broken pages ends one call so and another so: the mail tells how the last one ended.
        last = Cause(shown["attempts"][-1]["cause"])
        said = {"uncertain": UNCERTAIN, "sent": SENT}.get(state, SAID[last])
        assert said in texts[number], texts[number]
    relay.stop()


def test_a_number_without_a_trunk_is_never_called_sent(tmp_path: Path) -> None:
    """Lost otherwise: a newcomer believes that a fax left the machine."""
    relay = Relay(tmp_path, retries="retries:\n  retries: 0")
    relay.start()
    relay.mail("+12125550123@fax.example.com")
    (fax,) = relay.wait_for(*ENDED)
    assert fax["state"] == "failed"
    result = relay.ask("fax", "show", fax["id"])["attempts"][0]["result"]
    assert (result["cause"], result["sip_reason"]) == ("trunk_down", "no trunk is configured for +12125550123")
    relay.stop()


def body(mail: object) -> str:
    """Return a mail's text."""
    return mail.get_body(("plain",)).get_content()  # type: ignore[attr-defined, no-any-return]  # an EmailMessage


def spaced(number: str) -> str:
    """Return a North American number as a receipt writes it."""
    return f"+1 {number[2:5]}-{number[5:8]}-{number[8:]}"
