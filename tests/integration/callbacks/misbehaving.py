"""A receiver that answers as it is told, well or badly, and notes what it got."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MIB = 1024 * 1024


@dataclass(slots=True)
class Receiver:
    """``behaviour``: how the next request is answered; ``detail``: what belongs to it."""

    behaviour: str
    detail: str = ""
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0
    port: int = 0
    open_now: int = 0
    most_open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        self.open_now -= 1
        writer.close()

    async def _one(  # noqa: C901, PLR0912  a behaviour each
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if self.behaviour == "not tls":
            await reader.read(10)
            writer.write(b"220 mail.example.com ESMTP\r\n")
            await writer.drain()
            return False
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        self.requests.append(head + await reader.readexactly(length))
        match self.behaviour:
            case "ok":
                writer.write(_answer(200, self.detail or "thank you"))
            case "later":
                await asyncio.sleep(float(self.detail))
                writer.write(_answer(200, ""))
            case "status":
                status, _, more = self.detail.partition(" ")
                writer.write(_answer(int(status), "told", more))
            case "redirect":
                writer.write(_answer(302, "", f"Location: {self.detail}"))
            case "hang":
                await asyncio.sleep(3600)
            case "huge":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
                for _ in range(100):
                    writer.write(b"x" * _MIB)
                    await writer.drain()
                    self.sent += _MIB
            case "huge head":
                writer.write(b"HTTP/1.1 200 OK\r\n")
                for _ in range(100):
                    writer.write(b"X-Filler: " + b"x" * _MIB + b"\r\n")
                    await writer.drain()
                    self.sent += _MIB
            case "half":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
                await writer.drain()
                return False
            case "slowly":
                for byte in _answer(200, "x" * 1000):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.05)
            case "endless 1xx":
                while True:
                    writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                    await writer.drain()
            case "nothing":
                return False
            case "garbage":
                writer.write(b"\x00\xff\x00 <script>alert(1)</script>\r\n\r\n")
                await writer.drain()
                return False
        await writer.drain()
        return True


def _answer(status: int, body: str, header: str = "") -> bytes:
    more = f"{header}\r\n" if header else ""
    return f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode()


@contextlib.asynccontextmanager
async def receiver(
    behaviour: str, detail: str = "", *, port: int = 0, context: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Receive on a port of loopback."""
    there = Receiver(behaviour, detail)
    server = await asyncio.start_server(there.serve, "127.0.0.1", port, ssl=context, limit=_MIB)
    there.port = server.sockets[0].getsockname()[1]
    try:
        yield there
    finally:
        server.close()


def bodies(there: Receiver) -> list[dict[str, Any]]:
    """Return what a receiver got, as JSON."""
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in there.requests]
