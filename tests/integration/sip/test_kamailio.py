"""Kamailio before the line: as a registrar that knows us by password, and as a proxy that stays in the way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from transport.accounts import CalledField, SipTransport, TrunkAccount
from transport.seam import Answered, Arrived, Arriving, Cause, PageConfirmed, Ringing, T38Mode

from ...conftest import need
from .kamailio import Certificates, kamailio, make_certificates
from .office import OURS, PASSWORD, USERNAME, SipOffice, carrier, sip_office
from .peers import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TRANSPORTS = list(SipTransport)
_IN_PAGE_TWO = 19  # seconds from the answer: the machines talk from the sixth, a page takes four


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """An authority, and a certificate for this machine."""
    need("kamailio", "sipp", "openssl")
    return make_certificates(tmp_path)


async def _both_ways(office: SipOffice, far: int, port: int) -> None:
    """Call the far UA through the server at ``port``, with re-INVITEs of both sides; then be called by it."""
    for scenario, mode, cancel_at, cause in (
        ("answered", T38Mode.AUTO, None, Cause.NOT_FAX),
        ("wants_t38", T38Mode.AUTO, None, Cause.NOT_FAX),
        ("takes_t38", T38Mode.PREFER, None, Cause.NOT_FAX),
        ("hung_up_on", T38Mode.AUTO, Answered, Cause.CANCELLED),
        ("rings", T38Mode.AUTO, Ringing, Cause.CANCELLED),
    ):
        peer = await office.sipp(f"outbound/{scenario}", port=far)
        result, _ = await office.call(t38=mode, cancel_at=cancel_at)
        await peer.finished()
        assert result.cause is cause, scenario
        assert result.t38 == scenario.endswith("t38")
        await office.at_rest()
    for scenario in ("called", "reinvites_to_t38"):
        peer = await office.sipp(f"inbound/{scenario}", port=far, target=f"{LOOPBACK}:{port}", keys={"called": OURS})
        arriving = (await office.arrived())[0]
        await peer.finished()
        assert isinstance(arriving, Arriving)
        assert (arriving.number, arriving.trunk) == (OURS, "carrier")
        await office.at_rest()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("algorithm", ["", "SHA-256"])
async def test_a_trunk_that_we_register_with(
    tmp_path: Path, certificates: Certificates, transport: SipTransport, algorithm: str
) -> None:
    """Lost otherwise: carriers for small offices, which know us by password, neither take nor bring calls."""
    if algorithm and transport is not SipTransport.UDP:
        return  # one transport is enough to see that Kamailio takes our digest
    async with sip_office(tmp_path / "line") as office:
        far, port = office.ports.block(), office.ports.block()
        secure = certificates if transport is SipTransport.TLS else None
        server = kamailio(tmp_path / "kamailio", port, far=far, algorithm=algorithm, certificates=secure)
        async with server as registrar:
            await office.publish(
                TrunkAccount(
                    "carrier", LOOPBACK, registrar.tls_port or registrar.port, transport, domain="trunk.test",
                    username=USERNAME, password=PASSWORD, register=True, called=CalledField.TO, options_seconds=0,
                    channels=4, ca=str(certificates.authority),
                )
            )  # fmt: skip
            await _registered(office)
            await _both_ways(office, far, port)


async def _registered(office: SipOffice) -> None:
    for _ in range(100):
        status = await office.status("trunks", "carrier")
        if status["up"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the trunk does not register: {status}")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_proxy_before_the_line(tmp_path: Path, certificates: Certificates, transport: SipTransport) -> None:
    """Lost otherwise: a house with a session border controller in front cannot use the relay."""
    certificate, key = str(certificates.certificate), str(certificates.key)
    own_tls = transport is SipTransport.TLS
    async with sip_office(tmp_path / "line", own_tls=own_tls, certificate=certificate, key=key) as office:
        far, port = office.ports.block(), office.ports.block()
        listens = office.tls_port if transport is SipTransport.TLS else office.port
        relay = f"{LOOPBACK}:{listens};transport={transport.value}"
        secure = certificates if transport is SipTransport.TLS else None
        server = kamailio(tmp_path / "kamailio", port, far=far, relay=relay, certificates=secure)
        async with server as proxy:
            await office.publish(
                TrunkAccount(
                    "carrier", "trunk.test", None, transport, proxy=f"{LOOPBACK}:{proxy.tls_port or proxy.port}",
                    options_seconds=0, channels=4, ca=str(certificates.authority), networks=(f"{LOOPBACK}/32",),
                )
            )  # fmt: skip
            await _both_ways(office, far, port)


async def test_a_certificate_of_nobody_we_know_is_not_trusted(tmp_path: Path, certificates: Certificates) -> None:
    """Lost otherwise: whoever sits between us and the trunk reads our password and our faxes."""
    async with sip_office(tmp_path / "line") as office:
        far, port = office.ports.block(), office.ports.block()
        async with kamailio(tmp_path / "kamailio", port, far=far, certificates=certificates) as server:
            for host, authority in ((LOOPBACK, ""), ("localhost", str(certificates.authority))):
                await office.publish(
                    TrunkAccount(
                        "carrier", host, server.tls_port, SipTransport.TLS, username=USERNAME, password=PASSWORD,
                        options_seconds=0, ca=authority,
                    )
                )  # fmt: skip
                result, _ = await office.call()
                assert (result.cause, result.sip_code) == (Cause.TRUNK_DOWN, None), host
            await office.at_rest()


@pytest.mark.parametrize("way", ["out", "in"])
async def test_sipp_over_tcp(tmp_path: Path, way: str) -> None:
    """Lost otherwise: a trunk that speaks TCP alone is none for us."""
    need("sipp")
    async with sip_office(tmp_path) as office:
        port = office.ports.block()
        await office.publish(
            TrunkAccount("carrier", LOOPBACK, port, SipTransport.TCP, options_seconds=0, channels=2)
        )  # fmt: skip
        if way == "out":
            peer = await office.sipp("outbound/wants_t38", port=port, transport="t1")
            result, _ = await office.call()
            assert (result.cause, result.t38) == (Cause.NOT_FAX, True)
        else:
            peer = await office.sipp("inbound/reinvites_to_t38", calls_us=True, transport="t1")
            await office.arrived()
        await peer.finished()
        await office.at_rest()


@contextlib.asynccontextmanager
async def _two_relays(folder: Path, mode: T38Mode, limit: int = 0) -> AsyncIterator[tuple[SipOffice, SipOffice]]:
    """Run two lines with Kamailio between them."""
    need("kamailio")
    async with sip_office(folder / "ours") as ours, sip_office(folder / "theirs") as theirs:
        port = ours.ports.block()
        relay = f"{LOOPBACK}:{ours.port};transport=udp"
        async with kamailio(folder / "kamailio", port, far=theirs.port, relay=relay, limit=limit):
            for office in (ours, theirs):
                await office.publish(carrier(port, t38=mode, networks=(f"{LOOPBACK}/32",)))
            yield ours, theirs


@pytest.mark.parametrize("mode", [T38Mode.AUTO, T38Mode.NEVER])
async def test_a_fax_goes_through_a_proxy(tmp_path: Path, mode: T38Mode) -> None:
    """Lost otherwise: calls go through a session border controller, and faxes do not."""
    async with _two_relays(tmp_path, mode) as (ours, theirs):
        result, _ = await ours.call(destination=OURS)
        arrived = (await theirs.arrived())[-1]
        assert isinstance(arrived, Arrived)
        assert (result.cause, result.pages_confirmed, result.t38) == (Cause.CONFIRMED, 3, mode is T38Mode.AUTO)
        assert (arrived.result.cause, arrived.result.pages_confirmed) == (Cause.CONFIRMED, 3)
        for office in (ours, theirs):
            await office.at_rest()


async def test_a_carrier_that_hangs_up_in_mid_page(tmp_path: Path) -> None:
    """Lost otherwise: a call that was cut counts as delivered, or the pages that were confirmed are thrown away."""
    async with _two_relays(tmp_path, T38Mode.AUTO, limit=_IN_PAGE_TWO) as (ours, theirs):
        result, events = await ours.call(destination=OURS)
        arrivals = await theirs.arrived()
        arrived = arrivals[-1]
        assert isinstance(arrived, Arrived)
        assert (result.cause, result.last_page_offered) == (Cause.LOST_CALL, False)
        assert arrived.result.cause is Cause.LOST_CALL
        told = sum(isinstance(event, PageConfirmed) for event in events)
        assert 0 < result.pages_confirmed == told < 3
        kept = await theirs.line.evidence(arrived.call)
        assert len(kept.pages) == arrived.result.pages_confirmed >= result.pages_confirmed
        for office in (ours, theirs):
            await office.at_rest()
