"""Whole SIP networks on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import subprocess
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from transport.accounts import TrunkAccount
from transport.network import Incoming, Leg, Signal
from transport.seam import CallRequest, LineTable
from transport.sip.network import SipNetwork
from transport.sip.settings import SipSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

LOOPBACK = "127.0.0.1"
OURS, THEIRS = "+12025550100", "+12025550123"
_media = itertools.count(20000 + random.Random().randrange(100) * 80, 40)


@dataclass
class Office:
    """A network, the calls that came in to it, and one that looks after it."""

    network: SipNetwork
    came: asyncio.Queue[Incoming] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Return its port of UDP and TCP."""
        return self.network.port

    def publish(self, *trunks: TrunkAccount, **more: Any) -> None:
        """Give it trunks, numbers and devices."""
        self.network.publish(LineTable(trunks=trunks, **{"numbers": frozenset({OURS, THEIRS}), **more}))

    def dial(self, trunk: str = "peer", **changes: Any) -> Leg:
        """Call."""
        from pathlib import Path

        return self.network.dial(replace(CallRequest("call-1", trunk, THEIRS, OURS, "x", Path("/x"), 1), **changes))

    async def incoming(self) -> Incoming:
        """Return the next call that comes in."""
        return await asyncio.wait_for(self.came.get(), 5)

    async def status(self, kind: str, name: str) -> dict[str, Any]:
        """Return what it says of a trunk or device."""
        return next(one for one in (await self.network.ask("status", ""))[kind] if one["name"] == name)


async def signal(leg: Leg) -> Signal:
    """Return what is said next."""
    return await asyncio.wait_for(leg.signal(), 10)


async def until(true: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def office(**settings: Any) -> AsyncIterator[Office]:
    """Open a network on loopback."""
    first = next(_media)
    wanted = {"address": LOOPBACK, "port": 0, "media_ports": (first, first + 39), **settings}
    made = Office(SipNetwork(SipSettings(**wanted)))
    made.task = asyncio.create_task(made.network.run(made.came.put_nowait))
    await asyncio.wait_for(made.network.up.wait(), 30)
    try:
        yield made
    finally:
        made.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await made.task


@pytest.fixture
async def two() -> AsyncIterator[tuple[Office, Office]]:
    """Two networks."""
    async with office() as near, office() as far:
        yield near, far


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of ``localhost`` and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
            "-out", str(paths[0]), "-keyout", str(paths[1]),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths
