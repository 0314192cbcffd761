"""A DNS server of the tests' own, a network that says where it was asked to go, and a listener that counts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import httpcore2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable


class Zone(asyncio.DatagramProtocol):
    """Answers for names: each question of a kind takes the next of its lists, the last one stays."""

    def __init__(self, records: dict[tuple[str, str], list[list[str]]]) -> None:
        self.records = records
        self.asked: list[tuple[str, str]] = []
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer a question."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if (alias := self.records.get((name, "CNAME"))) is not None:
            answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", "CNAME", f"{alias[0][0]}."))
            name = alias[0][0]
        lists = self.records.get((name, kind), [[]])
        found = lists.pop(0) if len(lists) > 1 else lists[0]
        if found:
            owner = answer.answer[0][0].target if answer.answer else question.name
            answer.answer.append(dns.rrset.from_text(owner, 0, "IN", kind, *found))
        self._transport.sendto(answer.to_wire(), addr)


@contextlib.asynccontextmanager
async def name_server(records: dict[tuple[str, str], list[list[str]]]) -> AsyncIterator[Zone]:
    """Serve ``records`` on a port of loopback."""
    loop = asyncio.get_running_loop()
    transport, zone = await loop.create_datagram_endpoint(lambda: Zone(records), local_addr=("127.0.0.1", 0))
    zone.port = transport.get_extra_info("sockname")[1]
    try:
        yield zone
    finally:
        transport.close()


class Dialled(httpcore2.AsyncNetworkBackend):
    """A network that notes each address it is asked for. ``through``: addresses that lead to a port of loopback."""

    def __init__(self, through: dict[str, int] | None = None) -> None:
        self.addresses: list[str] = []
        self._through = through or {}
        self._real = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect where the address leads."""
        self.addresses.append(host)
        if host not in self._through:
            raise httpcore2.ConnectError(f"no way to {host}:{port}")
        return await self._real.connect_tcp("127.0.0.1", self._through[host], timeout, local_address, socket_options)


class Listener:
    """Counts the connections to one port on every address of loopback."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def connected(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count one."""
        self.connections += 1
        writer.close()


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Listen on IPv4 and, where the machine has it, on IPv6."""
    listener = Listener()
    servers = [await asyncio.start_server(listener.connected, "0.0.0.0", 0)]  # noqa: S104  it counts what comes to any
    listener.port = servers[0].sockets[0].getsockname()[1]
    with contextlib.suppress(OSError):
        servers.append(await asyncio.start_server(listener.connected, "::1", listener.port))
    try:
        yield listener
    finally:
        for server in servers:
            server.close()
