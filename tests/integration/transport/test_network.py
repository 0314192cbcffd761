"""The simulated network from the outside: each documented number, our own numbers, and no other."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from transport import journal
from transport.screening import Screen
from transport.seam import (
    Answered,
    Arrived,
    Arriving,
    Cause,
    LineDown,
    LineTable,
    Negotiated,
    PageConfirmed,
    Ringing,
    T38Mode,
)  # fmt: skip
from transport.simulated.behaviours import BEHAVIOURS
from transport.simulated.numbers import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.transport.conftest import Network, Office
    from transport.seam import CallEvent

OURS = "+97237654321"
#: Pages of three that are confirmed where not all or none are.
CONFIRMED = {"drop1": 1, "drop2": 2, "unconfirmed": 2}


async def test_each_documented_number_ends_as_documented(office: Office) -> None:
    """Lost otherwise: who tries a fault by its number is shown another one."""
    results = await asyncio.gather(*(office.call(number, number[1:]) for number in NUMBERS))
    for (number, name), result in zip(NUMBERS.items(), results, strict=True):
        expected = BEHAVIOURS[name].cause
        pages = 3 if expected is Cause.CONFIRMED else CONFIRMED.get(name, 0)
        assert (name, result.cause, result.pages_confirmed) == (name, expected, pages)
        assert result.simulated
        assert result.last_page_offered == (pages == 3 or name == "unconfirmed"), name
        proved = journal.read(office.line.journal(number[1:]))
        assert proved.result == result
        assert (proved.pages_confirmed, proved.last_page_offered) == (pages, result.last_page_offered)
    by_name = dict(zip(NUMBERS.values(), results, strict=True))
    assert by_name["no_ecm"].ecm is False
    assert (by_name["v29"].bit_rate, by_name["v27ter"].bit_rate, by_name["2400"].bit_rate) == (9600, 4800, 2400)
    assert by_name["audio"].t38 is False
    assert by_name["noisy"].bit_rate < 14400
    assert "resolution" in by_name["standard"].t30_reason
    assert by_name["busy"].sip_code == 486


async def test_what_fails_once_works_at_the_second_call(office: Office) -> None:
    """Lost otherwise: nobody can see a retry succeed without a telephone line."""
    for name in ("busy_once", "drop_once"):
        number = next(number for number, behaviour in NUMBERS.items() if behaviour == name)
        first, second = await office.call(number, f"{name[:4]}-1"), await office.call(number, f"{name[:4]}-2")
        assert first.cause is BEHAVIOURS[name].cause
        assert second.cause is Cause.CONFIRMED


async def test_no_other_number_is_ever_reached(office: Office) -> None:
    """Lost otherwise: a fresh installation says 'sent' to somebody who believes that a real fax went out."""
    result = await office.call("+4930123456")
    assert (result.cause, result.sip_code) == (Cause.TRUNK_DOWN, None)
    assert result.sip_reason == "no trunk is configured for +4930123456"
    assert not result.last_page_offered


@pytest.mark.parametrize("mode", [T38Mode.AUTO, T38Mode.NEVER])
async def test_a_call_to_our_own_number_comes_back_as_a_fax(office: Office, mode: T38Mode) -> None:
    """Lost otherwise: the demo shows nothing, and no inbound fax can be tried without a telephone line."""
    events: list[CallEvent] = []
    result = await office.call(OURS, t38=mode, on_event=events.append)
    assert (result.cause, result.pages_confirmed, result.t38) == (Cause.CONFIRMED, 3, mode is T38Mode.AUTO)
    assert [type(event) for event in events] == [Ringing, Answered, Negotiated, *[PageConfirmed] * 3]
    arrivals = await office.arrived()
    assert [type(arrival) for arrival in arrivals] == [Arriving, Negotiated, *[PageConfirmed] * 3, Arrived]
    arriving, arrived = arrivals[0], arrivals[-1]
    assert isinstance(arriving, Arriving)
    assert isinstance(arrived, Arrived)
    assert (arriving.number, arriving.caller, arriving.call) == (OURS, "+97231234567", arrived.call)
    assert arrived.result.cause is Cause.CONFIRMED
    proved = journal.read(arrived.journal)
    assert proved.result == arrived.result
    assert [page.height for page in proved.pages] == [1100] * 3
    assert [left.call for left in office.line.leftovers()] == [arrived.call]
    office.line.forget(arrived.call)
    assert office.line.leftovers() == []


async def test_a_number_with_no_free_channel_is_busy(slow_office: Office) -> None:
    """Lost otherwise: one number's callers take every channel of the line."""
    await slow_office.line.publish(LineTable(frozenset({OURS}), {OURS: 1}))
    first = await slow_office.until(OURS, Answered, "1")
    assert (await slow_office.call(OURS, "2")).cause is Cause.BUSY
    await slow_office.line.cancel("1")
    await first
    await slow_office.arrived()
    third = await slow_office.until(OURS, Answered, "3")
    await slow_office.line.cancel("3")
    assert (await third).cause is Cause.CANCELLED


async def test_a_blocked_caller_hears_no_fax_machine(office: Office) -> None:
    """Lost otherwise: blocked callers take our channels, and a page each."""
    screens = (Screen(prefixes=("+9723123",)),)
    await office.line.publish(LineTable(frozenset({OURS}), screens=screens))
    refused = await office.call(OURS)
    assert (refused.cause, refused.sip_code, refused.pages_confirmed) == (Cause.REJECTED, 603, 0)
    assert (await office.call(OURS, "2", caller="+12025550123")).cause is Cause.CONFIRMED
    arrivals = await office.arrived()
    assert [one.caller for one in arrivals if isinstance(one, Arriving)] == ["+12025550123"]
    assert (await office.line.ask("status"))["declined"] == 1


async def test_a_call_that_comes_in_is_hung_up_when_its_ident_is_not_wanted(slow_office: Office) -> None:
    """Lost otherwise: whoever hides the number cannot be kept from sending all pages."""
    sending = asyncio.create_task(slow_office.call(OURS))
    async with asyncio.timeout(30):
        async for arrival in slow_office.line.arrivals():
            if isinstance(arrival, Negotiated):
                await slow_office.line.cancel(arrival.call)
            elif isinstance(arrival, Arrived):
                break
    assert isinstance(arrival, Arrived)
    assert (arrival.result.cause, arrival.result.pages_confirmed) == (Cause.CANCELLED, 0)
    assert arrival.result.remote_ident == "+97231234567"
    result = await sending
    assert (result.cause, result.pages_confirmed) == (Cause.LOST_CALL, 0)


async def test_a_number_that_was_withdrawn_is_not_answered(office: Office) -> None:
    """Lost otherwise: faxes for a number that left the policy are still taken, and go nowhere."""
    await office.line.publish(LineTable(frozenset()))
    assert (await office.call(OURS)).cause is Cause.TRUNK_DOWN


async def test_a_call_that_wants_only_t38_is_refused_in_audio(office: Office) -> None:
    """Lost otherwise: a policy that allows only T.38 sends in audio all the same."""
    result = await office.call("+12025550101", t38=T38Mode.PREFER)
    assert (result.cause, result.sip_code) == (Cause.REJECTED, 488)


async def test_settings_give_numbers_behaviours(
    tmp_path: Path, open_line: Callable[..., contextlib.AbstractAsyncContextManager[Office]]
) -> None:
    """Lost otherwise: a fault cannot be tried with one's own numbers."""
    async with open_line(tmp_path, behaviours={"+4930123456": "busy", OURS: "no_answer"}) as office:
        assert (await office.call("+4930123456", "1")).cause is Cause.BUSY
        assert (await office.call(OURS, "2")).cause is Cause.NO_ANSWER


async def test_a_behaviour_that_there_is_not_is_refused_by_name(
    tmp_path: Path, open_line: Callable[..., contextlib.AbstractAsyncContextManager[Office]]
) -> None:
    """Lost otherwise: a typing error in the settings is found out when the call fails oddly."""
    with pytest.raises(LineDown, match="'bussy'; it can be one of fax, audio"):
        async with open_line(tmp_path, behaviours={"+1": "bussy"}):
            pass


async def test_a_line_that_dies_at_its_start_says_so_at_once(
    tmp_path: Path, open_line: Callable[..., contextlib.AbstractAsyncContextManager[Office]]
) -> None:
    """Lost otherwise: the service hangs at its start when something is wrong with its line."""
    with pytest.raises(LineDown, match="ended with status 1"):
        async with asyncio.timeout(10), open_line(tmp_path, sandbox="a house of cards"):
            pass


async def test_calls_work_where_the_container_is_the_confinement(
    tmp_path: Path, open_line: Callable[..., contextlib.AbstractAsyncContextManager[Office]]
) -> None:
    """Lost otherwise: in a container without user namespaces no fax can be sent."""
    async with open_line(tmp_path, sandbox="container") as office:
        assert (await office.call("+12025550100")).cause is Cause.CONFIRMED


async def test_the_network_outside_keeps_its_own_log(
    network: Network, tmp_path: Path, open_line: Callable[..., contextlib.AbstractAsyncContextManager[Office]]
) -> None:
    """Lost otherwise: the relay's claims after a crash cannot be held against what really arrived."""
    async with open_line(tmp_path, exchange=str(network.socket)) as office:
        await office.call("+12025550100", "1")
        await office.call("+12025550139", "2")
    seen = network.log("1")
    assert [line["event"] for line in seen] == [
        "dialled", "answered", *["page", "confirming"] * 3, "ended",
    ]  # fmt: skip
    pages = [line for line in seen if line["event"] == "page"]
    assert [line["last"] for line in pages] == [False, False, True]
    assert len({line["sha256"] for line in pages}) == 3
    assert (network.folder / "pages" / seen[1]["file"]).exists()
    assert [line["page"] for line in network.log("2") if line["event"] == "page"] == [1, 2, 3]
    assert [line["page"] for line in network.log("2") if line["event"] == "confirming"] == [1, 2]
