"""What hostile code would try inside a confinement, so that ``faxrelay doctor`` and the tests can see it fail.

Each function is an entry of a confined child (:mod:`relay.nursery`): it gets one request and answers what it reached.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.channel import Channel

_STEP = 64 * 1024 * 1024


def reach(channel: Channel, _fds: list[int]) -> None:
    """Try to read the file ``path``, to connect to ``host``:``port``, to write ``path``, to reach its parent, to fork.

    The answer's keys are the attempts, the values whether each succeeded.
    """
    request = _request(channel)
    channel.send(
        {
            "read": _succeeds(lambda: Path(request["path"]).read_bytes()),
            "write": _succeeds(lambda: Path(request["path"]).write_bytes(b"was here")),
            "connect": _succeeds(lambda: socket.create_connection((request["host"], request["port"]), 3).close()),
            "signal": _succeeds(lambda: os.kill(os.getppid(), 0)),
            "steal": _succeeds(lambda: os.pidfd_open(os.getppid())),
            "fork": _succeeds(_fork),
        }
    )


def swallow(channel: Channel, _fds: list[int]) -> None:
    """Take memory until it is refused; answer how many bytes that were."""
    _request(channel)
    taken: list[bytearray] = []
    try:
        while True:
            taken.append(bytearray(_STEP))
    except MemoryError:
        count = len(taken)
        taken.clear()
        channel.send({"bytes": count * _STEP})


def linger(channel: Channel, _fds: list[int]) -> None:
    """Answer, then never end."""
    channel.send({"pid": os.getpid()})
    while True:
        time.sleep(1)


def hang(channel: Channel, _fds: list[int]) -> None:
    """Take the request and never answer."""
    _request(channel)
    while True:
        time.sleep(1)


def tell(channel: Channel, _fds: list[int]) -> None:
    """Answer who it is."""
    _request(channel)
    channel.send({"pid": os.getpid()})


def babble(channel: Channel, _fds: list[int]) -> None:
    """Break the channel's rules: send what is no JSON."""
    os.write(channel.fileno(), b"\xff\xfe")
    time.sleep(60)


def use_descriptor(channel: Channel, _fds: list[int]) -> None:
    """Write into the descriptor that came with the request: the one way out that a child has."""
    received = channel.receive()
    if received is not None:
        os.write(received[1][0], b"written inside")
        channel.send({})


def _request(channel: Channel) -> dict[str, Any]:
    received = channel.receive()
    return received[0] if received is not None else {}


def _succeeds(attempt: Any) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)
