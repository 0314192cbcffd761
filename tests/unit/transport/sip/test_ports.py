"""Media ports and settings."""

from __future__ import annotations

import socket

import pytest

from transport.sip.ports import MediaPorts, NoPort
from transport.sip.settings import BadSettings, SipSettings


def _free() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1]) // 4 * 4


def test_a_call_has_an_even_port_and_the_next_but_one() -> None:
    """Lost otherwise: T.38 gets the far side's RTCP (RFC 3550 11)."""
    first = _free()
    ports = MediaPorts("127.0.0.1", first, first + 11)
    taken = [ports.take(), ports.take()]
    for rtp, udptl in taken:
        assert rtp.getsockname()[1] % 2 == 0
        assert udptl.getsockname()[1] == rtp.getsockname()[1] + 2
    for pair in taken:
        for one in pair:
            one.close()


def test_a_range_in_use_says_so_and_is_used_again() -> None:
    """Lost otherwise: a call waits for ever where there is no port, or ports are lost for good."""
    first = _free()
    ports = MediaPorts("127.0.0.1", first, first + 3)
    pair = ports.take()
    with pytest.raises(NoPort, match="media_last"):
        ports.take()
    for one in pair:
        one.close()
    for one in ports.take():
        one.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"address": "nowhere"}, "lines.sip.address"),
        ({"external_address": "fax.test"}, "external_address"),
        ({"whitelist": ("office",)}, "lines.sip.trusted"),
        ({"media_ports": (30000, 30001)}, "media_last"),
        ({"tls_port": 5061}, "certificate"),
    ],
)
def test_settings_that_cannot_be_used_are_named(changes: dict[str, object], says: str) -> None:
    """Lost otherwise: the line starts and no call works, and nobody knows why."""
    with pytest.raises(BadSettings, match=says):
        SipSettings(**changes).checked()  # type: ignore[arg-type]
