"""A line of real SIP on loopback, and the peers that the tests put before it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay.confine import Sandbox
from relay.line import LineSettings
from transport.accounts import DeviceAccount, TrunkAccount
from transport.client import ProcessLine
from transport.seam import (
    Answered,
    Arrival,
    Arrived,
    CallEvent,
    CallRequest,
    CallResult,
    LineTable,
)  # fmt: skip

from .peers import LOOPBACK, Ports, Sipp, start_sipp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DOCUMENT = Path(__file__).resolve().parents[2] / "data" / "faxes" / "three-pages.tif"
OURS, ALSO_OURS = "+97231234567", "+97237654321"
THEIRS = "+12025550123"
USERNAME, PASSWORD = "relay", "s3cret"
_MEDIA = 200  # ports of one line: fifty calls


@dataclass
class SipOffice:
    """A line in a folder of its own with the SIP port ``port``, and what came of its calls."""

    line: ProcessLine
    folder: Path
    port: int
    tls_port: int
    media: range
    ports: Ports
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    peers: list[Sipp] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def address(self) -> str:
        """Where peers reach the line."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log(self) -> str:
        """What the line's process wrote."""
        return (self.folder / "log").read_text(errors="replace")

    async def publish(
        self,
        *trunks: TrunkAccount,
        devices: tuple[DeviceAccount, ...] = (),
        numbers: tuple[str, ...] = (OURS, ALSO_OURS),
        inbound_channels: dict[str, int] | None = None,
    ) -> None:
        """Give the line its table; the line obeys before it hears of any later call or question."""
        await self.line.publish(LineTable(frozenset(numbers), inbound_channels or {}, trunks, devices))
        await self.line.ask("status")

    def request(self, **changes: Any) -> CallRequest:
        """Describe a call that sends the document by the trunk ``carrier``."""
        name = f"call-{next(self._numbers)}"
        return replace(CallRequest(name, "carrier", THEIRS, OURS, OURS, DOCUMENT, 3), **changes)

    async def call(
        self, *, cancel_at: type[CallEvent] | None = None, **changes: Any
    ) -> tuple[CallResult, list[CallEvent]]:
        """Make a call; return its end and what was told of it. ``cancel_at``: hang up when this is told."""
        events: list[CallEvent] = []
        request = self.request(**changes)
        cancelling: list[asyncio.Task[None]] = []

        def happened(event: CallEvent) -> None:
            events.append(event)
            if cancel_at is not None and isinstance(event, cancel_at):
                cancelling.append(asyncio.create_task(self.line.cancel(request.call)))

        result = await asyncio.wait_for(self.line.send(request, happened), 90)
        await asyncio.gather(*cancelling)
        return result, events

    async def calling(self, **changes: Any) -> tuple[str, asyncio.Task[CallResult]]:
        """Make a call and return its name and its end to come once it is answered."""
        answered = asyncio.Event()
        request = self.request(**changes)
        task = asyncio.create_task(
            self.line.send(request, lambda event: answered.set() if isinstance(event, Answered) else None)
        )
        await asyncio.wait_for(answered.wait(), 10)
        return request.call, task

    async def arrived(self, seconds: float = 20) -> list[Arrival]:
        """Return what comes in until the next call has ended."""
        found = []
        async with asyncio.timeout(seconds):
            async for arrival in self.line.arrivals():
                found.append(arrival)
                if isinstance(arrival, Arrived):
                    break
        return found

    async def sipp(self, name: str, *, calls_us: bool = False, port: int | None = None, **options: Any) -> Sipp:
        """Start a scenario; ``calls_us``: it calls the line."""
        folder = self.folder / f"{next(self._numbers)}-{name.replace('/', '-')}"
        if calls_us:
            options.setdefault("target", self.address)
        peer = await start_sipp(name, folder, port if port is not None else self.ports.block(), **options)
        self.peers.append(peer)
        return peer

    async def at_rest(self, seconds: float = 5) -> None:
        """Fail unless the line soon has no call left, has given back every media port, and wrote of no fault."""
        ending = asyncio.get_running_loop().time() + seconds
        while left := await self._left():
            assert asyncio.get_running_loop().time() < ending, left
            await asyncio.sleep(0.05)
        assert not any(fault in self.log for fault in ("Traceback", "a fault of ours")), self.log[-4000:]

    async def status(self, kind: str, name: str) -> dict[str, Any]:
        """Return what the line says of one of its ``trunks`` or ``devices``."""
        known: list[dict[str, Any]] = (await self.line.ask("status"))[kind]
        return next(one for one in known if one["name"] == name)

    async def _left(self) -> list[str]:
        status = await self.line.ask("status")
        calls = [
            f"{one['name']}: {one['calls']} calls" for one in [*status["trunks"], *status["devices"]] if one["calls"]
        ]
        rows = Path("/proc/net/udp").read_text().splitlines()[1:]
        bound = {int(row.split()[1].rpartition(":")[2], 16) for row in rows}
        return calls + [f"port {port}" for port in self.media[:-1] if port in bound]  # the last is the tests' own


def carrier(port: int, **changes: Any) -> TrunkAccount:
    """Describe the trunk ``carrier`` on a loopback port."""
    account = TrunkAccount(
        "carrier", LOOPBACK, port, username=USERNAME, password=PASSWORD, options_seconds=0, channels=4
    )  # fmt: skip
    return replace(account, **changes)


@contextlib.asynccontextmanager
async def sip_office(
    folder: Path, *, ring_seconds: float = 20.0, own_tls: bool = False, hosts: str = "", **sip: Any
) -> AsyncIterator[SipOffice]:
    """Start a line of SIP; ``sip`` are fields of :class:`transport.sip.settings.SipSettings`.

    ``own_tls``: it listens for TLS, too, with the certificate that ``sip`` names. ``hosts``: the line sees this text as
    the machine's ``/etc/hosts``.
    """
    journals, state = folder / "journals", folder / "state"
    for made in (journals, state):
        made.mkdir(parents=True, exist_ok=True)
    ports, media_ports = Ports(), Ports(14000, 20000, _MEDIA)  # below what the kernel gives to others
    first = media_ports.block()
    port = ports.block()
    wanted = {
        "address": LOOPBACK, "port": port, "tls_port": port + 1 if own_tls else 0,
        "media_ports": (first, first + _MEDIA - 2), "state": str(state),
        "whitelist": (f"{LOOPBACK}/32",), **sip,
    }  # fmt: skip
    sandbox = Sandbox.BUBBLEWRAP
    seen: list[str] = []
    if hosts:
        (folder / "hosts").write_text(hosts)
        seen = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(folder / "hosts"), "/etc/hosts", "--die-with-parent"]
        sandbox = Sandbox.CONTAINER  # it is in one
    settings = LineSettings("sip", 0, str(journals), ring_seconds=ring_seconds, sandbox=sandbox.value, sip=wanted)
    processes: list[asyncio.subprocess.Process] = []

    async def begin(descriptor: int) -> asyncio.subprocess.Process:
        """Start the line as main does, but keep its words in a file."""
        with (folder / "log").open("ab") as log:
            processes.append(
                await asyncio.create_subprocess_exec(
                    *seen, sys.executable, "-P", "-m", "relay.line", str(descriptor), json.dumps(asdict(settings)),
                    pass_fds=(descriptor,), stdin=asyncio.subprocess.DEVNULL, stderr=log,
                )
            )  # fmt: skip
        return processes[-1]

    line = ProcessLine("sip", {}, journals, begin, simulated=False)
    office = SipOffice(line, folder, port, port + 1, range(first, first + _MEDIA), ports, processes)
    await line.start()
    try:
        yield office
    finally:
        for peer in office.peers:
            await peer.stop()
        await line.close()
        ports.close()
        media_ports.close()
