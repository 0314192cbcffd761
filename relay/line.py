"""The entry of a line process: ``python -m relay.line DESCRIPTOR SETTINGS``.

Builds the sandbox and the network and runs the line. Started by main with one end of a link and the line's settings as
JSON (:class:`LineSettings`). It ends when main closes the link; when main is killed, the kernel kills it too, and what
it left on the network is its successor's (:mod:`transport.sip.remains`).
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay.confine import Confinement, Sandbox
from transport.calls import RINGING, Premises
from transport.line import LineProcess
from transport.link import Link
from transport.messages import decode
from transport.simulated.network import SimulatedNetwork, UnknownBehaviour
from transport.sip.settings import BadSettings, SipSettings
from transport.spandsp import LibraryMissing, library
from transport.workers import Workers

if TYPE_CHECKING:
    from transport.sip.network import SipNetwork

_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What a line process needs to know.

    ``exchange``: socket of a simulated network that runs elsewhere. ``sip``: the fields of
    :class:`transport.sip.settings.SipSettings`, for a line of real telephone trunks in its place.
    """

    name: str
    channels: int
    journals: str
    ring_seconds: float = RINGING
    sandbox: str = Sandbox.BUBBLEWRAP.value
    real_time: bool = False
    exchange: str | None = None
    behaviours: dict[str, str] = field(default_factory=dict)
    sip: dict[str, Any] | None = None
    calls_per_worker: int = 8


async def start(descriptor: int, settings: LineSettings) -> asyncio.subprocess.Process:
    """Start a line process on its end of a link: what :class:`transport.client.ProcessLine` asks for."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "relay.line", str(descriptor), json.dumps(asdict(settings)),
        pass_fds=(descriptor,), stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


def main(arguments: list[str]) -> None:
    """Run until main is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C goes to the whole group: main decides
    asyncio.run(_serve(int(arguments[0]), LineSettings(**json.loads(arguments[1]))))


async def _serve(descriptor: int, settings: LineSettings) -> None:
    os.set_inheritable(descriptor, False)  # noqa: FBT003  the function's only parameter
    link = Link.of_descriptor(descriptor)
    try:
        library()
        network = _network(settings)
    except (BadSettings, LibraryMissing, UnknownBehaviour) as fault:
        link.post({"say": "broken", "reason": str(fault)})
        link.close()
        return
    confinement = _confinement(settings)
    solo = (lambda: _confinement(settings)) if settings.sip is not None else None
    workers = Workers(confinement, solo, calls_per_worker=settings.calls_per_worker)
    try:
        await LineProcess(link, Premises(network, workers, Path(settings.journals), settings.ring_seconds)).run(
            network.up
        )
    finally:
        await workers.close()
        await confinement.close()


def _confinement(settings: LineSettings) -> Confinement:
    return Confinement(Sandbox(settings.sandbox), ["transport.worker"])


def _network(settings: LineSettings) -> SimulatedNetwork | SipNetwork:
    if settings.sip is not None:
        from transport.sip.network import SipNetwork  # noqa: PLC0415  a simulated line does without the SIP library

        return SipNetwork(decode(SipSettings, settings.sip))
    exchange = Path(settings.exchange) if settings.exchange is not None else None
    return SimulatedNetwork(exchange, settings.behaviours, real_time=settings.real_time, channels=settings.channels)


if __name__ == "__main__":
    main(sys.argv[1:])
