"""The policy's trunks and devices as the line knows them, their passwords read from where the policy says they are.

One whose password cannot be read is left out, and why is told: the others work on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from policies.secrets import SecretError, SecretReference, read
from transport.accounts import CalledField, CallerField, DeviceAccount, NumberForm, SipTransport, TrunkAccount
from transport.seam import T38Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies import Device, Policy, Trunk


def trunks(policy: Policy, environ: Mapping[str, str]) -> tuple[list[TrunkAccount], list[str]]:
    """Return the trunks whose secrets can be read, and what is wrong with the others."""
    found, faults = [], []
    for trunk in policy.trunks.values():
        try:
            found.append(_trunk(trunk, _secret(trunk.password, environ)))
        except SecretError as fault:
            faults.append(f"the trunk {trunk.name}: {fault}")
    return found, faults


def devices(policy: Policy, environ: Mapping[str, str]) -> tuple[list[DeviceAccount], list[str]]:
    """Return the devices whose secrets can be read, and what is wrong with the others."""
    found, faults = [], []
    for device in policy.devices.values():
        try:
            found.append(_device(device, _secret(device.password, environ)))
        except SecretError as fault:
            faults.append(f"the device {device.name}: {fault}")
    return found, faults


def _secret(reference: SecretReference | None, environ: Mapping[str, str]) -> str:
    return read(reference, environ, lambda path: Path(path).open("rb")) if reference is not None else ""


def _trunk(trunk: Trunk, password: str) -> TrunkAccount:
    return TrunkAccount(
        name=trunk.name,
        host=trunk.host,
        port=trunk.port,
        transport=SipTransport(trunk.transport.value),
        proxy=trunk.proxy,
        domain=trunk.domain,
        username=trunk.username,
        password=password,
        register=trunk.register,
        expires=trunk.expires,
        options_seconds=trunk.options,
        networks=tuple(str(network) for network in trunk.networks),
        channels=trunk.channels,
        codecs=tuple(codec.payload_type for codec in trunk.codecs),
        t38=T38Mode(trunk.t38.value),
        caller=CallerField(trunk.caller_id.value),
        called=CalledField(trunk.called_number.value),
        form=NumberForm(trunk.number_form.value),
        region=trunk.region,
        prefix=trunk.prefix,
        ca=trunk.ca,
        numbers=tuple(sorted(trunk.numbers)),
    )


def _device(device: Device, password: str) -> DeviceAccount:
    return DeviceAccount(
        name=device.name,
        number=device.number,
        username=device.username,
        password=password,
        inbound=device.allow_inbound,
        outbound=device.allow_outbound,
        region=device.region,
        networks=tuple(str(network) for network in device.networks),
        channels=device.channels,
        t38=T38Mode(device.t38.value),
    )
