"""Two SIP networks on loopback: every transport, T.38's ways, trunks, devices, strangers."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from transport.accounts import CalledField, CallerField, DeviceAccount, NumberForm, SipTransport, TrunkAccount
from transport.network import Alerting, Changed, Connected, Gone, Refused
from transport.seam import T38Mode
from transport.sip.network import SipNetwork
from transport.sip.resolver import Answer, Service
from transport.sip.settings import SipSettings

from .conftest import LOOPBACK, OURS, THEIRS, Office, free_port, office, signal, until

if TYPE_CHECKING:
    from pathlib import Path

    from transport.sip.registration import Registration

UDP, TCP, TLS = SipTransport.UDP, SipTransport.TCP, SipTransport.TLS
ATA = DeviceAccount("ata", OURS, "ata1", "s3cret")


def _introduce(near: Office, far: Office, **changes: object) -> None:
    """Make each the other's trunk ``peer``."""
    near.publish(TrunkAccount("peer", LOOPBACK, far.port, **changes))  # type: ignore[arg-type]
    far.publish(TrunkAccount("peer", LOOPBACK, near.port, **changes))  # type: ignore[arg-type]


async def _both(near: Office, far: Office, transport: SipTransport, certificate: tuple[Path, Path]) -> None:
    name = "localhost" if transport is TLS else LOOPBACK
    ports = [one.network._open.wires.ports[transport.value] for one in (near, far) if one.network._open]
    ca = str(certificate[0]) if transport is TLS else ""
    near.publish(TrunkAccount("peer", name, ports[1], transport, ca=ca))
    far.publish(TrunkAccount("peer", name, ports[0], transport, ca=ca))


@pytest.mark.parametrize("transport", [UDP, TCP, TLS])
async def test_a_call_by_every_transport(transport: SipTransport, certificate: tuple[Path, Path]) -> None:
    """Lost otherwise: calls to and from trunks on this transport fail."""
    files = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    tls = [{"tls_port": free_port(), **files} if transport is TLS else {} for _ in range(2)]
    async with office(**tls[0]) as near, office(**tls[1]) as far:
        await _both(near, far, transport, certificate)
        await until(lambda: near.network._trunks["peer"].addresses and far.network._trunks["peer"].addresses)
        leg = near.dial()
        notes: list[tuple[str, str, str]] = []
        leg.trace = lambda *note: notes.append(note)
        incoming = await far.incoming()
        assert (incoming.number, incoming.caller, incoming.trunk, incoming.device) == (THEIRS, OURS, "peer", "")
        incoming.leg.answer()
        ours, theirs = await signal(leg), await signal(incoming.leg)
        assert isinstance(ours, Connected)
        assert isinstance(theirs, Connected)
        sockets = [socket.socket(fileno=one) for one in (*leg.take_media(), *incoming.leg.take_media())]
        assert [one.getsockname()[1] for one in sockets[2:]] == [ours.media.port, ours.media.port + 2]
        assert sockets[0].getsockname()[1] == theirs.media.port
        for one in sockets:
            one.close()
        changed = await signal(leg)
        assert isinstance(changed, Changed)
        assert changed.media.t38, "the called side offers T.38"
        leg.hang_up()
        assert isinstance(await signal(incoming.leg), Changed)
        assert isinstance(await signal(incoming.leg), Gone)
        assert [note[2].split()[0] for note in notes if note[0] == ">"][:2] == ["INVITE", "ACK"]
        assert (await near.status("trunks", "peer"))["calls"] == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "t38"),
    [
        (T38Mode.AUTO, T38Mode.AUTO, True),
        (T38Mode.PREFER, T38Mode.AUTO, True),
        (T38Mode.PREFER, T38Mode.PREFER, True),
        (T38Mode.NEVER, T38Mode.AUTO, False),
        (T38Mode.PREFER, T38Mode.NEVER, False),
        (T38Mode.AUTO, T38Mode.NEVER, False),
    ],
)
async def test_the_way_to_t38(two: tuple[Office, Office], ours: T38Mode, theirs: T38Mode, t38: bool) -> None:
    """Lost otherwise: calls that could have T.38 stay in audio, or a route that breaks T.38 gets it."""
    near, far = two
    near.publish(TrunkAccount("peer", LOOPBACK, far.port, t38=ours))
    far.publish(TrunkAccount("peer", LOOPBACK, near.port, t38=theirs))
    await until(lambda: far.network._trunks["peer"].addresses)
    leg = near.dial(t38=ours)
    incoming = await far.incoming()
    incoming.leg.answer()
    for one in (leg, incoming.leg):
        assert isinstance(await signal(one), Connected)
    if t38:
        for one in (leg, incoming.leg):
            changed = await signal(one)
            assert isinstance(changed, Changed)
            assert changed.media.t38
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(leg.signal(), 1.6)
    incoming.leg.hang_up()
    assert isinstance(await signal(leg), Gone)


async def test_refusals_come_back_with_their_code(two: tuple[Office, Office]) -> None:
    """Lost otherwise: a busy number and a wrong one are treated alike."""
    near, far = two
    _introduce(near, far)
    await until(lambda: far.network._trunks["peer"].addresses)
    leg = near.dial()
    (await far.incoming()).leg.refuse(486, "Busy Here")
    assert await signal(leg) == Refused(486, "Busy Here")
    assert (await near.status("trunks", "peer"))["last_code"] == 486


async def test_a_caller_who_gives_up_frees_the_called_side(two: tuple[Office, Office]) -> None:
    """Lost otherwise: a cancelled call keeps a channel."""
    near, far = two
    _introduce(near, far)
    await until(lambda: far.network._trunks["peer"].addresses)
    leg = near.dial()
    incoming = await far.incoming()
    leg.hang_up()
    refused = await signal(incoming.leg)
    assert isinstance(refused, Refused)
    assert refused.code == 487
    incoming.leg.answer()
    assert (await far.status("trunks", "peer"))["calls"] == 0


async def test_a_trunk_that_is_not_there_is_told_as_such() -> None:
    """Lost otherwise: a call by a trunk taken out of the policy waits for ever."""
    async with office() as near:
        assert await signal(near.dial("nowhere")) == Refused(None, "there is no trunk nowhere")
        near.publish(TrunkAccount("peer", LOOPBACK, free_port(), TCP))
        refused = await signal(near.dial())
        assert isinstance(refused, Refused)
        assert refused.code is None
        assert "no connection" in refused.reason


class _Names:
    """A DNS that knows one trunk with two machines."""

    def __init__(self, *ports: int) -> None:
        self.records = tuple(Service(at, 0, port, LOOPBACK) for at, port in enumerate(ports))

    async def services(self, name: str) -> Answer:
        """Return SRV records."""
        assert name == "_sip._udp.trunk.test"
        return Answer(self.records, 60)

    async def addresses(self, name: str) -> Answer:
        """Return addresses."""
        del name
        return Answer((), 60)


async def test_the_next_machine_of_a_trunk_is_tried_when_the_first_is_silent() -> None:
    """Lost otherwise: one dead machine of the carrier stops every fax."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((LOOPBACK, 0))
        async with office() as far:
            settings = SipSettings(address=LOOPBACK, port=0, media_ports=(23000, 23039))
            near = Office(SipNetwork(settings, lookup=_Names(silent.getsockname()[1], far.port), rng=random.Random(1)))
            near.task = asyncio.create_task(near.network.run(near.came.put_nowait))
            await near.network.up.wait()
            near.publish(TrunkAccount("peer", "trunk.test", options_seconds=0))
            far.publish(TrunkAccount("peer", LOOPBACK, near.port, options_seconds=0))
            leg = near.dial()
            incoming = await asyncio.wait_for(far.came.get(), 6)
            incoming.leg.answer()
            assert isinstance(await signal(leg), Connected)
            leg.hang_up()
            near.task.cancel()


@pytest.mark.parametrize("caller", list(CallerField))
@pytest.mark.parametrize("form", list(NumberForm))
async def test_numbers_are_written_and_read_as_the_trunk_wants(
    two: tuple[Office, Office], caller: CallerField, form: NumberForm
) -> None:
    """Lost otherwise: the carrier refuses our numbers, or an inbound fax finds no mailbox."""
    near, far = two
    _introduce(near, far, caller=caller, form=form, region="US", username="acct", password="x")
    await until(lambda: far.network._trunks["peer"].addresses)
    leg = near.dial()
    incoming = await far.incoming()
    assert incoming.number == THEIRS
    if caller is not CallerField.DIVERSION:
        assert incoming.caller == OURS
    leg.hang_up()


async def test_an_account_that_registers_is_called_at_its_registration(two: tuple[Office, Office]) -> None:
    """Lost otherwise: behind a registering trunk no fax ever arrives, and no device can be sent to."""
    near, far = two
    far.publish(devices=(ATA,))
    near.publish(
        TrunkAccount(
            "peer", LOOPBACK, far.port, username="ata1", password="s3cret", register=True, called=CalledField.TO
        )
    )
    await until(lambda: near.network._trunks["peer"].registration.registered(near.network._clock()))
    device = await far.status("devices", "ata")
    assert device["up"]
    leg = far.dial("device:ata", destination=OURS, caller=THEIRS)
    incoming = await near.incoming()
    assert (incoming.number, incoming.caller, incoming.trunk) == (OURS, THEIRS, "peer")
    incoming.leg.answer()
    assert isinstance(await signal(leg), Connected)
    leg.hang_up()
    outbound = near.dial()
    came = await far.incoming()
    assert (came.device, came.number, came.caller, came.trunk) == ("ata", THEIRS, OURS, "device:ata")
    came.leg.refuse(486, "Busy Here")
    assert await signal(outbound) == Refused(486, "Busy Here")


async def test_a_changed_account_keeps_its_registration_and_its_calls(two: tuple[Office, Office]) -> None:
    """Lost otherwise: a reload of the policy takes trunks off the air, or forgets their calls."""
    near, far = two
    far.publish(devices=(replace(ATA, channels=2),))
    account = TrunkAccount("peer", LOOPBACK, far.port, username="ata1", password="s3cret", register=True)
    near.publish(account)

    def registration() -> Registration:
        return near.network._trunks["peer"].registration

    await until(lambda: registration().registered(near.network._clock()))
    leg = near.dial()
    incoming = await far.incoming()
    before = registration()
    near.publish(replace(account, prefix="9"))
    far.publish(devices=(ATA,))
    assert registration() is not before
    assert registration().registered(near.network._clock()), "at no moment it is unregistered"
    await until(lambda: registration().last_code == 200)
    assert len((await far.status("devices", "ata"))["contacts"]) == 1, "refreshed, not a second registration"
    assert (await near.status("trunks", "peer"))["calls"] == 1
    assert (await far.status("devices", "ata"))["calls"] == 1
    leg.hang_up()
    assert isinstance(await signal(incoming.leg), Refused)
    assert (await near.status("trunks", "peer"))["calls"] == 0
    assert (await far.status("devices", "ata"))["calls"] == 0
    near.publish()
    await until(lambda: not far.network._open.devices._registrar.of("ata", time.time()))  # type: ignore[union-attr]


async def test_a_device_that_is_not_registered_cannot_be_called() -> None:
    """Lost otherwise: a fax for a switched-off machine waits for two minutes instead of the next try."""
    async with office() as far:
        far.publish(devices=(ATA,))
        assert await signal(far.dial("device:ata")) == Refused(480, "the device ata is not registered")


async def test_a_wrong_password_shows_in_the_status_and_the_test(two: tuple[Office, Office]) -> None:
    """Lost otherwise: nobody finds out why no call comes in."""
    near, far = two
    far.publish(devices=(ATA,))
    near.publish(TrunkAccount("peer", LOOPBACK, far.port, username="ata1", password="wrong", register=True))
    await until(lambda: near.network._trunks["peer"].registration.last_code)
    status = await near.status("trunks", "peer")
    assert not status["up"]
    assert "401" in status["detail"]
    steps = (await near.network.ask("test", "peer"))["steps"]
    assert [step["ok"] for step in steps] == [True, True, False]
    assert "check username, password and domain" in steps[-1]["detail"]


async def test_a_guesser_is_banned_and_told_nothing_before(two: tuple[Office, Office]) -> None:
    """Lost otherwise: passwords are guessed at leisure, or names found out by different answers."""
    near, far = two
    far.publish(devices=(ATA,))
    for guess in range(9):
        name = "ata1" if guess % 2 else "nobody"
        near.publish(
            TrunkAccount(
                "peer", LOOPBACK, far.port, username=name, password=f"guess{guess}", register=True, options_seconds=0
            )
        )
        trunk = near.network._trunks["peer"]
        await until(lambda trunk=trunk: trunk.registration.last_code or (far.network._guard.bans(far.network._clock())))  # type: ignore[misc]
        assert trunk.registration.last_code in (401, None)
    (ban,) = (await far.network.ask("status", ""))["bans"]
    assert (ban["source"], ban["why"]) == (LOOPBACK, "wrong passwords")


async def test_a_stranger_reaches_no_number(two: tuple[Office, Office]) -> None:
    """Lost otherwise: anybody on the Internet fills our mailboxes, or faxes at our cost."""
    near, far = two
    near.publish(TrunkAccount("peer", LOOPBACK, far.port, options_seconds=0))
    assert await signal(near.dial()) == Refused(401, "Unauthorized")
    assert far.came.empty()


async def test_a_port_in_use_is_told_and_taken_when_it_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    """Lost otherwise: two processes share a port and each gets half of the messages, silently."""
    async with office() as first:
        second = SipNetwork(SipSettings(address=LOOPBACK, port=first.port, media_ports=(24000, 24039)))
        task = asyncio.create_task(second.run(lambda _: None))
        await until(lambda: "is another program using the port" in capsys.readouterr().err)
        assert not second.up.is_set()
    await asyncio.wait_for(second.up.wait(), 8)
    task.cancel()


async def test_a_trunk_whose_certificate_is_anothers_gets_no_call(certificate: tuple[Path, Path]) -> None:
    """Lost otherwise: whoever sits on the way reads and answers our faxes."""
    tls = {"tls_port": free_port(), "certificate": str(certificate[0]), "key": str(certificate[1])}
    async with office(**tls) as far, office() as near:
        for host, ca, says in ((LOOPBACK, str(certificate[0]), "not valid for"), ("localhost", "", "self-signed")):
            near.publish(TrunkAccount("peer", host, tls["tls_port"], TLS, ca=ca, options_seconds=0))  # type: ignore[arg-type]
            refused = await signal(near.dial())
            assert isinstance(refused, Refused)
            assert refused.code is None
            assert "certificate" in refused.reason
            assert says in refused.reason
        assert far.came.empty()


async def test_a_connection_that_ends_does_not_end_the_call(two: tuple[Office, Office]) -> None:
    """Lost otherwise: a carrier that closes idle TCP connections can never be told that we hung up."""
    near, far = two
    _introduce(near, far, transport=TCP, options_seconds=0)
    await until(lambda: far.network._trunks["peer"].addresses)
    leg = near.dial(t38=T38Mode.NEVER)
    incoming = await far.incoming()
    incoming.leg.answer()
    assert isinstance(await signal(leg), Connected)
    assert isinstance(await signal(incoming.leg), Connected)
    assert near.network._open is not None
    for flow in list(near.network._open.wires._connections.values()):
        flow.shut()
    await asyncio.sleep(0.1)
    leg.hang_up()
    found = await signal(incoming.leg)
    while isinstance(found, (Alerting, Changed)):
        found = await signal(incoming.leg)
    assert isinstance(found, Gone)


async def test_calls_go_on_when_the_table_changes(two: tuple[Office, Office]) -> None:
    """Lost otherwise: every change of a policy file drops the faxes under way."""
    near, far = two
    _introduce(near, far)
    await until(lambda: far.network._trunks["peer"].addresses)
    leg = near.dial()
    incoming = await far.incoming()
    incoming.leg.answer()
    assert isinstance(await signal(leg), Connected)
    assert isinstance(await signal(incoming.leg), Connected)
    near.publish()
    far.publish()
    assert near.network.trunks() == {}
    leg.hang_up()
    found = await signal(incoming.leg)
    while isinstance(found, Changed):
        found = await signal(incoming.leg)
    assert isinstance(found, Gone)


async def test_a_successor_ends_the_calls_that_a_dead_line_left(tmp_path: Path) -> None:
    """Lost otherwise: a killed line keeps the carrier's channels busy until the carrier's own timers end them."""
    port = free_port()
    async with office() as far:
        async with office(state=str(tmp_path), port=port) as near:
            _introduce(near, far)
            await until(lambda: near.network._trunks["peer"].addresses and far.network._trunks["peer"].addresses)
            leg = near.dial()
            incoming = await far.incoming()
            incoming.leg.answer()
            assert isinstance(await signal(leg), Connected)
            assert isinstance(await signal(incoming.leg), Connected)
            here = near.network._open
            assert here is not None
            near.network._legs.clear()  # it dies without a word
            here.station.close()
            here.wires.close()
            near.network._open = None
        assert len(list((tmp_path / "dialogs").iterdir())) == 1
        async with office(state=str(tmp_path), port=port):
            while not isinstance(said := await signal(incoming.leg), Gone):
                assert isinstance(said, Changed)
        assert not list((tmp_path / "dialogs").iterdir())


@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
@pytest.mark.parametrize("transport", [UDP, TCP])
async def test_a_line_on_every_address_speaks_both_families(host: str, transport: SipTransport) -> None:
    """Lost otherwise: a line that listens on ``::`` is deaf to every trunk of today, or of tomorrow."""
    async with office(address="::") as near, office(address="::") as far:
        near.publish(TrunkAccount("peer", host, far.port, transport, options_seconds=0))
        far.publish(TrunkAccount("peer", host, near.port, transport, options_seconds=0))
        await until(lambda: far.network._trunks["peer"].addresses)
        leg = near.dial(t38=T38Mode.NEVER)
        incoming = await far.incoming()
        incoming.leg.answer()
        ours, theirs = await signal(leg), await signal(incoming.leg)
        assert isinstance(ours, Connected)
        assert isinstance(theirs, Connected)
        assert ours.media.host == theirs.media.host == host
        incoming.leg.hang_up()
        assert isinstance(await signal(leg), Gone)


async def test_a_trunk_taken_out_of_the_table_is_told_that_we_leave(two: tuple[Office, Office]) -> None:
    """Lost otherwise: a registrar sends calls for ten minutes to a line that no longer takes them."""
    near, far = two
    far.publish(devices=(ATA,))
    near.publish(TrunkAccount("peer", LOOPBACK, far.port, username="ata1", password="s3cret", register=True))

    async def registered() -> bool:
        return bool((await far.status("devices", "ata"))["up"])

    await until(registered)
    near.publish()

    async def left() -> bool:
        return not await registered()

    await until(left)


async def test_the_time_of_a_registration_is_what_the_trunk_says(two: tuple[Office, Office]) -> None:
    """Lost otherwise: a carrier that wants short registrations has none of us half of the time."""
    near, far = two
    far.publish(devices=(ATA,))
    account = TrunkAccount("peer", LOOPBACK, far.port, username="ata1", password="s3cret", register=True)
    for asked, granted in ((120, 120), (30, 60)):  # the second is too brief for the registrar: 423
        near.publish(replace(account, expires=asked))
        await until(lambda: near.network._trunks["peer"].registration.last_code == 200)
        (contact,) = (await far.status("devices", "ata"))["contacts"]
        assert granted - 5 < contact["seconds"] <= granted
