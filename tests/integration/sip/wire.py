"""A bare UDP socket that says SIP word by word: what sipp cannot say (SHA-256, nonsense), and what it cannot miss."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import socket
from typing import TYPE_CHECKING

from .peers import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AUDIO = (
    "v=0\r\no=wire 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
)


class Wire:
    """One socket to the line. Messages are text with CRLF, or bytes as they are."""

    def __init__(self, port: int, address: str = LOOPBACK) -> None:
        """``port`` of the line; ``address``: of ours, any of 127.0.0.0/8."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((address, 0))
        self._target = (LOOPBACK, port)
        self.address = address
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, message: str | bytes) -> None:
        """Send a datagram."""
        self._socket.sendto(message.encode() if isinstance(message, str) else message, self._target)

    async def receive(self, seconds: float = 2.0) -> str | None:
        """Return the next datagram, ``None`` where none comes."""
        loop = asyncio.get_running_loop()
        try:
            data = await asyncio.wait_for(loop.sock_recv(self._socket, 65535), seconds)
        except TimeoutError:
            return None
        return data.decode(errors="replace")

    async def final(self, message: str | bytes, seconds: float = 2.0) -> str | None:
        """Send a request; return the final response, ``None`` where none comes."""
        self.send(message)
        ending = asyncio.get_running_loop().time() + seconds
        while (left := ending - asyncio.get_running_loop().time()) > 0:
            answer = await self.receive(left)
            if answer is None or not answer.startswith("SIP/2.0 1"):
                return answer
        return None

    def request(
        self, method: str, uri: str, *, headers: Mapping[str, str] | None = None, body: str = "", number: int = 1
    ) -> str:
        """Return a request; ``headers`` replace those that are usual, an empty value leaves one out."""
        usual = {
            "Via": f"SIP/2.0/UDP {self.address}:{self.port};rport;branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards": "70", "From": f"<sip:wire@{self.address}>;tag={secrets.token_hex(4)}", "To": f"<{uri}>",
            "Call-ID": secrets.token_hex(8), "CSeq": f"{number} {method}",
            "Contact": f"<sip:wire@{self.address}:{self.port}>",
            **({"Content-Type": "application/sdp"} if body else {}), "Content-Length": str(len(body)),
            **(headers or {}),
        }  # fmt: skip
        lines = [f"{method} {uri} SIP/2.0", *(f"{name}: {value}" for name, value in usual.items() if value), "", body]
        return "\r\n".join(lines)


@contextlib.contextmanager
def wire(port: int, address: str = LOOPBACK) -> Iterator[Wire]:
    """Open a socket to the line at ``port``."""
    opened = Wire(port, address)
    try:
        yield opened
    finally:
        opened.close()


def headers_of(message: str, name: str) -> list[str]:
    """Return the values of every header of a name."""
    head = message.partition("\r\n\r\n")[0]
    return re.findall(rf"^{name}[ \t]*:[ \t]*(.*?)\r?$", head, re.MULTILINE | re.IGNORECASE)


def digest(challenge: str, method: str, uri: str, username: str, password: str) -> str:
    """Answer a challenge that has qop=auth (RFC 7616 3.4)."""
    found: list[tuple[str, str, str]] = re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', challenge)
    value = {name: quoted or plain for name, quoted, plain in found}
    algorithm = value.get("algorithm", "MD5")

    def h(text: str) -> str:
        return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()

    cnonce = secrets.token_hex(8)
    who = h(f"{username}:{value['realm']}:{password}")
    response = h(f"{who}:{value['nonce']}:00000001:{cnonce}:auth:{h(f'{method}:{uri}')}")
    return (
        f'Digest username="{username}", realm="{value["realm"]}", nonce="{value["nonce"]}", uri="{uri}", '
        f'algorithm={algorithm}, qop=auth, nc=00000001, cnonce="{cnonce}", response="{response}"'
        + (f', opaque="{value["opaque"]}"' if "opaque" in value else "")
    )
