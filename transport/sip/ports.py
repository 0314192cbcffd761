"""UDP ports for media: RTP on an even port p, UDPTL on p + 2, for peers send RTCP to p + 1 (RFC 3550 11)."""

from __future__ import annotations

import socket

STEP = 4


class NoPort(Exception):
    """Every media port is in use."""


class MediaPair:
    """The two sockets of one call, opened when they are needed."""

    def __init__(self, ports: MediaPorts) -> None:
        self._ports = ports
        self._sockets: list[socket.socket] = []

    def numbers(self) -> tuple[int, int]:
        """Return the ports of RTP and UDPTL; raises :class:`NoPort`."""
        if not self._sockets:
            self._sockets = list(self._ports.take())
        rtp, udptl = (int(one.getsockname()[1]) for one in self._sockets)
        return rtp, udptl

    def detach(self) -> tuple[int, ...]:
        """Give the descriptors away; none where they were not opened, or given away before."""
        taken = tuple(one.detach() for one in self._sockets)
        self._sockets.clear()
        return taken

    def close(self) -> None:
        """Close what was not given away."""
        for one in self._sockets:
            one.close()
        self._sockets.clear()


class MediaPorts:
    """A range of ports, used round robin so that a late packet of a call does not meet the next one."""

    def __init__(self, address: str, first: int, last: int) -> None:
        self._address = address
        self._first = first + first % 2
        self._count = (last - self._first + 1) // STEP or 1
        self._at = 0

    def take(self) -> tuple[socket.socket, socket.socket]:
        """Return two bound sockets, RTP's and UDPTL's; raises :class:`NoPort`."""
        for _ in range(self._count):
            port = self._first + self._at * STEP
            self._at = (self._at + 1) % self._count
            rtp = self._bound(port)
            if rtp is None:
                continue
            udptl = self._bound(port + 2)
            if udptl is not None:
                return rtp, udptl
            rtp.close()
        raise NoPort(
            f"all media ports from {self._first} on are in use ({self._count} calls); widen lines.sip.media_last"
        )

    def _bound(self, port: int) -> socket.socket | None:
        made = socket.socket(socket.AF_INET6 if ":" in self._address else socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)  # noqa: FBT003  the function's only parameter
        try:
            made.bind((self._address, port))
        except OSError:
            made.close()
            return None
        return made
