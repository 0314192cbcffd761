"""One trunk at work: where it is, our registration, whether it answers, how its numbers and headers are written."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from transport.accounts import CalledField, CallerField, SipTransport
from transport.sip import numbers
from transport.sip.calling import Attempt, Plan, Traffic, Unreachable, contact_of, host_port
from transport.sip.connections import Target
from transport.sip.digest import Answerer, Credentials
from transport.sip.keepalive import Keepalive
from transport.sip.registration import Registration
from transport.sip.resolver import NotFound
from transport.sip.stack import messages
from transport.sip.stack.invitations import Invite
from transport.sip.uri import BadAddress, Uri, parse_address, split

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from transport.accounts import TrunkAccount
    from transport.seam import CallRequest
    from transport.sip.resolver import Resolver
    from transport.sip.stack.messages import Flow, Request, Response
    from transport.sip.stack.station import Station
    from transport.sip.wires import Wires

_LOOK_AGAIN = 300.0  # seconds between two look-ups of a trunk's addresses
_OPEN_EVERY = 25.0  # seconds: a NAT of ours forgets a UDP flow after 30
#: The fields of an account that say which registration it is: of whom, with whom, and (by the contact) where.
_REGISTERED_AS = ("register", "host", "port", "transport", "domain", "username")
_WITHHELD = ("anonymous", "restricted", "unavailable", "unknown", "private")


class Trunk:
    """One trunk. ``clock``: monotonic seconds."""

    def __init__(
        self,
        account: TrunkAccount,
        station: Station,
        wires: Wires,
        resolver: Resolver,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self.account = account
        self._station, self._wires, self._resolver, self._clock, self._rng = station, wires, resolver, clock, rng
        self.domain = account.domain or account.host.strip("[]")
        #: A host given with its port is addressed with it; a domain is a name of its own.
        self._port = None if account.domain else account.port
        answers = bool(account.username and account.password)
        self.answerer = Answerer(Credentials(account.username, account.password)) if answers else None
        self.registration = Registration(account.expires, rng)
        self.keepalive = Keepalive(float(account.options_seconds))
        self.addresses: frozenset[str] = frozenset()
        self._ends: frozenset[tuple[str, int]] = frozenset()
        self._networks = [ipaddress.ip_network(one, strict=False) for one in account.networks]
        self._call_id, self._number = secrets.token_hex(16), secrets.randbelow(10000)
        self._turn = 0
        self._registrar: Flow | None = None
        self._registering = False
        self.traffic = Traffic()
        self.lookup_trouble = ""

    def succeed(self, before: Trunk) -> None:
        """Take the place of a trunk whose account changed: its calls and, where it is the same one, its registration.

        Taking it back and registering anew instead would leave us unregistered if the two crossed on the way.
        """
        self.traffic = before.traffic
        if any(getattr(self.account, name) != getattr(before.account, name) for name in _REGISTERED_AS):
            before.leave()
            return
        self._call_id, self._number, self._registrar = before._call_id, before._number, before._registrar
        self.registration.until, self.registration.trouble = before.registration.until, before.registration.trouble

    # where it is

    async def targets(self) -> list[Target]:
        """Return where requests go, in the order to try; raises :class:`Unreachable`."""
        account = self.account
        host, port = account.host, account.port
        if account.proxy:
            host, port = host_port(account.proxy)
        try:
            found = await self._resolver.targets(host, port, account.transport.value)
            own = found if not account.proxy else await self._own_addresses()
        except NotFound as fault:
            self.lookup_trouble = str(fault)
            raise Unreachable(str(fault)) from fault
        self.lookup_trouble = ""
        self._ends = frozenset((*found, *own))
        self.addresses = frozenset(address for address, _ in self._ends)
        tls = account.transport is SipTransport.TLS
        return [
            Target(account.transport.value, address, at, host.strip("[]") if tls else "", account.ca if tls else "")
            for address, at in found
        ]

    async def _own_addresses(self) -> list[tuple[str, int]]:
        """Return the addresses of the host behind the proxy, none where only the proxy knows them."""
        with contextlib.suppress(NotFound):
            return await self._resolver.targets(self.account.host, self.account.port, self.account.transport.value)
        return []

    def beside(self, flow: Flow) -> bool:
        """Return whether a datagram came from a machine of the trunk, but from another port than the trunk's."""
        return flow.transport == "udp" and flow.remote[0] in self.addresses and flow.remote not in self._ends

    def matches(self, address: str) -> int:
        """Return how exactly an address is this trunk's: the length of the longest network that has it, -1 for none."""
        if address in self.addresses:
            return 129
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return -1
        return max(
            (one.prefixlen for one in self._networks if one.version == parsed.version and parsed in one), default=-1
        )

    # calls

    def plan(self, request: CallRequest) -> Plan:
        """Return how a call is made by this trunk."""
        uri = Uri("sip", numbers.dialled(request.destination, self.account), self.domain, self._port)
        caller = numbers.written(request.caller, self.account)

        async def attempts() -> Sequence[Attempt]:
            return [
                Attempt(str(uri), partial(self._wires.flow, target), f"{target.host}:{target.port}")
                for target in await self.targets()
            ]

        def write(to: str, flow: Flow, body: str) -> Invite:
            return Invite(to, *self._parties(caller, uri), contact_of("fax", flow), body, self._identity(caller))

        def redirect(host: str) -> bool:
            return host.lower() in (self.domain.lower(), self.account.host.lower()) or host in self.addresses

        return Plan(attempts, write, redirect, self.answerer)

    def _parties(self, caller: str, called: Uri) -> tuple[str, str]:
        """Return From and To. Where the number goes into another field, From is the account (RFC 3325 9.1)."""
        user = caller
        if self.account.caller is not CallerField.FROM and self.account.username:
            user = self.account.username
        return f"<{Uri('sip', user, self.domain)}>", f"<{Uri('sip', called.user, self.domain)}>"

    def _identity(self, caller: str) -> tuple[tuple[str, str], ...]:
        number = f"<{Uri('sip', caller, self.domain)}>"
        match self.account.caller:
            case CallerField.ASSERTED:
                return (("P-Asserted-Identity", number),)
            case CallerField.DIVERSION:
                return (("Diversion", f"{number};reason=unconditional"),)
            case CallerField.FROM:
                return ()

    def called(self, request: Request) -> str:
        """Return our number that a call is for, E.164, empty where there is none."""
        names = {
            CalledField.TO: "to", CalledField.DIVERSION: "diversion", CalledField.CALLED_PARTY: "p-called-party-id",
        }  # fmt: skip
        name = names.get(self.account.called)
        users = []
        if name is not None:
            users += [_user(part) for value in messages.texts(request, name)[:1] for part in split(value)[:1]]
        users.append(_user(f"<{request.uri}>"))
        return next((number for number in map(self._read, users) if number), "")

    def caller_of(self, request: Request) -> str:
        """Return who calls, E.164, empty where it is withheld or no number."""
        if messages.text(request, "privacy").lower().find("id") >= 0:
            return ""
        for name in ("p-asserted-identity", "from"):
            for value in messages.texts(request, name):
                for part in split(value) if name != "from" else [value]:
                    number = self._read(_user(part))
                    if number:
                        return number
        return ""

    def _read(self, user: str) -> str:
        if user.lower() in _WITHHELD:
            return ""
        return numbers.read(user.split(";", 1)[0], region=self.account.region, form=self.account.form)

    # registration and keep-alive

    async def keep(self) -> None:
        """Register and ask OPTIONS when due, until cancelled."""
        while True:
            now = self._clock()
            with contextlib.suppress(Unreachable):
                await self.targets()
            if self.account.register and now >= self.registration.due:
                await self.register()
            if self.account.options_seconds and self._clock() >= self.keepalive.due:
                await self.ping()
            times = [now + _LOOK_AGAIN]
            if self.account.register:
                times.append(self.registration.due)
            if self._registrar is not None and not self._registrar.reliable:
                self._registrar.send_to(b"\r\n\r\n", self._registrar.remote)
                times.append(now + _OPEN_EVERY)
            if self.account.options_seconds:
                times.append(self.keepalive.due)
            await asyncio.sleep(max(min(times) - self._clock(), 0.05))

    async def register(self) -> str:
        """Register now; return what came of it as a sentence."""
        try:
            targets = await self.targets()
        except Unreachable as fault:
            self.registration.failed(self._clock(), str(fault))
            return str(fault)
        target = targets[self._turn % len(targets)]
        flow = self._wires.flow(target)
        ours = f"<{Uri('sip', self.account.username, self.domain)}>"
        contact = contact_of(self.account.username or "fax", flow)
        self._number += 10
        self._registrar, self._registering = flow, True
        response = await self._asked(
            "REGISTER", str(Uri("sip", "", self.domain, self._port)), flow, sender=ours, receiver=ours,
            call_id=self._call_id, number=self._number, contact=contact,
            headers=[("Expires", str(self.registration.expires))],
        )  # fmt: skip
        now, self._registering = self._clock(), False
        if response.fault:
            self._turn += 1
            self.registration.failed(now, f"no answer from {target.host}:{target.port}: {response.fault}")
            return self.registration.trouble
        self.registration.answered(
            now, response.scode, _printable(response.reason), granted=_granted(response, contact),
            wait=_whole(messages.text(response, "retry-after")), least=_whole(messages.text(response, "min-expires")),
        )  # fmt: skip
        if response.scode >= 500:  # noqa: PLR2004  this target cannot: the next one
            self._turn += 1
        elif response.scode == 423 and self.registration.due <= now:  # noqa: PLR2004  a longer time is asked for at once
            return await self.register()
        if self.registration.trouble:
            return self.registration.trouble
        return f"registered for {self.registration.until - now:.0f} s at {target.host}:{target.port}"

    def leave(self) -> bool:
        """Take our registration back, without waiting for the answer; returns whether there was one."""
        known = self.registration.registered(self._clock()) or self._registering
        if not known or self._registrar is None:
            return False
        flow = self._registrar
        ours = f"<{Uri('sip', self.account.username, self.domain)}>"
        self._number += 10
        self._station.ask(
            "REGISTER", str(Uri("sip", "", self.domain, self._port)), flow, lambda _: None, sender=ours, receiver=ours,
            call_id=self._call_id, number=self._number, contact=contact_of(self.account.username or "fax", flow),
            headers=[("Expires", "0")], answerer=self.answerer,
        )  # fmt: skip
        self.registration.until = 0.0
        return True

    async def ping(self) -> str:
        """Ask OPTIONS now; return what came of it as a sentence."""
        try:
            targets = await self.targets()
        except Unreachable as fault:
            self.keepalive.answered(self._clock(), 0, str(fault), 0.0)
            return str(fault)
        target = targets[self._turn % len(targets)]
        flow = self._wires.flow(target)
        began = self._clock()
        user = self.account.username or "fax"
        response = await self._asked(
            "OPTIONS", str(Uri("sip", "", self.domain, self._port)), flow, sender=f"<{Uri('sip', user, self.domain)}>",
            receiver=f"<{Uri('sip', '', self.domain)}>", contact=contact_of("fax", flow),
        )  # fmt: skip
        now = self._clock()
        self.keepalive.answered(now, response.scode, response.fault, now - began)
        if response.fault:
            return f"no answer to OPTIONS from {target.host}:{target.port}: {response.fault}"
        said = f"{response.scode} {_printable(response.reason)}"
        return f"{said} from {target.host}:{target.port} in {(now - began) * 1000:.0f} ms"

    async def _asked(self, method: str, uri: str, flow: Flow, **more: Any) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def done(response: Response) -> None:
            if not future.done():
                future.set_result(response)

        abandon = self._station.ask(method, uri, flow, done, answerer=self.answerer, **more)
        try:
            return await future
        finally:
            abandon()

    # what an operator sees

    def status(self) -> dict[str, object]:
        """Return the trunk's state as JSON values."""
        now = self._clock()
        words, up = [], True
        if self.account.register:
            if self.registration.registered(now):
                words.append(f"registered for {self.registration.until - now:.0f} s")
            else:
                up = False
                words.append(f"not registered: {self.registration.trouble}")
        if self.account.options_seconds and self.keepalive.up is not None:
            for_ = f"for {now - self.keepalive.since:.0f} s"
            if self.keepalive.up:
                words.append(f"answers OPTIONS in {self.keepalive.latency * 1000:.0f} ms, {for_}")
            else:
                up = False
                words.append(f"does not answer: {self.keepalive.trouble}, {for_}")
        if self.lookup_trouble:
            up = False
            words.append(self.lookup_trouble)
        if self.registration.trouble and self.registration.registered(now):
            words.append(f"the last refresh failed: {self.registration.trouble}")
        return {
            "name": self.account.name,
            "up": up,
            "detail": "; ".join(words) or "by address, not asked",
            "calls": self.traffic.calls,
            "channels": self.account.channels,
            "last_code": self.traffic.last_code,
            "addresses": sorted(self.addresses),
            "transport": self.account.transport.value,
            "registered_seconds": round(self.registration.until - now, 1)
            if self.registration.registered(now)
            else None,
            "options": self.keepalive.up,
            "latency_ms": round(self.keepalive.latency * 1000, 1),
        }

    async def test(self) -> list[dict[str, object]]:
        """Look the trunk up, ask it, register with it, now; return the steps."""
        steps: list[dict[str, object]] = []
        self._resolver.forget()
        try:
            targets = await self.targets()
        except Unreachable as fault:
            return [{"step": "address", "ok": False, "detail": str(fault)}]
        where = ", ".join(f"{one.host}:{one.port}" for one in targets)
        steps.append({"step": "address", "ok": True, "detail": f"{where} by {self.account.transport.value}"})
        told = await self.ping()
        steps.append({"step": "OPTIONS", "ok": not self.keepalive.misses, "detail": told})
        if self.account.register:
            told = await self.register()
            steps.append(
                {"step": "REGISTER", "ok": not self.registration.trouble, "detail": _advice(self.registration, told)}
            )
        return steps


def _advice(registration: Registration, told: str) -> str:
    if registration.trouble and registration.last_code in (401, 403, 407):
        return f"{told}: check username, password and domain"
    return told


def _granted(response: Response, contact: str) -> int | None:
    """Return for how long a 200 registers us (RFC 3261 10.2.4): our Contact's expires, else the Expires header."""
    try:
        ours = parse_address(contact).uri
        for one in messages.addresses(response, "contact"):
            if one.uri.user == ours.user and one.uri.host == ours.host and one.uri.port == ours.port:
                value = _whole(one.params.get("expires") or "")
                if value is not None:
                    return value
    except BadAddress:
        return _whole(messages.text(response, "expires"))
    return _whole(messages.text(response, "expires"))


def _whole(text: str) -> int | None:
    digits = text.strip().split("(")[0].split(";")[0].strip()
    return int(digits) if digits.isdigit() and len(digits) < 10 else None  # noqa: PLR2004  RFC 3261: below 2**32


def _user(text: str) -> str:
    try:
        return parse_address(text).uri.user
    except BadAddress:
        return ""


def _printable(text: str) -> str:
    return "".join(one for one in text if " " <= one <= "~")[:80]
