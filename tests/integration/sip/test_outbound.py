"""Calls that we make, with sipp as the trunk: how each ends, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from transport.accounts import CallerField, NumberForm
from transport.seam import Answered, CallEvent, Cause, Ringing, T38Mode, T38Started

from ...conftest import need
from .office import OURS, PASSWORD, THEIRS, USERNAME, SipOffice, carrier, sip_office

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transport.seam import CallResult


@dataclass(frozen=True)
class Case:
    """A scenario of ``scenarios/outbound`` and what must come of the call."""

    scenario: str
    cause: Cause
    code: int | None = 200
    keys: Mapping[str, str] = field(default_factory=dict)
    t38: bool = False
    mode: T38Mode = T38Mode.AUTO
    cancel_at: type[CallEvent] | None = None
    alerted: bool = True
    reason: str = ""  # what the result's reason must have


def _refused(status: str, cause: Cause, header: str = "", reason: str = "") -> Case:
    """A refusal of the trunk, and what it says of the number."""
    keys = {"status": status, "header": header}
    return Case("refused", cause, int(status[:3]), keys, alerted=False, reason=reason)


#: Nobody plays a fax machine here: an answered call ends as `not_fax`, unless we ended it.
ENDS = {
    # what the number or the trunk says
    "486 busy": _refused("486 Busy Here", Cause.BUSY),
    "600 busy everywhere": _refused("600 Busy Everywhere", Cause.BUSY),
    "480 unavailable": _refused("480 Temporarily Unavailable", Cause.NO_ANSWER),
    "408 no answer": _refused("408 Request Timeout", Cause.NO_ANSWER),
    "404 not found": _refused("404 Not Found", Cause.BAD_NUMBER),
    "484 incomplete": _refused("484 Address Incomplete", Cause.BAD_NUMBER),
    "410 gone": _refused("410 Gone", Cause.BAD_NUMBER),
    "604 nowhere": _refused("604 Does Not Exist Anywhere", Cause.BAD_NUMBER),
    "403 forbidden": _refused("403 Forbidden", Cause.REJECTED),
    "603 decline": _refused("603 Decline", Cause.REJECTED),
    "488 no such media": _refused("488 Not Acceptable Here", Cause.REJECTED),
    "500 fault": _refused("500 Server Internal Error", Cause.TRUNK_DOWN),
    "503 down": _refused("503 Service Unavailable", Cause.TRUNK_DOWN),
    "486 with a Q.850 cause": _refused(
        "486 Busy Here", Cause.BUSY, 'Reason: Q.850;cause=17;text="User busy"', reason="User busy"
    ),
    "a wrong password": Case("wrong_password", Cause.TRUNK_DOWN, 407, alerted=False),
    "302 moved": Case("moved", Cause.REJECTED, 302, {"elsewhere": "5060"}, alerted=False),
    "no response at all": Case("deaf", Cause.TRUNK_DOWN, None, alerted=False),
    # the answer
    "answered, then silence": Case("answered", Cause.NOT_FAX, keys={"talk": "2500"}),
    "early media": Case("early_media", Cause.NOT_FAX),
    "a stale nonce": Case("stale", Cause.NOT_FAX),
    "a forked answer": Case("forked", Cause.NOT_FAX),
    "a storm of provisional responses": Case("provisional_storm", Cause.NOT_FAX),
    "Contact with a tel URI": Case("bad_contact", Cause.NOT_FAX, keys={"bad_contact": "<tel:+12025550123>"}),
    "Contact that is broken": Case("bad_contact", Cause.NOT_FAX, keys={"bad_contact": '"<sip:@@;;<<'}),
    "no session description": Case("bodyless_answer", Cause.REJECTED, 488),
    "a codec that was not offered": Case("other_codec", Cause.REJECTED, 488),
    # what happens in the call
    "T.38 asked for by the far side": Case("wants_t38", Cause.NOT_FAX, t38=True),
    "T.38 asked for by us": Case("takes_t38", Cause.NOT_FAX, t38=True, mode=T38Mode.PREFER),
    "T.38 refused with 488": Case(
        "no_t38", Cause.NOT_FAX, keys={"status": "488 Not Acceptable Here"}, mode=T38Mode.PREFER
    ),
    "T.38 refused with 415": Case(
        "no_t38", Cause.NOT_FAX, keys={"status": "415 Unsupported Media Type"}, mode=T38Mode.PREFER
    ),
    "T.38 refused with 606": Case("no_t38", Cause.NOT_FAX, keys={"status": "606 Not Acceptable"}, mode=T38Mode.PREFER),
    "glare: they say 491": Case("glare_theirs", Cause.NOT_FAX, t38=True, mode=T38Mode.PREFER),
    "glare: we say 491": Case("glare_ours", Cause.NOT_FAX, t38=True, mode=T38Mode.PREFER),
    "a session refreshed by UPDATE": Case("refreshed_by_update", Cause.NOT_FAX),
    "a session refreshed by re-INVITE": Case("refreshed_by_invite", Cause.NOT_FAX),
    "held and resumed": Case("held", Cause.NOT_FAX),
    # what we end
    "cancelled while it rings": Case("rings", Cause.CANCELLED, None, cancel_at=Ringing),
    "the answer crosses the CANCEL": Case("answers_cancelled", Cause.CANCELLED, None, cancel_at=Ringing),
    "the BYE is challenged": Case("bye_challenged", Cause.CANCELLED, cancel_at=Answered),
}


async def _next_call_works(office: SipOffice) -> None:
    trunk = await office.sipp("outbound/answered", keys={"talk": "200"})
    await office.publish(carrier(trunk.port))
    result, _ = await office.call()
    assert (result.cause, result.sip_code) == (Cause.NOT_FAX, 200)
    await trunk.finished()
    await office.at_rest()


@pytest.mark.parametrize("name", ENDS)
async def test_each_end_of_a_call_has_its_cause(office: SipOffice, name: str) -> None:
    """Lost otherwise: a fax is tried again in vain, given up too early, or a call hangs and takes a channel with it."""
    case = ENDS[name]
    trunk = await office.sipp(f"outbound/{case.scenario}", keys=dict(case.keys))
    await office.publish(carrier(trunk.port))
    result, events = await office.call(cancel_at=case.cancel_at, t38=case.mode)
    await trunk.finished()
    assert (result.cause, result.sip_code, result.alerted) == (case.cause, case.code, case.alerted), result
    assert (result.pages_confirmed, result.last_page_offered, result.simulated) == (0, False, False)
    assert result.t38 == case.t38
    assert any(isinstance(event, T38Started) for event in events) == case.t38
    assert case.reason in result.sip_reason
    await office.at_rest()
    await _next_call_works(office)


async def test_an_answer_that_comes_again_is_acknowledged_again(office: SipOffice) -> None:
    """Lost otherwise: one lost ACK, and the far side hangs up after half a minute (RFC 3261 13.2.2.4)."""
    trunk = await office.sipp("outbound/answer_repeated", more=("-pause_msg_ign",))
    await office.publish(carrier(trunk.port))
    result, _ = await office.call()
    await trunk.finished()
    assert result.cause is Cause.NOT_FAX
    assert len(trunk.heard("ACK")) == 3
    await office.at_rest()


async def test_a_number_that_rings_too_long_is_given_up(impatient: SipOffice) -> None:
    """Lost otherwise: a telephone rings until its owner takes the relay for a nuisance caller."""
    trunk = await impatient.sipp("outbound/rings")
    await impatient.publish(carrier(trunk.port))
    result, events = await impatient.call()
    await trunk.finished()
    assert (result.cause, result.sip_code) == (Cause.NO_ANSWER, 408)
    assert [type(event) for event in events] == [Ringing]
    assert 1.5 < result.ring_seconds < 4
    await impatient.at_rest()
    await _next_call_works(impatient)


@pytest.mark.soak
@pytest.mark.timeout(180)
async def test_a_person_who_answers_is_hung_up_on(office: SipOffice) -> None:
    """Lost otherwise: a call to a wrong number lasts half an hour."""
    trunk = await office.sipp("outbound/hung_up_on", seconds=100)
    await office.publish(carrier(trunk.port))
    result, _ = await office.call()
    assert result.cause is Cause.NOT_FAX
    assert 55 < result.talk_seconds < 75
    await trunk.finished(100)
    await office.at_rest()


async def test_a_far_end_that_is_gone_does_not_hold_the_call(office: SipOffice) -> None:
    """Lost otherwise: a crashed carrier keeps our channels busy for ever."""
    trunk = await office.sipp("outbound/bye_ignored")
    await office.publish(carrier(trunk.port))
    began = asyncio.get_running_loop().time()
    result, _ = await office.call(cancel_at=Answered)
    assert result.cause is Cause.CANCELLED
    assert asyncio.get_running_loop().time() - began < 10, "the outcome does not wait for the answer to BYE"
    await trunk.finished()
    await office.at_rest()
    await _next_call_works(office)


@pytest.mark.parametrize("first", ["says 503", "is not there", "is silent"])
async def test_another_address_of_the_trunk_answers(tmp_path: Path, first: str) -> None:
    """Lost otherwise: one dead machine of a carrier that has two, and no fax goes out (RFC 3263 4.3)."""
    need("sipp", "bwrap")
    hosts = "127.0.0.1 localhost\n127.0.0.2 trunk.test\n127.0.0.3 trunk.test\n"
    async with sip_office(tmp_path, hosts=hosts) as office:
        port = office.ports.block()
        if first == "says 503":
            keys = {"status": "503 Service Unavailable", "header": "Retry-After: 60"}
            await office.sipp("outbound/refused", port=port, address="127.0.0.2", keys=keys)
        elif first == "is silent":
            await office.sipp("outbound/deaf", port=port, address="127.0.0.2")
        trunk = await office.sipp("outbound/answered", port=port, address="127.0.0.3")
        await office.publish(carrier(port, host="trunk.test"))
        result, _ = await office.call()
        await trunk.finished()
        assert (result.cause, result.sip_code) == (Cause.NOT_FAX, 200)
        assert result.ring_seconds < 8
        if first != "is not there":
            assert office.peers[0].heard("INVITE"), "the first address was tried first"
        await office.at_rest()


def _answer_is_right(header: str, uri: str) -> bool:
    """Work a digest out for ourselves (RFC 7616 3.4.1)."""
    found: list[tuple[str, str, str]] = re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', header.partition("Digest ")[2])
    value = {name: quoted or plain for name, quoted, plain in found}
    algorithm = value.get("algorithm", "MD5").replace("-", "").lower()

    def h(text: str) -> str:
        return hashlib.new(algorithm, text.encode()).hexdigest()

    assert value["uri"] == uri
    who, what = h(f"{USERNAME}:{value['realm']}:{PASSWORD}"), h(f"INVITE:{uri}")
    if "qop" not in value:
        return value["response"] == h(f"{who}:{value['nonce']}:{what}")
    middle = f"{value['nonce']}:{value['nc']}:{value['cnonce']}:{value['qop']}"
    return value["username"] == USERNAME and value["response"] == h(f"{who}:{middle}:{what}")


CHALLENGES = {
    "407 MD5": ("407 Proxy Authentication Required", "Proxy-Authenticate", 'algorithm=MD5, qop="auth"'),
    "407 MD5 without qop": ("407 Proxy Authentication Required", "Proxy-Authenticate", "algorithm=MD5"),
    "407 without an algorithm": ("407 Proxy Authentication Required", "Proxy-Authenticate", 'opaque="x,y"'),
    "407 auth-int and auth": ("407 Proxy Authentication Required", "Proxy-Authenticate", 'qop="auth-int,auth"'),
    "401 SHA-256": ("401 Unauthorized", "WWW-Authenticate", 'algorithm=SHA-256, qop="auth"'),
    "407 SHA-256": ("407 Proxy Authentication Required", "Proxy-Authenticate", 'algorithm=SHA-256, qop="auth"'),
}


@pytest.mark.parametrize("name", CHALLENGES)
async def test_challenges_are_answered(office: SipOffice, name: str) -> None:
    """Lost otherwise: a trunk that knows its customers by password takes no call."""
    status, asks, parameters = CHALLENGES[name]
    challenge = f'{asks}: Digest realm="trunk, west", nonce="n0nce==", {parameters}'
    trunk = await office.sipp("outbound/challenged", keys={"challenge_status": status, "challenge": challenge})
    await office.publish(carrier(trunk.port))
    result, _ = await office.call()
    await trunk.finished()
    assert result.cause is Cause.NOT_FAX
    (answer,) = trunk.log.strip().splitlines()
    assert answer.startswith("Proxy-" if status.startswith("407") else "Authorization")
    second = next(text for text in trunk.heard("INVITE") if "uthorization" in text)
    assert _answer_is_right(answer, second.split()[1])
    assert PASSWORD not in str(trunk.messages)
    await office.at_rest()


async def test_the_strongest_of_several_challenges_is_answered(office: SipOffice) -> None:
    """Lost otherwise: RFC 8760's order of preference is ignored, and a broken hash guards the account."""
    challenge = (
        'WWW-Authenticate: Digest realm="trunk.test", nonce="a", algorithm=SHA-512-256, qop="auth"\n'
        'WWW-Authenticate: Digest realm="trunk.test", nonce="b", algorithm=SHA-256, qop="auth"\n'
        'WWW-Authenticate: Digest realm="trunk.test", nonce="c", algorithm=MD5, qop="auth"'
    )
    keys = {"challenge_status": "401 Unauthorized", "challenge": challenge}
    trunk = await office.sipp("outbound/challenged", keys=keys)
    await office.publish(carrier(trunk.port))
    await office.call()
    await trunk.finished()
    assert 'nonce="b"' in trunk.log
    assert _answer_is_right(trunk.log, trunk.heard("INVITE")[-1].split()[1])


async def _invite(office: SipOffice, **account: Any) -> tuple[str, CallResult]:
    trunk = await office.sipp("outbound/refused", keys={"status": "486 Busy Here", "header": ""})
    await office.publish(carrier(trunk.port, **account))
    result, _ = await office.call()
    await trunk.finished()
    return trunk.heard("INVITE")[0], result


async def test_the_caller_is_told_as_the_trunk_wants_it(office: SipOffice) -> None:
    """Lost otherwise: the recipient sees a wrong number or none, and carriers refuse the call."""
    plain, _ = await _invite(office)
    assert f"sip:{OURS}@" in _header(plain, "From")
    assert "t38" in _header(plain, "Contact"), "RFC 6913: we say that we are a fax"
    asserted, _ = await _invite(office, caller=CallerField.ASSERTED, domain="carrier.test")
    assert f"sip:{OURS}@" in _header(asserted, "P-Asserted-Identity")
    assert "@carrier.test" in _header(asserted, "From")
    assert asserted.startswith(f"INVITE sip:{THEIRS}@carrier.test")
    diverted, _ = await _invite(office, caller=CallerField.DIVERSION)
    assert f"sip:{OURS}@" in _header(diverted, "Diversion")


async def test_numbers_are_written_as_the_trunk_wants_them(office: SipOffice) -> None:
    """Lost otherwise: every number is unknown to a trunk that has no plus sign."""
    digits, _ = await _invite(office, form=NumberForm.DIGITS)
    assert digits.startswith(f"INVITE sip:{THEIRS[1:]}@")
    national, _ = await _invite(office, form=NumberForm.NATIONAL, region="US", prefix="9")
    assert national.startswith("INVITE sip:92025550123@")


def _header(message: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.*)$", message, re.MULTILINE | re.IGNORECASE)
    assert found, f"{name} is missing in\n{message}"
    return found[1]


async def test_what_comes_from_outside_stays_out_of_our_log(office: SipOffice) -> None:
    """Lost otherwise: a reason phrase writes a line into the log or the receipt."""
    header = 'Reason: Q.850;cause=17;text="\x1bc<script>\x07"'
    trunk = await office.sipp("outbound/refused", keys={"status": "486 Busy \x1bc\x07 Here", "header": header})
    await office.publish(carrier(trunk.port))
    result, _ = await office.call()
    await trunk.finished()
    assert result.cause is Cause.BUSY
    assert result.sip_reason.isprintable()
    assert "\x1b" not in office.log
