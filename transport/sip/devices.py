"""Our devices at work: they register, prove themselves by digest, are called, and are asked whether they are there."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phonenumbers

from transport.sip import numbers
from transport.sip.calling import Attempt, Plan, Traffic, Unreachable, contact_of
from transport.sip.connections import Target, trust
from transport.sip.digest import Challenger, Verdict
from transport.sip.guard import Guard, Misdeed
from transport.sip.keepalive import Keepalive
from transport.sip.registrar import SHORTEST, Binding, OutOfOrder, Registrar, TooBrief
from transport.sip.stack import messages
from transport.sip.stack.dialogs import ALLOW
from transport.sip.stack.invitations import Invite
from transport.sip.uri import BadAddress, Uri, parse_address, parse_uri
from transport.sip.wires import PORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transport.accounts import DeviceAccount
    from transport.seam import CallRequest
    from transport.sip.stack.messages import Flow, Request, Response
    from transport.sip.stack.station import Asked, Station
    from transport.sip.wires import Wires

REALM = "faxrelay"
_OPTIONS_EVERY = 60.0
_OPEN_EVERY = 25.0  # seconds: NATs forget a UDP flow after 30
_TICK = 5.0
_MOST_WAITING = 50
_FILE = "registrations.json"


class Device:
    """One device."""

    answerer = None

    def __init__(self, account: DeviceAccount) -> None:
        self.account = account
        self.traffic = Traffic()
        self.networks = [ipaddress.ip_network(one, strict=False) for one in account.networks]
        self.keepalives: dict[str, Keepalive] = {}

    def allows(self, address: str) -> bool:
        """Return whether the device may be at an address."""
        if not self.networks:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in one for one in self.networks if one.version == parsed.version)

    def called(self, request: Request) -> str:
        """Return the number that the device dialled, E.164, empty where it is none."""
        try:
            user = parse_uri(request.uri).user
        except BadAddress:
            return ""
        return numbers.read(user.split(";", 1)[0], region=self.account.region or _region(self.account.number))


class Devices:
    """Every device of a line. ``clock``: monotonic seconds; registrations count by the wall clock."""

    def __init__(self, state: str, station: Station, wires: Wires, clock: Callable[[], float], guard: Guard) -> None:
        self._station, self._wires, self._clock, self._guard = station, wires, clock, guard
        self._registrar = Registrar(Path(state) / _FILE if state else None, time.time())
        self._challenger = Challenger(REALM)
        self._devices: dict[str, Device] = {}
        self._by_username: dict[str, Device] = {}
        self._opened: dict[str, float] = {}
        self._asking: set[str] = set()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="devices")

    def publish(self, accounts: Sequence[DeviceAccount]) -> None:
        """Take the devices; calls and contacts of those that stay go on."""
        before = self._devices
        self._devices = {}
        for account in accounts:
            known = before.get(account.name)
            made = Device(account)
            if known is not None:
                made.traffic, made.keepalives = known.traffic, known.keepalives
                if known.account == account:
                    made = known
            self._devices[account.name] = made
        self._by_username = {one.account.username: one for one in self._devices.values()}
        self._registrar.keep_only(self._devices, time.time())

    def close(self) -> None:
        """Stop asking."""
        self._keeper.cancel()

    def known(self, name: str) -> bool:
        """Return whether there is such a device."""
        return name in self._devices

    def entry(self, name: str) -> Device:
        """Return a device."""
        return self._devices[name]

    # calls to a device

    def plan(self, name: str, request: CallRequest) -> Plan:
        """Return how a device is called: each of its contacts in turn, where it registered from."""

        async def attempts() -> Sequence[Attempt]:
            bindings = self._registrar.of(name, time.time())
            ways = [(one, self._flow(one)) for one in bindings]
            found = [
                Attempt(one.uri, partial(_same, flow), f"{one.host}:{one.port}")
                for one, flow in ways
                if flow is not None
            ]
            if not found:
                raise Unreachable(f"the device {name} is not registered", 480)
            return found

        def write(to: str, flow: Flow, body: str) -> Invite:
            here = flow.local[0]
            return Invite(
                to, f"<{Uri('sip', request.caller, here)}>", f"<{Uri('sip', request.destination, here)}>",
                contact_of("fax", flow), body,
            )  # fmt: skip

        return Plan(attempts, write, lambda _: False, None, symmetric=True)

    def _flow(self, binding: Binding) -> Flow | None:
        """Return the way to a contact: the flow it registered by; a connection that has ended is made anew."""
        flow = self._wires.accepted(binding.transport, (binding.host, binding.port))
        if flow is not None:
            return flow
        uri = parse_uri(binding.uri)
        if binding.transport == "tcp" and uri.host == binding.host:
            return self._wires.flow(Target("tcp", uri.host, uri.port or PORTS["tcp"]))
        return None

    # what devices ask

    def claims(self, asked: Asked) -> bool:
        """Return whether a request is a device's: by its credentials, or by the end that it registered from.

        Its From says nothing: a carrier's caller chooses that.
        """
        if any(self._challenger.username(value) for value in messages.texts(asked.request, "authorization")):
            return True
        return bool(self._registrar.at(asked.flow.transport, asked.flow.remote, time.time()))

    def named(self, asked: Asked) -> bool:
        """Return whether From has a device's user name."""
        return messages.address(asked.request, "from").uri.user in self._by_username

    def admit(self, asked: Asked) -> Device | None:
        """Take a request of somebody who is no trunk; return the device whose INVITE it proved to be.

        Everything else is answered here: strangers get the same 401 whatever they ask, whether or not a name exists.
        """
        source, now = asked.flow.remote[0], self._clock()
        if asked.method == "OPTIONS" and self._registrar.at(asked.flow.transport, asked.flow.remote, time.time()):
            asked.reply(200, "OK", [("Allow", ALLOW), ("Accept", "application/sdp")])
            return None
        answers = messages.texts(asked.request, "authorization")
        if not answers:
            self._guard.failed(source, Misdeed.UNKNOWN, now)
            self._challenge(asked, now)
            return None
        value = next((one for one in answers if self._challenger.username(one)), answers[0])
        claimed = self._challenger.username(value)
        device = self._by_username.get(claimed)
        if device is not None and not device.allows(source):
            device = None
        password = device.account.password if device is not None else None
        verdict = self._challenger.check(value, password, asked.method, now)
        if verdict is Verdict.STALE:
            self._challenge(asked, now, stale=True)
            return None
        if verdict is Verdict.BAD or device is None:
            self._guard.failed(source, Misdeed.PASSWORD, now, claimed)
            self._challenge(asked, now)
            return None
        self._guard.succeeded(source, now, claimed)
        trust(asked.flow)
        return self._admitted(asked, device)

    def _admitted(self, asked: Asked, device: Device) -> Device | None:
        match asked.method:
            case "INVITE" if device.account.outbound:
                return device
            case "INVITE":
                asked.reply(403, "Forbidden")
            case "REGISTER":
                self._register(asked, device)
            case "OPTIONS":
                asked.reply(200, "OK", [("Allow", ALLOW), ("Accept", "application/sdp")])
            case _:
                asked.reply(405, "Method Not Allowed", [("Allow", ALLOW)])
        return None

    def _challenge(self, asked: Asked, now: float, *, stale: bool = False) -> None:
        headers = [("WWW-Authenticate", value) for value in self._challenger.challenges(now, stale=stale)]
        asked.turn_away(401, "Unauthorized", headers)

    def _register(self, asked: Asked, device: Device) -> None:
        request, name, now = asked.request, device.account.name, time.time()
        said = messages.text(request, "expires").strip()
        default = int(said) if said.isdigit() and len(said) < 10 else None  # noqa: PLR2004
        if messages.text(request, "contact").strip() == "*":
            if default != 0:
                asked.reply(400, "Bad Request")
                return
            self._registrar.clear(name)
            asked.reply(200, "OK")
            return
        try:
            contacts = [one for one in messages.addresses(request, "contact") if one.uri.host]
            bindings = self._registrar.register(
                name, contacts, default=default, source=(asked.flow.transport, *asked.flow.remote),
                call_id=str(request.getHFBody("call-id")), number=request.getHFBody("cseq").getCSeqNum(),
                agent=_printable(messages.text(request, "user-agent")), now=now,
            )  # fmt: skip
        except BadAddress:
            asked.reply(400, "Bad Contact")
        except TooBrief:
            asked.reply(423, "Interval Too Brief", [("Min-Expires", str(SHORTEST))])
        except OutOfOrder:
            asked.reply(500, "Server Internal Error")
        else:
            contacts_now = [("Contact", f"<{one.uri}>;expires={max(int(one.until - now), 0)}") for one in bindings]
            asked.reply(
                200, "OK", [*contacts_now, ("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)))]
            )

    # whether they are there

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now, wall = self._clock(), time.time()
            for device in self._devices.values():
                bindings = self._registrar.of(device.account.name, wall)
                device.keepalives = {
                    one.uri: device.keepalives.get(one.uri) or Keepalive(_OPTIONS_EVERY, due=now + _TICK)
                    for one in bindings
                }
                for one in bindings:
                    with contextlib.suppress(BadAddress, OSError):  # one contact that cannot be asked
                        self._look(device.keepalives[one.uri], one, now)
            self._opened = {uri: at for uri, at in self._opened.items() if now - at < 2 * _OPEN_EVERY}

    def _look(self, keepalive: Keepalive, binding: Binding, now: float) -> None:
        flow = self._flow(binding)
        if flow is None:
            keepalive.answered(now, 0, "its connection is closed", 0.0)
            return
        if binding.transport == "udp" and now - self._opened.get(binding.uri, 0.0) >= _OPEN_EVERY:
            self._opened[binding.uri] = now
            flow.send_to(b"\r\n\r\n", flow.remote)  # keeps the way through a NAT open (RFC 5626 3.5.1's cheap cousin)
        if now < keepalive.due or binding.uri in self._asking or len(self._asking) >= _MOST_WAITING:
            return
        self._asking.add(binding.uri)

        def done(response: Response) -> None:
            self._asking.discard(binding.uri)
            after = self._clock()
            keepalive.answered(after, response.scode, response.fault, after - now)

        us = f"<sip:fax@{flow.local[0]}>"
        with contextlib.suppress(BadAddress):
            to = f"<{parse_address(f'<{binding.uri}>').uri}>"
            self._station.ask(
                "OPTIONS", binding.uri, flow, done, sender=us, receiver=to, contact=contact_of("fax", flow)
            )

    def status(self) -> list[dict[str, Any]]:
        """Return each device's state as JSON values."""
        wall = time.time()
        return [self._status(device, wall) for device in self._devices.values()]

    def _status(self, device: Device, wall: float) -> dict[str, Any]:
        bindings = self._registrar.of(device.account.name, wall)
        contacts: list[dict[str, Any]] = []
        for one in bindings:
            known = device.keepalives.get(one.uri)
            contacts.append({
                "contact": one.uri, "source": f"{one.transport}:{one.host}:{one.port}", "agent": one.agent,
                "seconds": round(one.until - wall, 1), "answers": known.up if known is not None else None,
                "latency_ms": round(known.latency * 1000, 1) if known is not None else None,
            })  # fmt: skip
        up = any(contact["answers"] is not False for contact in contacts)
        first = contacts[0] if contacts else None
        detail = "not registered"
        if first is not None:
            there = f", answers in {first['latency_ms']} ms" if first["answers"] else ", does not answer"
            answers = "" if first["answers"] is None else there
            detail = f"registered from {first['source']} for {first['seconds']:.0f} s{answers}"
        return {
            "name": device.account.name, "number": device.account.number, "up": up, "detail": detail,
            "calls": device.traffic.calls, "channels": device.account.channels, "last_code": device.traffic.last_code,
            "contacts": contacts,
        }  # fmt: skip


def _same(flow: Flow) -> Flow:
    return flow


def _region(number: str) -> str:
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:
        return ""


def _printable(text: str) -> str:
    return "".join(one for one in text if " " <= one <= "~")
