"""Load balancers that name the client first (PROXY protocol): they alone are believed."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from relay.errors import SettingsError
from relay.mail_settings import Listener, Smtp, check_listener

from .conftest import Client, listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TO = "+12025550123@fax.example.com"
POLICY = """\
domains:
  - name: fax.example.com
    default_region: US
numbers:
  - number: "+12025550100"
    deliver_to: [office@example.com]
    senders:
      - match: alice@example.com
        proof: network
        networks: ["192.0.2.0/24", "2001:db8::/32"]
"""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def settings(**more: object) -> Smtp:
    """Return a listener behind a load balancer on this machine."""
    listener = {"port": 0, "proxy_from": ["127.0.0.0/8"], **more}
    return Smtp.model_validate({"listeners": [listener], "disk_reserve_bytes": 0, "connections_per_address": 2})


def second(client: str, *, command: int = 1) -> bytes:
    """Return a header of version 2 for an IPv4 client."""
    addresses = socket.inet_aton(client) + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 40_000, 25)
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x11, len(addresses)) + addresses


async def connect(port: int, header: bytes) -> Client:
    """Connect, send a header."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    client.writer.write(header)
    return client


@pytest.mark.parametrize(
    ("header", "proven"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n", True),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n", True),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 25\r\n", False),
        (second("192.0.2.7"), True),
        (second("203.0.113.7"), False),
        (second("192.0.2.7", command=0), False),
    ],
    ids=["v1", "v1 IPv6", "v1 stranger", "v2", "v2 stranger", "v2 of the hop itself"],
)
async def test_the_client_is_who_the_hop_names(
    tmp_path: Path, letter: Callable[..., bytes], header: bytes, *, proven: bool
) -> None:
    """Lost otherwise: every client has the load balancer's rights, or none has its own."""
    async with listening(tmp_path, settings(), POLICY) as relay:
        client = await connect(relay.server.ports[0], header)
        assert (await client.reply()).startswith("220 ")
        await client.say("EHLO client.example")
        reply = await client.send(letter(), TO)
        assert reply.startswith("250 2.0.0 " if proven else "550 5.7.1 "), reply


@pytest.mark.parametrize("header", [b"EHLO client.example\r\n", b"PROXY NONSENSE\r\n", SIGNATURE + b"\xff" * 40])
async def test_a_hop_that_names_nobody_is_not_heard(tmp_path: Path, header: bytes) -> None:
    """Lost otherwise: whoever reaches the port past the load balancer is taken for it."""
    async with listening(tmp_path, settings(), POLICY) as relay:
        client = await connect(relay.server.ports[0], header)
        assert await client.reader.read() == b""


async def test_a_hop_that_only_looks_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lost otherwise: each look of a load balancer fills the log."""
    async with listening(tmp_path, settings(), POLICY) as relay:
        client = await connect(relay.server.ports[0], b"")
        client.writer.close()
        await client.writer.wait_closed()
        await asyncio.sleep(0.1)
    assert "Traceback" not in capsys.readouterr().out


async def test_nobody_else_names_a_client(tmp_path: Path, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: anybody gives himself an address that may send."""
    async with listening(tmp_path, settings(proxy_from=["192.0.2.1/32"]), POLICY) as relay:
        client = await connect(relay.server.ports[0], b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n")
        assert (await client.reply()).startswith("220 ")
        assert (await client.reply()).startswith("500 ")
        await client.say("EHLO client.example")
        assert (await client.send(letter(), TO)).startswith("550 5.7.1 ")


async def test_connections_are_counted_for_the_client(tmp_path: Path) -> None:
    """Lost otherwise: the load balancer itself has too many connections, or one client behind it has them all."""
    async with listening(tmp_path, settings(), POLICY) as relay:
        kept = []
        for number in range(6):
            header = f"PROXY TCP4 192.0.2.{number // 2} 198.51.100.1 {40000 + number} 25\r\n"
            kept.append(await connect(relay.server.ports[0], header.encode()))
            assert (await kept[-1].reply()).startswith("220 ")
        third = await connect(relay.server.ports[0], b"PROXY TCP4 192.0.2.0 198.51.100.1 50000 25\r\n")
        assert (await third.reply()).startswith("421 4.7.0 ")


def test_a_header_before_tls_is_not_possible() -> None:
    """Lost otherwise: the service starts, and no client behind the load balancer gets through."""
    listener = Listener(tls="implicit", certificate="x.pem", proxy_from=["192.0.2.1/32"])
    with pytest.raises(SettingsError, match="cannot read a PROXY header before TLS"):
        check_listener(listener)
