"""What crosses on the way, at the moment that matters: a bare socket sends what sipp would wait with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from transport.accounts import CalledField
from transport.seam import Arrived, Arriving, Cause, T38Mode

from .office import OURS, SipOffice, carrier
from .wire import AUDIO, Wire, headers_of, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def quiet(office: SipOffice) -> SipOffice:
    """A line whose trunk never has T.38, so that nothing is asked of the caller."""
    await office.publish(carrier(office.ports.block(), t38=T38Mode.NEVER, called=CalledField.REQUEST_URI))
    return office


async def _heard(caller: Wire) -> AsyncIterator[str]:
    while (answer := await caller.receive(0.7)) is not None:
        yield answer


def _acknowledge(caller: Wire, invite: str, answer: str) -> tuple[str, dict[str, str]]:
    """Send the ACK of an answer; return what a request of the dialog needs."""
    contact = headers_of(answer, "Contact")[0].partition("<")[2].partition(">")[0]
    dialog = {name: headers_of(invite, name)[0] for name in ("Call-ID", "From")} | {"To": headers_of(answer, "To")[0]}
    caller.send(caller.request("ACK", contact, headers=dialog))
    return contact, dialog


async def _hang_up(caller: Wire, contact: str, dialog: dict[str, str]) -> str:
    answer = await caller.final(caller.request("BYE", contact, headers=dialog, number=2))
    assert answer is not None
    return answer.split()[1]


def _cancel(invite: str) -> str:
    """Return the CANCEL of an INVITE (RFC 3261 9.1)."""
    first, *lines = invite.partition("\r\n\r\n")[0].split("\r\n")
    kept = [line for line in lines if not line.startswith(("Contact", "Content"))]
    head = [first.replace("INVITE", "CANCEL"), *kept, "Content-Length: 0", "", ""]
    return "\r\n".join(head).replace("1 INVITE", "1 CANCEL")


async def test_a_cancel_that_crosses_our_answer_leaves_no_call(quiet: SipOffice) -> None:
    """Lost otherwise: a caller who hangs up at once keeps a channel for an hour."""
    uri = f"sip:{OURS}@{quiet.address}"
    for _ in range(5):
        with wire(quiet.port) as caller:
            invite = caller.request("INVITE", uri, body=AUDIO)
            caller.send(invite)
            caller.send(_cancel(invite))
            answers = [answer async for answer in _heard(caller)]
            finals = {headers_of(a, "CSeq")[0].split()[1]: a for a in answers if not a.startswith("SIP/2.0 1")}
            assert set(finals) == {"INVITE", "CANCEL"}
            assert finals["CANCEL"].split()[1] in ("200", "481")
            if finals["INVITE"].startswith("SIP/2.0 487"):
                kept = {name: headers_of(invite, name)[0] for name in ("Call-ID", "From", "Via")}
                caller.send(caller.request("ACK", uri, headers={**kept, "To": headers_of(finals["INVITE"], "To")[0]}))
            else:
                assert finals["INVITE"].startswith("SIP/2.0 200")
                contact, dialog = _acknowledge(caller, invite, finals["INVITE"])
                assert await _hang_up(caller, contact, dialog) in ("200", "481")
    await quiet.at_rest(10)


async def test_an_invite_that_comes_three_times_is_one_call(quiet: SipOffice) -> None:
    """Lost otherwise: a slow network makes three faxes of one, or keeps two channels busy."""
    with wire(quiet.port) as caller:
        invite = caller.request("INVITE", f"sip:{OURS}@{quiet.address}", body=AUDIO)
        for _ in range(3):
            caller.send(invite)
        answers = [answer async for answer in _heard(caller) if answer.startswith("SIP/2.0 200")]
        assert len({headers_of(answer, "To")[0] for answer in answers}) == 1
        contact, dialog = _acknowledge(caller, invite, answers[0])
        caller.send(invite)  # and once more, after the ACK
        assert await _hang_up(caller, contact, dialog) == "200"
    arrivals = await quiet.arrived()
    assert [type(arrival) for arrival in arrivals] == [Arriving, Arrived]
    assert len(quiet.line.leftovers()) == 1
    await quiet.at_rest()


async def test_a_merged_request_is_a_loop_and_no_second_call(quiet: SipOffice) -> None:
    """Lost otherwise: a carrier that forks to two of our addresses rings us twice (RFC 3261 8.2.2.2)."""
    with wire(quiet.port) as caller:
        uri = f"sip:{OURS}@{quiet.address}"
        invite = caller.request("INVITE", uri, body=AUDIO)
        again = invite.replace("branch=z9hG4bK", "branch=z9hG4bKother")
        caller.send(invite)
        caller.send(again)
        answers = [answer async for answer in _heard(caller) if not answer.startswith("SIP/2.0 1")]
        codes = {headers_of(answer, "Via")[0].partition("branch=")[2][:12]: answer for answer in answers}
        loop, call = codes["z9hG4bKother"], next(a for branch, a in codes.items() if branch != "z9hG4bKother")
        assert loop.startswith("SIP/2.0 482")
        contact, dialog = _acknowledge(caller, invite, call)
        assert await _hang_up(caller, contact, dialog) == "200"
    arrivals = await quiet.arrived()
    assert isinstance(arrivals[-1], Arrived)
    assert arrivals[-1].result.cause is Cause.NOT_FAX
    await quiet.at_rest(40)


async def test_a_bye_before_the_acknowledgement_ends_the_call(quiet: SipOffice) -> None:
    """Lost otherwise: a caller whose ACK was lost cannot hang up (RFC 3261 15)."""
    with wire(quiet.port) as caller:
        invite = caller.request("INVITE", f"sip:{OURS}@{quiet.address}", body=AUDIO)
        answer = await caller.final(invite)
        assert answer is not None
        contact = headers_of(answer, "Contact")[0].partition("<")[2].partition(">")[0]
        dialog = {name: headers_of(invite, name)[0] for name in ("Call-ID", "From")}
        assert await _hang_up(caller, contact, dialog | {"To": headers_of(answer, "To")[0]}) == "200"
    await quiet.arrived()
    await quiet.at_rest(10)


async def test_a_bye_of_nobodys_dialog_is_told_so(quiet: SipOffice) -> None:
    """Lost otherwise: a carrier repeats a BYE for a call of before our restart for half a minute (RFC 3261 15.1.2)."""
    with wire(quiet.port) as caller:
        uri = f"sip:{OURS}@{quiet.address}"
        answer = await caller.final(caller.request("BYE", uri, headers={"To": f"<{uri}>;tag=gone"}))
        assert answer is not None
        assert answer.startswith("SIP/2.0 481")
        for method in ("INVITE", "UPDATE", "INFO"):
            asked = caller.request(method, uri, headers={"To": f"<{uri}>;tag=gone"}, body=AUDIO)
            answer = await caller.final(asked)
            assert answer is not None
            assert answer.startswith("SIP/2.0 481"), method
    await quiet.at_rest()
