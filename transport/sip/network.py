"""The way to the telephone network by SIP: trunks, devices, and who else knocks. See :class:`SipNetwork`."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transport.accounts import DEVICE
from transport.network import Incoming, Refused
from transport.seam import LineTable, T38Mode
from transport.sip import record, sdp
from transport.sip.calling import Premises, RefusedLeg, Traffic
from transport.sip.complaints import Complaints, say
from transport.sip.connections import Target, trust
from transport.sip.devices import Devices
from transport.sip.guard import Guard, Misdeed
from transport.sip.leg import SipLeg
from transport.sip.ports import MediaPorts
from transport.sip.remains import Remains
from transport.sip.resolver import DnsLookup, Lookup, Resolver
from transport.sip.stack import messages
from transport.sip.stack.dialogs import ALLOW
from transport.sip.stack.station import Asked, Station
from transport.sip.trunk import Trunk
from transport.sip.uri import BadAddress, parse_uri
from transport.sip.wires import Wires

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transport.network import Leg
    from transport.seam import CallRequest
    from transport.sip.settings import SipSettings
    from transport.sip.stack.invitations import Summons
    from transport.sip.stack.messages import Flow

_AGAIN = 5.0  # seconds between two tries to open the sockets
_FAREWELL = 0.3  # seconds for a registrar to challenge and hear that we leave
_PAUSE = 60.0  # seconds after a fault of ours in the keeping of a trunk


@dataclass(frozen=True, slots=True)
class _Open:
    """What exists while the sockets are open."""

    wires: Wires
    station: Station
    premises: Premises
    resolver: Resolver
    devices: Devices


class SipNetwork:
    """A line's SIP: one set of sockets, many trunks and devices. Lives in the loop that :meth:`run` is called in."""

    simulated = False

    def __init__(
        self, settings: SipSettings, *, lookup: Lookup | None = None, rng: random.Random | None = None
    ) -> None:
        self._settings = settings.checked()
        self._lookup = lookup
        self._rng = rng if rng is not None else random.SystemRandom()
        self._table = LineTable()
        self._trunks: dict[str, Trunk] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._legs: dict[str, SipLeg] = {}
        self._captures = record.Captures()
        self._guard = Guard(
            settings.failures, settings.window, settings.ban_seconds, settings.longest_ban, settings.whitelist
        )
        self._on_incoming: Callable[[Incoming], None] = lambda incoming: incoming.leg.refuse(
            480, "Temporarily Unavailable"
        )
        self._heard = ""
        self._complaints, self._listening = Complaints(), Complaints()
        self._open: _Open | None = None
        self.up = asyncio.Event()

    @property
    def port(self) -> int:
        """Return the port of UDP and TCP, once it is open."""
        return self._open.wires.ports["udp"] if self._open is not None else self._settings.port

    # what a line asks

    async def run(self, on_incoming: Callable[[Incoming], None]) -> None:
        """Open the sockets and serve until cancelled; a port that is taken is tried again."""
        self._on_incoming = on_incoming
        while not await self._opened():  # noqa: ASYNC110  a port is free some day, and says so to nobody
            await asyncio.sleep(_AGAIN)
        try:
            self.up.set()
            self._arrange()
            await asyncio.Event().wait()
        finally:
            self.up.clear()
            if sum(trunk.leave() for trunk in self._trunks.values()):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(_FAREWELL)
            self._closed()

    def publish(self, table: LineTable) -> None:
        """Take the trunks and devices; those that did not change go on as they are."""
        self._table = table
        if self._open is not None:
            self._arrange()

    def trunks(self) -> Mapping[str, int]:
        """Return how many calls each trunk and device carries at once."""
        return {one.name: one.channels for one in self._table.trunks} | {
            DEVICE + one.name: one.channels for one in self._table.devices
        }

    def dial(self, request: CallRequest) -> Leg:
        """Begin a call."""
        trunk = self._trunks.get(request.trunk)
        device = request.trunk.removeprefix(DEVICE)
        here = self._open
        if here is not None and trunk is not None:
            t38 = T38Mode.NEVER if trunk.account.t38 is T38Mode.NEVER else request.t38
            leg = self._leg(here, t38, trunk.account.codecs, trunk)
            leg.name = request.call
            leg.dial(trunk.plan(request))
        elif here is not None and request.trunk.startswith(DEVICE) and here.devices.known(device):
            entry = here.devices.entry(device)
            t38 = T38Mode.NEVER if entry.account.t38 is T38Mode.NEVER else request.t38
            leg = self._leg(here, t38, (8, 0), entry)
            leg.name = request.call
            leg.dial(here.devices.plan(device, request))
        else:
            why = "the SIP sockets are not open" if here is None else f"there is no trunk {request.trunk}"
            return RefusedLeg(Refused(None, why))
        return leg

    async def ask(self, question: str, name: str) -> dict[str, Any]:
        """Answer ``status``, ``test`` of a trunk, ``capture`` of a call."""
        match question:
            case "status":
                now = self._clock()
                devices = self._open.devices.status() if self._open is not None else []
                bans = [{"source": one.source, "seconds": one.seconds, "why": one.why} for one in self._guard.bans(now)]
                return {"trunks": [one.status() for one in self._trunks.values()], "devices": devices, "bans": bans}
            case "test" if name in self._trunks:
                return {"steps": await self._trunks[name].test()}
            case "capture":
                return {"messages": self._captures.of(name)}
            case _:
                return {}

    # opening and closing

    async def _opened(self) -> bool:
        loop = asyncio.get_running_loop()

        def later(seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
            return loop.call_later(seconds, self._timed, callback).cancel

        wires = Wires(self._settings, self._receive, self._broken)
        try:
            await wires.open()
        except OSError as fault:
            where = f"{self._settings.address}:{self._settings.port}"
            why = f"SIP cannot listen on {where} ({fault.strerror or fault}); is another program using the port?"
            self._listening.note(why, self._clock())
            return False
        remains = Remains(self._settings.state)
        left = remains.take()
        station = Station(
            later=later, hop=wires.hop, requested=self._requested, tap=self._tap, unreadable=self._junk,
            remains=remains,
        )  # fmt: skip
        for one in left:
            station.farewell(one, wires.flow(Target(one.transport, one.host, one.port, one.name, one.ca)))
        ports = MediaPorts(self._settings.address, *self._settings.media_ports)
        premises = Premises(station, ports, later, self._rng, self._captures, self._legs)
        lookup = self._lookup or DnsLookup(ipv6=":" in self._settings.address)
        resolver = Resolver(lookup, self._clock, self._rng)
        devices = Devices(self._settings.state, station, wires, self._clock, self._guard)
        self._open = _Open(wires, station, premises, resolver, devices)
        return True

    def _closed(self) -> None:
        for keeper in self._keepers.values():
            keeper.cancel()
        self._keepers.clear()
        for leg in list(self._legs.values()):
            leg.hang_up()
        if self._open is not None:
            self._open.devices.close()
            self._open.station.close()
            self._open.wires.close()
            self._open = None
        self._trunks.clear()

    def _arrange(self) -> None:
        """Make the trunks and devices those of the table."""
        here = self._open
        if here is None:
            return
        wanted = {account.name: account for account in self._table.trunks}
        for name in [name for name in self._trunks if name not in wanted]:
            self._keepers.pop(name).cancel()
            self._trunks.pop(name).leave()
        for name, account in wanted.items():
            before = self._trunks.get(name)
            if before is not None and before.account == account:
                continue
            trunk = Trunk(account, here.station, here.wires, here.resolver, self._clock, self._rng)
            if before is not None:
                self._keepers.pop(name).cancel()
                trunk.succeed(before)
            self._trunks[name] = trunk
            self._keepers[name] = asyncio.get_running_loop().create_task(self._keep(trunk), name=f"trunk {name}")
        here.devices.publish(self._table.devices)

    async def _keep(self, trunk: Trunk) -> None:
        while True:
            try:
                await trunk.keep()
            except Exception as fault:  # noqa: BLE001  a fault of ours in one trunk must not end its keeping
                say(f"trunk {trunk.account.name}: {type(fault).__name__}: {fault}")
                await asyncio.sleep(_PAUSE)

    # messages

    def _receive(self, data: bytes, flow: Flow) -> None:
        here = self._open
        if here is None or (
            self._guard.banned(flow.remote[0], self._clock()) and self._trunk_at(flow.remote[0]) is None
        ):
            return
        try:
            here.station.receive(data, flow)
        except Exception as fault:  # noqa: BLE001  one message must not end the line
            self._complaints.fault(fault, self._clock())

    def _timed(self, callback: Callable[[], None]) -> None:
        """Do what is due; a fault of ours in it must not end more than itself."""
        try:
            callback()
        except Exception as fault:  # noqa: BLE001  as in _receive
            self._complaints.fault(fault, self._clock())

    def _broken(self, flow: Flow, reason: str) -> None:
        if self._open is not None:
            self._open.station.broken(flow, reason)

    def _tap(self, outgoing: bool, text: str, flow: Flow) -> None:  # noqa: FBT001  which way
        call_id = record.call_id(text)
        if not outgoing:
            self._heard = text
        leg = self._legs.get(call_id)
        if leg is not None:
            leg.note(text, outgoing=outgoing)
        self._captures.add(call_id, time.time(), text, flow, outgoing=outgoing)

    def _junk(self, reason: str, flow: Flow) -> bool:
        """Count what could not be read. Returns whether a trunk sent it."""
        now = self._clock()
        known = self._trunk_at(flow.remote[0]) is not None
        if not known:
            self._guard.failed(flow.remote[0], Misdeed.UNREADABLE, now)
        self._complaints.note(f"SIP: a message from {flow.remote[0]} was not used: {reason}", now)
        return known

    # requests out of any dialog

    def _requested(self, asked: Asked) -> None:
        here = self._open
        if here is None:
            asked.drop()
            return
        source = asked.flow.remote[0]
        trunk = self._trunk_for(asked)
        devices = here.devices
        # a device on the machine of a trunk (behind one NAT, a gateway) is told from it by its port and its From
        if trunk is None or asked.method == "REGISTER" or devices.claims(asked) or (
            trunk.beside(asked.flow) and devices.named(asked)
        ):  # fmt: skip
            device = devices.admit(asked)
            if device is not None:
                self._from_device(asked, device)
            return
        self._guard.succeeded(source, self._clock())
        trust(asked.flow)
        if asked.method == "INVITE":
            self._from_trunk(asked, trunk)
        elif asked.method == "OPTIONS":
            asked.reply(200, "OK", [("Allow", ALLOW), ("Accept", "application/sdp")])
        else:
            asked.reply(405, "Method Not Allowed", [("Allow", ALLOW)])

    def _trunk_at(self, address: str) -> Trunk | None:
        best = max(self._trunks.values(), key=lambda one: one.matches(address), default=None)
        return best if best is not None and best.matches(address) >= 0 else None

    def _trunk_for(self, asked: Asked) -> Trunk | None:
        """Return the trunk of a request: by its source; of several at one address, the one it names."""
        address = asked.flow.remote[0]
        best = self._trunk_at(address)
        if best is None:
            return None
        length = best.matches(address)
        alike = [one for one in self._trunks.values() if one.matches(address) == length]
        try:
            to = messages.address(asked.request, "to").uri
            user = parse_uri(asked.request.uri).user
            domain = messages.address(asked.request, "from").uri.host
        except BadAddress:
            return best
        for fits in (
            lambda one: bool(one.account.username) and one.account.username == user,
            lambda one: one.domain in (to.host, domain),
            lambda one: one.called(asked.request) in self._table.numbers,
        ):
            named = [one for one in alike if fits(one)]
            if named:
                return named[0]
        return best

    def _from_trunk(self, asked: Asked, trunk: Trunk) -> None:
        number = trunk.called(asked.request)
        if not number:
            asked.reply(404, "Not Found")
            return
        account = trunk.account
        leg = self._summoned(asked, account.t38, account.codecs, trunk, symmetric=False)
        if leg is not None:
            self._on_incoming(Incoming(leg, number, trunk.caller_of(asked.request), account.name))

    def _from_device(self, asked: Asked, device: Any) -> None:
        """Take an INVITE of a device that proved who it is."""
        number = device.called(asked.request)
        if not number:
            asked.reply(404, "Not Found")
            return
        account = device.account
        leg = self._summoned(asked, account.t38, (8, 0), device, symmetric=True)
        if leg is not None:
            self._on_incoming(Incoming(leg, number, account.number, DEVICE + account.name, account.name))

    def _summoned(
        self, asked: Asked, t38: T38Mode, codecs: tuple[int, ...], owner: Any, *, symmetric: bool
    ) -> SipLeg | None:
        """Return the leg of an INVITE, ``None`` where it is refused: there must be media that a fax can use."""
        here = self._open
        if here is None:
            return None
        try:
            summons: Summons = asked.summons(symmetric=symmetric, answerer=owner.answerer)
        except BadAddress:
            asked.reply(400, "Bad Contact")
            return None
        streams: tuple[sdp.Stream, ...] = ()
        if summons.body:
            try:
                streams = sdp.parse(summons.body) if summons.kind.startswith("application/sdp") else ()
            except sdp.BadSdp:
                streams = ()
            if not sdp.choose(streams, t38=t38 is not T38Mode.NEVER, codecs=codecs):
                asked.reply(488, "Not Acceptable Here")
                return None
        required = [one for one in ",".join(messages.texts(asked.request, "require")).lower().split(",") if one.strip()]
        unknown = [one.strip() for one in required if one.strip() != "timer"]
        if unknown:
            asked.reply(420, "Bad Extension", [("Unsupported", ", ".join(unknown)[:200])])
            return None
        leg = self._leg(here, t38, codecs, owner)
        leg.summoned(summons, streams)
        here.station.remember(asked.request)
        leg.note(self._heard, outgoing=False)
        self._captures.add(summons.call_id, time.time(), self._heard, asked.flow, outgoing=False)
        summons.trying()
        return leg

    def _leg(self, here: _Open, t38: T38Mode, codecs: tuple[int, ...], owner: Any) -> SipLeg:
        traffic: Traffic = owner.traffic

        def ended(_: SipLeg) -> None:
            traffic.calls -= 1

        def coded(code: int) -> None:
            traffic.last_code = code

        leg = SipLeg(here.premises, t38=t38, codecs=codecs, ended=ended)
        leg.codes = coded
        traffic.calls += 1
        return leg

    @staticmethod
    def _clock() -> float:
        return time.monotonic()
