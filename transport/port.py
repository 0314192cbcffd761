"""One bound UDP socket of a call: where we send, and whom we hear.

The address in the far end's SDP is a promise that NAT breaks. So we send there, and stay with the first source from
which media come (symmetric RTP, RFC 4961; hidden NAT traversal). Who may be that source:

* the promised address itself, or its host from another port: at once;
* anybody, at once, if the promised address is no public one, for nothing can come from there;
* another host, if the promised address is public, with :data:`PROBATION` datagrams in a row.

From then on the socket is connected: the kernel drops what comes from elsewhere, and sending costs less. A new promise
(a re-INVITE) begins afresh.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Datagrams that a host which nobody promised must send before it is heard.
PROBATION = 3
#: Datagrams that are read at once; a flood does not stop the other calls of a worker.
MAX_AT_ONCE = 64
_SIZE = 2048
_MAPPED = "::ffff:"
_UNSPECIFIED = bytes(16)  # a sockaddr of AF_UNSPEC takes a connection back: connect(2)


class Port:
    """Takes over a descriptor, of a socket that was bound by number.

    One that was bound to port 0 loses its port when its connection is taken back (Linux, udp_disconnect).
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)  # noqa: FBT003  its only parameter
        self._receive, self._send = self._socket.recv, self._socket.send
        self._promised: tuple[str, int] | None = None
        self._open = False  # the promised address cannot be seen from here
        self._peer: tuple[str, int] | None = None
        self._settled = False  # connected, and what came before that is read
        self._candidate: tuple[str, int] | None = None
        self._came = 0
        self.strange = 0  #: datagrams that were no media of this call, or not from its far end
        self.unsent = 0
        #: A sentence when the source of the media was found; for who reads it to empty.
        self.news = ""

    def aim(self, host: str, port: int) -> None:
        """Send to an address from now on, and hear who answers from there."""
        if self._promised == (host, port):
            return
        self._promised = (host, port)
        try:
            self._open = not ipaddress.ip_address(host).is_global
        except ValueError:  # a name, which nobody resolves here
            self._open = True
        if self._peer is not None:
            self._disconnect()
        self._peer = self._candidate = None
        self._settled = False

    def hear(self, accepts: Callable[[bytes], bool], most: int = MAX_AT_ONCE) -> list[bytes]:
        """Return what has come from the far end; ``accepts`` tells media from other datagrams."""
        if not self._settled:
            return self._meet(accepts)
        heard: list[bytes] = []
        receive = self._receive
        for _ in range(min(most, MAX_AT_ONCE)):
            try:
                heard.append(receive(_SIZE))
            except BlockingIOError:
                break
            except OSError:  # an ICMP message: there is nobody just now
                self.unsent += 1
        return heard

    def say(self, datagram: bytes) -> None:
        """Send a datagram; one that cannot be sent is one that the network lost."""
        try:
            if self._peer is not None:
                self._send(datagram)
            elif self._promised is not None and self._promised[1]:
                self._socket.sendto(datagram, self._address(*self._promised))
        except (OSError, OverflowError):
            self.unsent += 1

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def _meet(self, accepts: Callable[[bytes], bool]) -> list[bytes]:
        """Hear who is there; stay with the first that may be the far end."""
        heard: list[bytes] = []
        for _ in range(MAX_AT_ONCE):
            try:
                datagram, source = self._socket.recvfrom(_SIZE)
            except BlockingIOError:
                self._settled = self._peer is not None
                break
            except OSError:
                self.unsent += 1
                continue
            if self._is_far_end(source, accepts, datagram):
                heard.append(datagram)
            else:
                self.strange += 1
        return heard

    def _is_far_end(self, source: tuple[str, int], accepts: Callable[[bytes], bool], datagram: bytes) -> bool:
        known = _plain(source)
        if self._peer is not None:
            return known == self._peer
        if not accepts(datagram) or not self._admits(known):
            return False
        try:
            self._socket.connect(source)
        except OSError:
            return False
        self._peer = known
        moved = "" if known == self._promised else " (not where its SDP says: a NAT, or a relay of media)"
        self.news = f"media come from {known[0]} port {known[1]}{moved}"
        return True

    def _admits(self, source: tuple[str, int]) -> bool:
        if self._promised is None:
            return False
        if self._open or source[0] == self._promised[0]:
            return True
        self._came = self._came + 1 if source == self._candidate else 1
        self._candidate = source
        return self._came >= PROBATION

    def _address(self, host: str, port: int) -> tuple[str, int]:
        return (_MAPPED + host if self._socket.family == socket.AF_INET6 and ":" not in host else host, port)

    def _disconnect(self) -> None:
        ctypes.CDLL(None).connect(self._socket.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))


def _plain(source: tuple[str, int]) -> tuple[str, int]:
    """Return host and port; an IPv4 host as such, though it came to a socket of IPv6."""
    return source[0].removeprefix(_MAPPED), source[1]
