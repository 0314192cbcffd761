"""The sockets of SIP on asyncio: UDP, TCP, TLS; the only ones that this line opens for signalling.

A :class:`Flow` is a way to one remote end. The UDP socket and the listeners are bound without port sharing, so that a
second process on the same port is told so and never takes half of the messages. Connections are bounded in number,
in what they may send before a message ends, and in how long they may take for it; those to trunks are kept open.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from transport.sip.connections import StreamFlow, Target, bracketed, encoded, in_short

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.sip.settings import SipSettings
    from transport.sip.stack.messages import Flow
    from transport.sip.uri import Uri

_MOST_CONNECTIONS = 500
_MOST_OF_A_SOURCE = 20
_CONNECTING = 8.0
_BUFFER = 1 << 20
_LOCALS = 1000
_HIGHEST_PORT = 65535
_MAPPED = "::ffff:"  # an IPv4 address on a socket of both families (RFC 4291 2.5.5.2)
_BACKLOG = 200
PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


class Wires:
    """A line's sockets. ``receive(data, flow)``: a message came; ``broken(flow, reason)``: a connection ended."""

    def __init__(
        self, settings: SipSettings, receive: Callable[[bytes, Flow], None], broken: Callable[[Flow, str], None]
    ) -> None:
        self._settings = settings
        self.receive = receive
        self.broken = broken
        self.ports = {"udp": settings.port, "tcp": settings.port, "tls": settings.tls_port}
        self._udp: asyncio.DatagramTransport | None = None
        self._dual = ":" in settings.address
        self._servers: list[asyncio.Server] = []
        self._connections: dict[Target, StreamFlow] = {}
        self._accepted: dict[tuple[str, tuple[str, int]], StreamFlow] = {}
        self._locals: OrderedDict[str, str] = OrderedDict()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the sockets; raises OSError where a port is taken, ssl.SSLError where the certificate is unusable."""
        loop = asyncio.get_running_loop()
        address, port = self._settings.address, self._settings.port
        try:
            plain = self._listening(socket.SOCK_DGRAM, address, port)
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=plain)
            self.ports["udp"] = self.ports["tcp"] = plain.getsockname()[1]
            self._servers.append(await self._listen("tcp", address, self.ports["tcp"], None))
            if self._settings.tls_port:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(self._settings.certificate, self._settings.key)
                self._servers.append(await self._listen("tls", address, self._settings.tls_port, context))
        except BaseException:
            self.close()
            raise

    async def _listen(self, transport: str, address: str, port: int, context: ssl.SSLContext | None) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: StreamFlow(self, transport, None), sock=self._listening(socket.SOCK_STREAM, address, port),
            backlog=_BACKLOG, ssl=context, ssl_handshake_timeout=_CONNECTING if context else None,
        )  # fmt: skip

    def _listening(self, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
        """Return a bound socket, of both families for ``::``; never one that shares its port with another process."""
        made = socket.socket(socket.AF_INET6 if self._dual else socket.AF_INET, kind)
        try:
            made.setblocking(False)  # noqa: FBT003  the function's only parameter
            if kind is socket.SOCK_STREAM:  # a port whose last connections are still dying is free
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._dual:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            made.bind((address, port))
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Close every socket."""
        for server in self._servers:
            server.close()
        for flow in (*self._connections.values(), *self._accepted.values()):
            flow.shut()
        for task in self._tasks:
            task.cancel()
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        self._servers.clear()
        self._connections.clear()
        self._accepted.clear()

    def send_datagram(self, data: bytes, remote: tuple[str, int]) -> None:
        """Send one datagram; a network that refuses it is found out by timers."""
        if self._udp is not None and not self._udp.is_closing() and 0 < remote[1] <= _HIGHEST_PORT:
            host = remote[0]
            self._udp.sendto(data, (_MAPPED + host if self._dual and ":" not in host else host, remote[1]))

    def flow(self, target: Target) -> Flow:
        """Return the way to a target; a connection that is not there yet is being made."""
        remote = target.host, target.port
        if target.transport == "udp":
            return UdpFlow(self, remote)
        found = self._connections.get(target)
        if found is None or found.closed:
            found = StreamFlow(self, target.transport, remote)
            found.target = target
            self._connections[target] = found
            ours = self._bound(target)
            if self.ports[target.transport] == 0:
                found.port = ours.getsockname()[1]
            task = asyncio.get_running_loop().create_task(self._connect(found, target, ours))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return found

    def accepted(self, transport: str, remote: tuple[str, int]) -> Flow | None:
        """Return the way back to a remote end that came to us, ``None`` where its connection is no more."""
        if transport == "udp":
            return UdpFlow(self, remote)
        found = self._accepted.get((transport, remote))
        if found is not None and not found.closed:
            return found
        return next((one for target, one in self._connections.items() if one.remote == remote and not one.closed), None)

    def hop(self, uri: Uri | None, base: Flow) -> Flow:
        """Return the way toward the next hop of a dialog, which began on ``base``; ``None``: the same end.

        Names, and private addresses told by a public peer (NAT), stay with the end that is known to work. A connection
        of ours that has ended is made again; for one that came to us, the address of the URI is tried.
        """
        if isinstance(base, StreamFlow) and base.closed and base.target is not None:
            base = self.flow(base.target)
        usable = not isinstance(base, StreamFlow) or not base.closed
        if uri is None or not _is_ip(uri.host):
            return base
        transport = uri.transport or base.transport
        if transport not in PORTS:
            return base
        port = uri.port or PORTS[transport]
        if usable:
            same = (uri.host, port) == base.remote or (transport != "udp" and uri.host == base.remote[0])
            if (transport == base.transport and same) or transport == "tls":
                return base
            if is_private(uri.host) and not is_private(base.remote[0]):
                return base
        return self.flow(Target(transport, uri.host, port))

    def local(self, remote: str, transport: str) -> tuple[str, int]:
        """Return our address as ``remote`` should use it."""
        port = self.ports[transport]
        external = self._settings.external_address
        if external and not is_private(remote):
            return external, port
        bound = self._settings.address
        if not ipaddress.ip_address(bound).is_unspecified:
            return bound, port
        known = self._locals.get(remote)
        if known is None:
            known = self._locals[remote] = _local_toward(remote)
            if len(self._locals) > _LOCALS:
                self._locals.popitem(last=False)
        return known, port

    def _bound(self, target: Target) -> socket.socket:
        """Return a socket with its local port known, for that is our address where nothing listens for others."""
        made = socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)  # noqa: FBT003  the function's only parameter
        with contextlib.suppress(OSError):  # connecting binds, too
            made.bind((self._settings.address, 0))
        return made

    async def _connect(self, flow: StreamFlow, target: Target, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            tls: dict[str, Any] = {}
            if target.transport == "tls":
                tls = {"ssl": self._context(target.ca), "server_hostname": target.name or target.host}
            async with asyncio.timeout(_CONNECTING):
                await loop.sock_connect(ours, (target.host, target.port))
                await loop.create_connection(lambda: flow, sock=ours, **tls)
        except (OSError, TimeoutError, ValueError) as fault:
            flow.failed(_words(fault, target))
        finally:
            if flow.closed:
                ours.close()

    def _context(self, ca: str) -> ssl.SSLContext:
        if ca not in self._contexts:
            self._contexts[ca] = ssl.create_default_context(cafile=ca or None)
        return self._contexts[ca]

    def joined(self, flow: StreamFlow) -> bool:
        """Take an accepted connection; returns whether there is room for it."""
        source = flow.remote[0]
        if len(self._accepted) >= _MOST_CONNECTIONS:
            stranger = next((one for one in self._accepted.values() if not one.trusted), None)
            if stranger is None:
                return False
            stranger.shut()  # the oldest of nobody we know makes room
        if sum(1 for _, remote in self._accepted if remote[0] == source) >= _MOST_OF_A_SOURCE:
            return False
        self._accepted[flow.transport, flow.remote] = flow
        return True

    def left(self, flow: StreamFlow, reason: str) -> None:
        """Forget a connection and tell who waits for answers by it."""
        if self._accepted.get((flow.transport, flow.remote)) is flow:
            del self._accepted[flow.transport, flow.remote]
        for target in [one for one, known in self._connections.items() if known is flow]:
            del self._connections[target]
        self.broken(flow, reason)


class UdpFlow:
    """The UDP socket and one remote address."""

    transport = "udp"
    reliable = False
    __slots__ = ("_wires", "remote")

    def __init__(self, wires: Wires, remote: tuple[str, int]) -> None:
        self._wires, self.remote = wires, remote

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UdpFlow) and other.remote == self.remote and other._wires is self._wires

    def __hash__(self) -> int:
        return hash(self.remote)

    @property
    def local(self) -> tuple[str, int]:
        """Return our address as it should be used."""
        return self._wires.local(self.remote[0], "udp")

    def send_to(self, data: str | bytes, address: object) -> None:
        """Send to the port that Via names, never to another host (RFC 3581 4)."""
        remote = self.remote
        if isinstance(address, tuple) and address[0] == remote[0]:
            remote = address
        self._wires.send_datagram(encoded(data), remote)

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:  # noqa: N802  the library's name
        """Return what stands for us in Via."""
        host, port = self.local
        return (bracketed(host), port), "udp"


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._wires.receive(data, UdpFlow(self._wires, (addr[0].removeprefix(_MAPPED), addr[1])))


def is_private(host: str) -> bool:
    """Return whether an address is of a network without the Internet's routing (RFC 1918, loopback, ...)."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _local_toward(remote: str) -> str:
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote, 5060))
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        return str(probe.getsockname()[0])


def _words(fault: BaseException, target: Target) -> str:
    where = f"{target.host}:{target.port}"
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the certificate of {where} was not accepted: {fault.verify_message}"
    if isinstance(fault, TimeoutError):
        return f"no connection to {where} within {_CONNECTING:.0f} s"
    return f"no connection to {where}: {in_short(fault)}"
