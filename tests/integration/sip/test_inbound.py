"""Calls that come in, with sipp as the carrier: what is answered, what is refused, and that nothing is left of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from transport.accounts import CalledField, NumberForm
from transport.seam import Arrived, Arriving, CallResult, Cause, T38Mode

from .office import ALSO_OURS, OURS, SipOffice, carrier

if TYPE_CHECKING:
    from .peers import Sipp

CALLER = "+12025550100"
UNKNOWN = "+12025550199"


async def _answers(office: SipOffice, scenario: str, *, number: str = OURS, **options: Any) -> tuple[CallResult, Sipp]:
    """Let a carrier call; return how the call ended, once it went as written."""
    peer = await office.sipp(f"inbound/{scenario}", calls_us=True, **options)
    arrivals = await office.arrived(45)
    await peer.finished()
    arriving, arrived = arrivals[0], arrivals[-1]
    assert isinstance(arriving, Arriving)
    assert isinstance(arrived, Arrived)
    assert (arriving.trunk, arriving.number, arriving.caller, arriving.device) == ("carrier", number, CALLER, "")
    office.line.forget(arrived.call)
    return arrived.result, peer


async def _refuses(office: SipOffice, scenario: str, **options: Any) -> str:
    """Let a carrier call; return the status line of our refusal."""
    peer = await office.sipp(f"inbound/{scenario}", calls_us=True, **options)
    await peer.finished()
    finals = [text.split("\r\n")[0] for text in peer.heard("SIP/2.0") if not text.startswith("SIP/2.0 1")]
    assert office.line.leftovers() == [], "a call that is refused leaves no journal"
    return finals[0].splitlines()[0]


@pytest.fixture
async def open_office(office: SipOffice) -> SipOffice:
    """A line whose trunk calls from this machine."""
    await office.publish(carrier(office.ports.block()))
    return office


#: Scenarios that are answered and in which no fax machine speaks: by a trunk that never has T.38 ...
IN_AUDIO = [
    "called",
    "offers_image_refused",
    "offers_nothing",
    "reinvites_bodyless",
    "reinvites_to_g729",
    "holds",
    "holds_inactive",
    "holds_by_address",
    "updates",
    "asks_within",
    "bye_twice",
    "cseq_backwards",
    "routed",
]
#: ... and by one that may have it: whether the call ended in T.38.
WITH_T38 = {
    "offers_image": True,
    "offers_audio_and_image": True,
    "reinvites_to_t38": True,
    "takes_our_t38": True,
    "refuses_our_t38": False,
    "glare_theirs": True,
    "glare_ours": True,
    "hangs_up_on_our_t38": False,
}


@pytest.mark.parametrize(("scenario", "t38"), [*((name, None) for name in IN_AUDIO), *WITH_T38.items()])
async def test_a_carriers_call_is_answered(office: SipOffice, scenario: str, t38: bool | None) -> None:
    """Lost otherwise: faxes from carriers that signal in this way never arrive, or the call stays up for ever."""
    mode = T38Mode.NEVER if t38 is None else T38Mode.AUTO
    await office.publish(carrier(office.ports.block(), t38=mode))
    more = ("-pause_msg_ign",) if scenario == "bye_twice" else ()
    result, peer = await _answers(office, scenario, more=more)
    assert (result.cause, result.pages_confirmed, result.simulated) == (Cause.NOT_FAX, 0, False)
    assert result.t38 == bool(t38)
    answers = [text for text in peer.heard("SIP/2.0 200") if "1 INVITE" in text]
    assert len({_tag(text) for text in answers}) == 1, "one dialog"
    if scenario == "bye_twice":
        assert len([text for text in peer.heard("SIP/2.0 200") if "2 BYE" in text]) == 2
    await office.at_rest()
    await _answers(office, "called", keys={"talk": "200"})
    await office.at_rest()


def _tag(message: str) -> str:
    line = next(line for line in message.splitlines() if line.lower().startswith("to:"))
    return line.partition("tag=")[2]


async def test_an_answer_that_nobody_acknowledges_is_given_up(open_office: SipOffice) -> None:
    """Lost otherwise: who calls without an ACK holds a channel for an hour (RFC 3261 13.3.1.4)."""
    began = asyncio.get_running_loop().time()
    result, peer = await _answers(open_office, "never_acknowledges", seconds=45)
    assert result.cause in (Cause.LOST_CALL, Cause.NOT_FAX)
    assert 25 < asyncio.get_running_loop().time() - began < 42
    assert len(peer.heard("SIP/2.0 200")) >= 8, "the answer is repeated until it is acknowledged"
    await open_office.at_rest()


@pytest.mark.parametrize("scenario", ["offers_g729", "offers_video", "offers_secured"])
async def test_what_no_fax_can_use_is_refused(open_office: SipOffice, scenario: str) -> None:
    """Lost otherwise: the carrier's other route for this call is never tried, and the caller hears silence."""
    assert (await _refuses(open_office, scenario)).split()[1] in ("488", "606")
    await open_office.at_rest()
    await _answers(open_office, "called", keys={"talk": "200"})


async def test_an_unknown_number_is_not_found(open_office: SipOffice) -> None:
    """Lost otherwise: faxes for numbers that are not ours are taken and go nowhere."""
    assert (await _refuses(open_office, "refused", keys={"called": UNKNOWN})).split()[1] == "404"
    await open_office.at_rest()


async def test_a_number_without_a_free_channel_is_busy(office: SipOffice) -> None:
    """Lost otherwise: one number's callers take every channel, or a caller is told to give up instead of to wait."""
    await office.publish(carrier(office.ports.block(), t38=T38Mode.NEVER), inbound_channels={OURS: 1})
    first = await office.sipp("inbound/called", calls_us=True, keys={"talk": "2500"})
    assert isinstance(await anext(office.line.arrivals()), Arriving)
    peer = await office.sipp("inbound/refused", calls_us=True)
    await peer.finished()
    assert peer.heard("SIP/2.0 486")
    other = await office.sipp("inbound/called", calls_us=True, keys={"called": ALSO_OURS, "talk": "200"})
    await other.finished()
    await first.finished()
    await office.arrived()
    await office.arrived()
    await _answers(office, "called", keys={"talk": "200"})
    await office.at_rest()


async def test_a_trunk_without_a_free_channel_is_busy(office: SipOffice) -> None:
    """Lost otherwise: more calls are taken than the contract with the carrier has."""
    await office.publish(carrier(office.ports.block(), channels=1, t38=T38Mode.NEVER))
    first = await office.sipp("inbound/called", calls_us=True, keys={"talk": "2000"})
    assert isinstance(await anext(office.line.arrivals()), Arriving)
    peer = await office.sipp("inbound/refused", calls_us=True, keys={"called": ALSO_OURS})
    await peer.finished()
    assert peer.heard("SIP/2.0 486")
    await first.finished()
    await office.arrived()
    await office.at_rest()


async def test_t38_is_refused_where_the_trunk_must_not_have_it(office: SipOffice) -> None:
    """Lost otherwise: a trunk whose T.38 is broken loses every fax although the policy says audio alone."""
    await office.publish(carrier(office.ports.block(), t38=T38Mode.NEVER))
    result, _ = await _answers(office, "reinvites_to_refused_t38")
    assert (result.cause, result.t38) == (Cause.NOT_FAX, False)
    assert (await _refuses(office, "offers_refused_image")).split()[1] in ("488", "606")
    await office.at_rest()


DIDS = {
    "to": (CalledField.TO, f"<sip:{OURS}@faxrelay.test>", ""),
    "diversion": (CalledField.DIVERSION, "<sip:trunk@faxrelay.test>", f"Diversion: <sip:{OURS}@c.test>;reason=away"),
    "called party": (CalledField.CALLED_PARTY, "<sip:trunk@faxrelay.test>", f"P-Called-Party-ID: <sip:{OURS}@c.test>"),
}  # fmt: skip


@pytest.mark.parametrize("place", DIDS)
async def test_the_called_number_is_where_the_trunk_says_it(office: SipOffice, place: str) -> None:
    """Lost otherwise: every fax of such a carrier is refused, or lands in the wrong mailbox."""
    called, to, header = DIDS[place]
    await office.publish(carrier(office.ports.block(), called=called))
    await _answers(office, "did", keys={"to": to, "header": header})
    await office.at_rest()


@pytest.mark.parametrize(
    ("form", "region", "written"),
    [
        (NumberForm.DIGITS, "", OURS[1:]), (NumberForm.NATIONAL, "IL", "0" + OURS[4:]), (NumberForm.PLUS, "", OURS),
        (NumberForm.NATIONAL, "IL", "00" + OURS[1:]), (NumberForm.PLUS, "", "%2B" + OURS[1:]),
    ],
)  # fmt: skip
async def test_the_called_number_is_read_as_the_trunk_writes_it(
    office: SipOffice, form: NumberForm, region: str, written: str
) -> None:
    """Lost otherwise: our own number is not known again because it has no plus sign."""
    await office.publish(carrier(office.ports.block(), form=form, region=region))
    peer = await office.sipp("inbound/called", calls_us=True, keys={"called": written, "talk": "200"})
    arriving = (await office.arrived())[0]
    await peer.finished()
    assert isinstance(arriving, Arriving)
    assert arriving.number == OURS


async def test_a_stranger_is_told_nothing(office: SipOffice) -> None:
    """Lost otherwise: anybody can send faxes into our mailboxes, and find out which numbers there are."""
    await office.publish(carrier(office.ports.block()))
    said = []
    for number in (OURS, UNKNOWN):
        peer = await office.sipp("inbound/refused", calls_us=True, address="127.0.0.9", keys={"called": number})
        await peer.finished()
        said.append(next(text.splitlines()[0] for text in peer.heard("SIP/2.0") if text.split()[1] != "100"))
    assert said[0] == said[1], "the same for a number that there is and one that there is not"
    assert said[0].split()[1] in ("401", "403")
    assert office.line.leftovers() == []
    await office.at_rest()


async def test_calls_come_by_networks_that_the_trunk_names(office: SipOffice) -> None:
    """Lost otherwise: a carrier that calls from other addresses than it takes calls at is a stranger."""
    await office.publish(carrier(office.ports.block(), host="127.0.0.77", networks=("127.0.0.8/29",)))
    await _answers(office, "called", address="127.0.0.9", keys={"talk": "200"})
    peer = await office.sipp("inbound/refused", calls_us=True, address="127.0.0.17")
    await peer.finished()
    assert not peer.heard("SIP/2.0 200")


async def test_options_are_answered(open_office: SipOffice) -> None:
    """Lost otherwise: carriers that look whether we are there take us out of service."""
    peer = await open_office.sipp("inbound/options", calls_us=True)
    await peer.finished()
    assert peer.heard("SIP/2.0 200")
    await open_office.at_rest()


async def test_ten_calls_at_once_have_ten_ends(office: SipOffice) -> None:
    """Lost otherwise: calls that begin together share a port, an end, or one of them hangs."""
    await office.publish(carrier(office.ports.block(), channels=12, t38=T38Mode.NEVER))
    peer = await office.sipp("inbound/called", calls_us=True, calls=10, more=("-r", "10"), keys={"talk": "2000"})
    ends = [(await office.arrived())[-1] for _ in range(10)]
    await peer.finished()
    assert len({end.call for end in ends}) == 10
    assert {end.result.cause for end in ends if isinstance(end, Arrived)} == {Cause.NOT_FAX}
    sdp = {line for text in peer.heard("SIP/2.0 200") for line in text.splitlines() if line.startswith("m=audio")}
    assert len(sdp) == 10, "each call has a port of its own"
    await office.at_rest()
