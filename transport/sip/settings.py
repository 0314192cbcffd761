"""What a line needs to know to speak SIP, as ``faxrelay.yaml`` gives it (``lines.sip``)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

_PORTS_OF_A_CALL = 4


class BadSettings(Exception):
    """The settings of the SIP line cannot be used; the sentence says which and what to do."""


@dataclass(frozen=True, slots=True)
class SipSettings:
    """Sockets, media and limits of a SIP line.

    ``address``: what to listen on, ``0.0.0.0`` for every address. ``port``: UDP and TCP, 0: any free one (tests).
    ``tls_port``: 0: no TLS from outside. ``certificate`` and ``key``: PEM files of it. ``external_address``: our IP
    address as the far side sees it, empty: the local one. ``media_ports``: the first and the last UDP port for media;
    a call takes four. ``whitelist``: networks (CIDR) that are never banned. ``failures``: wrong passwords and unknown
    numbers from one source within ``window`` seconds that lead to a ban of ``ban_seconds``, doubled each time up to
    ``longest_ban``. ``state``: folder for what outlives a restart (devices' registrations), empty: nothing does.
    """

    address: str = "0.0.0.0"  # noqa: S104  trunks and devices call in
    port: int = 5060
    tls_port: int = 0
    certificate: str = ""
    key: str = ""
    external_address: str = ""
    media_ports: tuple[int, int] = (30000, 30999)
    whitelist: tuple[str, ...] = field(default=())
    failures: int = 8
    window: float = 120.0
    ban_seconds: float = 300.0
    longest_ban: float = 86400.0
    state: str = ""

    def checked(self) -> SipSettings:
        """Return the settings with plain tuples; raises :class:`BadSettings`."""
        for name, address in (("address", self.address), ("external_address", self.external_address)):
            if address and not _is_address(address):
                raise BadSettings(f"lines.sip.{name}: {address!r} is no IP address; write it as numbers")
        for network in self.whitelist:
            if not _is_network(network):
                raise BadSettings(f"lines.sip.trusted: {network!r} is no network; write it as 192.0.2.0/24")
        first, last = self.media_ports
        if last - first < _PORTS_OF_A_CALL:
            raise BadSettings("lines.sip.media_last must be at least 4 above media_first: a call takes four ports")
        if self.tls_port and not (self.certificate and self.key):
            raise BadSettings("lines.sip.tls_port needs certificate and key; name their PEM files, or leave it out")
        values = {name: getattr(self, name) for name in self.__slots__}
        return SipSettings(**values | {"media_ports": (first, last), "whitelist": tuple(self.whitelist)})


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
