"""Trunks and devices of all files: what must hold within each, between them, and between them and the numbers.

Invariants that the checks establish: a trunk's and a device's name stand once, and so does the name that a device
registers with; the numbers that they name are those of the policy; each key that is given has an effect.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from policies.lines import Device, NumberForm, SipTransport, Trunk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from policies.lines_schema import DeviceEntry, TrunkEntry
    from policies.policy import Source
    from policies.scope import Scope
    from policies.secrets import SecretReference

#: Comparing with more takes longer than a person waits for one hint.
_MOST_COMPARED = 2000


class LinesCompiler:
    """Gathers trunks and devices.

    ``numbers``: those of the policy that are sound. ``lost``: the sections of which an entry had an error of its own,
    so that a name that is not there may be right.
    """

    def __init__(self, numbers: frozenset[str], lost: frozenset[str]) -> None:
        self.trunks: dict[str, Trunk] = {}
        self.devices: dict[str, Device] = {}
        self._numbers = numbers
        self._lost = lost
        self._of_number: dict[str, str] = {}
        self._usernames: dict[str, Source] = {}

    def trunk(self, scope: Scope, entry: TrunkEntry) -> None:
        """Take a trunk, or tell what is wrong with it."""
        first = self.trunks.get(entry.name)
        if first is not None:
            scope.twice("trunk", entry.name, first.source, "name")
            return
        _check_account(scope, entry)
        for key in ("networks", "codecs", "prefixes", "numbers"):
            scope.no_repeats(key, getattr(entry, key))
        for index, number in enumerate(entry.numbers):
            self._known(scope, number, "numbers", index)
        self.trunks[entry.name] = Trunk(
            name=entry.name,
            host=entry.host,
            source=scope.source("name"),
            port=entry.port,
            transport=entry.transport,
            proxy=entry.proxy,
            domain=entry.domain,
            username=entry.username,
            password=entry.password,
            register=entry.register_,
            expires=entry.expires,
            options=entry.options,
            networks=tuple(entry.networks),
            channels=entry.channels,
            codecs=tuple(entry.codecs),
            t38=entry.t38,
            caller_id=entry.caller_id,
            called_number=entry.called_number,
            number_form=entry.number_form,
            region=entry.region or "",
            prefix=entry.prefix,
            ca=entry.ca,
            prefixes=tuple(entry.prefixes),
            priority=entry.priority,
            cost_per_minute=entry.cost_per_minute,
            cost_per_page=entry.cost_per_page,
            numbers=frozenset(entry.numbers),
        )

    def device(self, scope: Scope, entry: DeviceEntry) -> None:
        """Take a device, or tell what is wrong with it."""
        first = self.devices.get(entry.name)
        if first is not None:
            scope.twice("device", entry.name, first.source, "name")
            return
        username = entry.username or entry.name
        at = scope.source("username" if entry.username else "name")
        taken = self._usernames.setdefault(username, at)
        if taken is not at:
            scope.twice("user name", username, taken, "username" if entry.username else "name")
        self._known(scope, entry.number, "number")
        _check_directions(scope, entry)
        scope.no_repeats("networks", entry.networks)
        self.devices[entry.name] = Device(
            name=entry.name,
            number=entry.number,
            username=username,
            password=entry.password,
            source=scope.source("name"),
            allow_inbound=entry.allow_inbound,
            allow_outbound=entry.allow_outbound,
            region=entry.region or "",
            networks=tuple(entry.networks),
            channels=entry.channels,
            t38=entry.t38,
            receipts_to_device=entry.receipts_to_device,
        )

        self._of_number.setdefault(entry.number, entry.name)

    @property
    def all_devices_known(self) -> bool:
        """Whether there are no devices but :attr:`devices`."""
        return "devices" not in self._lost

    def of_number(self, number: str) -> str | None:
        """Return the name of the first device that has a number."""
        return self._of_number.get(number)

    def check_named(self, scope: Scope, names: Sequence[str], key: str) -> None:
        """Tell which of ``names`` is no device that gets faxes."""
        for index, name in enumerate(names):
            device = self.devices.get(name)
            if device is not None and not device.allow_inbound:
                message = f"the device {name} gets no faxes"
                remedy = f"write 'allow_inbound: true' in {device.source.file}:{device.source.line}, or remove it here"
                scope.tell(message, remedy, key, index)
            elif device is None and self.all_devices_known:
                remedy = _nearest(name, self.devices, otherwise="add it to devices first")
                scope.tell(f"there is no device {name}", remedy, key, index)

    def _known(self, scope: Scope, number: str, *path: str | int) -> None:
        if number not in self._numbers and "numbers" not in self._lost:
            remedy = _nearest(number, self._numbers, otherwise="add it there first")
            scope.tell(f"{number} is none of the relay's numbers (section numbers)", remedy, *path)


def _nearest(word: str, known: Collection[str], *, otherwise: str) -> str:
    """Return a remedy that names what ``word`` was meant to be, or ``otherwise``."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.8) if len(known) <= _MOST_COMPARED else []
    return f"did you mean {close[0]!r}?" if close else otherwise


def _check_account(scope: Scope, entry: TrunkEntry) -> None:
    given: SecretReference | None = entry.password
    if entry.register_ and not entry.username:
        scope.tell("a trunk that registers needs a username", "add username and password", "register")
    elif entry.username and given is None:
        scope.tell("a username needs a password", "add 'password: env:NAME' or 'password: file:/PATH'", "username")
    if given is not None and not entry.username:
        scope.tell("a password needs a username", "add username, or remove the key", "password", key=True)
    if "expires" in entry.model_fields_set and not entry.register_:
        message = "expires has no effect on a trunk that does not register"
        scope.tell(message, "write 'register: true', or remove the key", "expires", key=True)
    if entry.number_form is NumberForm.NATIONAL and entry.region is None:
        scope.tell("national numbers need a country", "add region, such as 'region: IL'", "number_form")
    if entry.ca and entry.transport is not SipTransport.TLS:
        message = f"ca has no effect with transport {entry.transport.value}"
        scope.tell(message, "write 'transport: tls', or remove the key", "ca", key=True)


def _check_directions(scope: Scope, entry: DeviceEntry) -> None:
    if not (entry.allow_inbound or entry.allow_outbound):
        message = "a device that neither gets nor sends faxes does nothing"
        scope.tell(message, "allow one of the two, or remove the device", "allow_outbound")
    elif entry.receipts_to_device and not (entry.allow_inbound and entry.allow_outbound):
        message = "receipts come only to a device that sends faxes and gets them"
        remedy = "write 'allow_inbound: true' and 'allow_outbound: true', or remove the key"
        scope.tell(message, remedy, "receipts_to_device", key=True)
