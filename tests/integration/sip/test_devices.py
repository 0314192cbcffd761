"""Fax machines and adapters that register with us: sipp as the adapter, a bare socket for what sipp cannot say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from transport.accounts import DeviceAccount
from transport.seam import Arriving, Cause

from .office import OURS, THEIRS, SipOffice, carrier, sip_office
from .peers import Sipp
from .wire import Wire, digest, headers_of, wire

SECRET = "f4x-mach1ne"
ADAPTER = DeviceAccount("adapter", OURS, "ata1", SECRET, region="IL")


@pytest.fixture
async def floor(office: SipOffice) -> SipOffice:
    """A line with one device and one trunk."""
    await office.publish(carrier(office.ports.block()), devices=(ADAPTER,))
    return office


async def _registers(office: SipOffice, binding: str, *, expires: int = 600, **options: Any) -> Sipp:
    peer = await office.sipp(
        "devices/registers", calls_us=True, keys={"user": "ata1", "binding": binding, "expires": str(expires)},
        more=("-au", "ata1", "-ap", SECRET), **options,
    )  # fmt: skip
    await peer.finished()
    return peer


async def _contacts(office: SipOffice) -> list[Any]:
    contacts = (await office.status("devices", "adapter"))["contacts"]
    assert isinstance(contacts, list)
    return contacts


async def test_an_adapter_registers_refreshes_and_unregisters(floor: SipOffice) -> None:
    """Lost otherwise: no fax machine in the house can be reached."""
    peer = await floor.sipp(
        "devices/keeps_registered", calls_us=True, more=("-au", "ata1", "-ap", SECRET),
        keys={"user": "ata1", "binding": "<sip:ata1@127.0.0.1:5555>"},
    )  # fmt: skip
    await peer.finished()
    taken = [text for text in peer.heard("SIP/2.0 200") if "REGISTER" in text]
    assert ["Contact:" in text for text in taken] == [True, True, False]
    assert all("expires=1" in text for text in taken[:2])
    assert await _contacts(floor) == []


async def test_two_contacts_of_one_device_are_both_kept(floor: SipOffice) -> None:
    """Lost otherwise: the second handset of a machine throws the first one out."""
    await _registers(floor, "<sip:ata1@127.0.0.1:5555>")
    peer = await _registers(floor, "<sip:ata1@127.0.0.1:5556>")
    assert len(await _contacts(floor)) == 2
    answer = peer.heard("SIP/2.0 200")[-1]
    assert "127.0.0.1:5555" in answer
    assert "127.0.0.1:5556" in answer


async def test_a_wrong_password_registers_nobody(floor: SipOffice) -> None:
    """Lost otherwise: whoever knows a device's name receives its faxes."""
    peer = await floor.sipp(
        "devices/registers_wrongly", calls_us=True, more=("-au", "ata1", "-ap", "guess"),
        keys={"user": "ata1", "binding": "<sip:thief@127.0.0.1:5555>"},
    )  # fmt: skip
    await peer.finished()
    assert await _contacts(floor) == []


async def _challenge(socket: Wire, method: str, uri: str, user: str, **options: Any) -> tuple[str, list[str]]:
    """Ask without credentials; return the status line and the challenges."""
    headers = {"From": f"<sip:{user}@faxrelay.test>;tag=1", "To": f"<sip:{user}@faxrelay.test>"}
    answer = await socket.final(socket.request(method, uri, headers=headers, **options))
    assert answer is not None
    return answer.splitlines()[0], headers_of(answer, "WWW-Authenticate")


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_both_hashes_are_offered_and_taken(floor: SipOffice, algorithm: str) -> None:
    """Lost otherwise: machines of today are held to MD5, or machines of yesterday cannot register (RFC 8760)."""
    uri = f"sip:{floor.address}"
    with wire(floor.port) as socket:
        _, challenges = await _challenge(socket, "REGISTER", uri, "ata1")
        assert len(challenges) == 2
        challenge = next(one for one in challenges if f"algorithm={algorithm}" in one)
        headers = {
            "From": "<sip:ata1@faxrelay.test>;tag=1", "To": "<sip:ata1@faxrelay.test>",
            "Authorization": digest(challenge, "REGISTER", uri, "ata1", SECRET),
        }  # fmt: skip
        answer = await socket.final(socket.request("REGISTER", uri, headers=headers, number=2))
        assert answer is not None
        assert answer.startswith("SIP/2.0 200")
        again = await socket.final(socket.request("REGISTER", uri, headers=headers, number=3))
        assert again is not None
        assert again.startswith("SIP/2.0 401"), "a counter of a nonce is good for once"


async def test_a_device_that_there_is_not_is_answered_like_one_that_there_is(floor: SipOffice) -> None:
    """Lost otherwise: a scanner finds out the names of our devices."""
    uri = f"sip:{floor.address}"
    with wire(floor.port) as socket:
        known, unknown = [await _challenge(socket, "REGISTER", uri, user) for user in ("ata1", "nobody")]
        assert known[0] == unknown[0]
        assert len(known[1]) == len(unknown[1]) == 2
        refused = []
        for user, password in (("ata1", "guess"), ("nobody", SECRET)):
            headers = {"From": f"<sip:{user}@f.test>;tag=1", "To": f"<sip:{user}@f.test>"}
            headers["Authorization"] = digest(known[1][0], "REGISTER", uri, user, password)
            answer = await socket.final(socket.request("REGISTER", uri, headers=headers))
            assert answer is not None
            refused.append(answer.splitlines()[0])
        assert refused[0] == refused[1]


async def test_a_device_sends_a_fax(floor: SipOffice) -> None:
    """Lost otherwise: the fax machine in the house cannot send."""
    peer = await floor.sipp(
        "devices/calls", calls_us=True, more=("-au", "ata1", "-ap", SECRET),
        keys={"user": "ata1", "called": "0012025550123"},
    )  # fmt: skip
    arriving = (await floor.arrived())[0]
    await peer.finished()
    assert isinstance(arriving, Arriving)
    assert (arriving.device, arriving.number, arriving.caller) == ("adapter", THEIRS, OURS)
    await floor.at_rest()


async def test_a_device_that_may_not_send_is_refused(office: SipOffice) -> None:
    """Lost otherwise: a machine that shall only receive sends at our cost."""
    device = DeviceAccount("adapter", OURS, "ata1", SECRET, outbound=False)
    await office.publish(devices=(device,))
    peer = await office.sipp(
        "devices/calls_refused", calls_us=True, more=("-au", "ata1", "-ap", SECRET), keys={"user": "ata1"}
    )
    await peer.finished()
    assert peer.heard("SIP/2.0 403")
    assert office.line.leftovers() == []


async def test_a_device_is_called_where_it_registered(floor: SipOffice) -> None:
    """Lost otherwise: received faxes never come out of the machine."""
    port = floor.ports.block()
    await _registers(floor, f"<sip:ata1@127.0.0.1:{port}>", port=port)
    machine = await floor.sipp("outbound/answered", port=port)
    result, _ = await floor.call(trunk="device:adapter")
    await machine.finished()
    assert (result.cause, result.sip_code) == (Cause.NOT_FAX, 200)
    await floor.at_rest()


async def test_a_device_behind_nat_is_called_where_its_registration_came_from(floor: SipOffice) -> None:
    """Lost otherwise: every adapter behind a router can send and never receive (RFC 3581)."""
    port = floor.ports.block()
    await _registers(floor, "<sip:ata1@10.255.255.1:5060>", port=port)
    machine = await floor.sipp("outbound/answered", port=port)
    result, _ = await floor.call(trunk="device:adapter")
    await machine.finished()
    assert result.sip_code == 200
    await floor.at_rest()


async def test_the_contact_that_answers_gets_the_fax(floor: SipOffice) -> None:
    """Lost otherwise: one dead contact of a device swallows the call."""
    dead, port = floor.ports.block(), floor.ports.block()
    await _registers(floor, f"<sip:ata1@127.0.0.1:{dead}>")
    await _registers(floor, f"<sip:ata1@127.0.0.1:{port}>", port=port)
    machine = await floor.sipp("outbound/answered", port=port)
    result, _ = await floor.call(trunk="device:adapter")
    await machine.finished()
    assert (result.cause, result.sip_code) == (Cause.NOT_FAX, 200)
    await floor.at_rest()


async def test_a_device_that_is_not_there_is_no_answer(floor: SipOffice) -> None:
    """Lost otherwise: a machine that is switched off counts as a broken trunk, and nobody tries again."""
    result, _ = await floor.call(trunk="device:adapter")
    assert (result.cause, result.sip_code) == (Cause.NO_ANSWER, 480)
    await floor.at_rest()


async def test_registrations_outlive_a_crash(floor: SipOffice) -> None:
    """Lost otherwise: after a restart no machine can be called until each has registered anew, up to an hour later."""
    await _registers(floor, "<sip:ata1@127.0.0.1:5555>")
    before = await _contacts(floor)
    floor.processes[-1].kill()
    await floor.processes[-1].wait()
    await asyncio.sleep(0.2)
    assert [kept["contact"] for kept in await _contacts(floor)] == [kept["contact"] for kept in before]


async def test_a_device_registers_only_from_where_it_may(office: SipOffice) -> None:
    """Lost otherwise: a stolen password works from everywhere."""
    device = DeviceAccount("adapter", OURS, "ata1", SECRET, networks=("127.0.0.8/29",))
    await office.publish(devices=(device,))
    peer = await office.sipp(
        "devices/registers_wrongly", calls_us=True, more=("-au", "ata1", "-ap", SECRET),
        keys={"user": "ata1", "binding": "<sip:ata1@127.0.0.1:5555>"},
    )  # fmt: skip
    await peer.finished()
    await _registers(office, "<sip:ata1@127.0.0.9:5555>", address="127.0.0.9")


async def test_who_guesses_passwords_is_banned_and_nobody_else(tmp_path: Any) -> None:
    """Lost otherwise: a scanner guesses for as long as it likes, or locks the whole house out."""
    async with sip_office(tmp_path, whitelist=(), failures=5) as office:
        await office.publish(carrier(office.ports.block()), devices=(ADAPTER,))
        uri = f"sip:{office.address}"
        with wire(office.port, "127.0.0.66") as scanner, wire(office.port, "127.0.0.67") as neighbour:
            answers = 0
            for guess in range(20):
                _, challenges = await _ask_or_silence(scanner, uri)
                if not challenges:
                    break
                headers = {"From": "<sip:ata1@f.test>;tag=1", "To": "<sip:ata1@f.test>"}
                headers["Authorization"] = digest(challenges[-1], "REGISTER", uri, "ata1", f"guess{guess}")
                answers += await scanner.final(scanner.request("REGISTER", uri, headers=headers), 0.5) is not None
            assert 3 <= answers <= 8, "about five guesses, then silence"
            assert await scanner.final(scanner.request("OPTIONS", uri), 0.5) is None
            assert (await _challenge(neighbour, "REGISTER", uri, "ata1"))[0].startswith("SIP/2.0 401")
            status = await office.line.ask("status")
            assert "127.0.0.66" in str(status["bans"])
            assert "127.0.0.67" not in str(status["bans"])


async def _ask_or_silence(socket: Wire, uri: str) -> tuple[str, list[str]]:
    headers = {"From": "<sip:ata1@f.test>;tag=1", "To": "<sip:ata1@f.test>"}
    answer = await socket.final(socket.request("REGISTER", uri, headers=headers), 0.5) or ""
    return answer.partition("\r\n")[0], headers_of(answer, "WWW-Authenticate")


async def test_a_trusted_network_is_never_banned(tmp_path: Any) -> None:
    """Lost otherwise: one machine with an old password cuts our own carrier off."""
    async with sip_office(tmp_path, failures=3) as office:
        await office.publish(carrier(office.ports.block()), devices=(ADAPTER,))
        uri = f"sip:{office.address}"
        with wire(office.port) as socket:
            for _ in range(12):
                _, challenges = await _ask_or_silence(socket, uri)
                headers = {"From": "<sip:ata1@f.test>;tag=1", "To": "<sip:ata1@f.test>"}
                headers["Authorization"] = digest(challenges[0], "REGISTER", uri, "ata1", "guess")
                assert await socket.final(socket.request("REGISTER", uri, headers=headers)) is not None
