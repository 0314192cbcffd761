"""``faxrelay device``: the fax machines and telephone adapters that register with the relay."""

from __future__ import annotations

import socket
from importlib import resources
from typing import TYPE_CHECKING

import click

from policies import PolicyErrors, load
from relay.cli.session import NOT_FOUND, REFUSED, settings_of, stop

if TYPE_CHECKING:
    from policies import Device

_MODELS = tuple(
    sorted(file.name.removesuffix(".txt") for file in resources.files("templates").joinpath("device").iterdir())
)
_NO_T38 = "never"


@click.group()
def device() -> None:
    """Set up the fax machines and telephone adapters that register with the relay."""


@device.command()
@click.argument("name")
@click.option("--model", type=click.Choice(_MODELS), default="generic", show_default=True, help="What to set up.")
@click.option("--server", metavar="HOST", help="The relay's address as the device sees it; default: the settings'.")
@click.option("--transport", type=click.Choice(["UDP", "TCP", "TLS"]), default="UDP", show_default=True)
@click.pass_context
def config(context: click.Context, name: str, model: str, server: str | None, transport: str) -> None:
    """Print what to enter in the device NAME so that it registers, sends and receives. No password is printed."""
    settings = settings_of(context)
    sip = settings.lines.sip
    if sip is None:
        stop("lines.sip is not set in faxrelay.yaml: there is no SIP server for devices", REFUSED)
    try:
        devices = load(settings.policy_folder).devices
    except PolicyErrors as errors:
        stop(str(errors), REFUSED)
    if name not in devices:
        stop(f"the policy has no device {name}; it has {', '.join(devices) or 'none'}", NOT_FOUND)
    known = sip.external_address or (sip.address if sip.address not in {"0.0.0.0", "::"} else socket.getfqdn())  # noqa: S104  compared, not bound
    port = sip.tls_port if transport == "TLS" else sip.port
    if not port:
        stop("lines.sip.tls_port is not set: devices cannot register by TLS", REFUSED)
    text = resources.files("templates").joinpath("device", f"{model}.txt").read_text(encoding="utf-8")
    click.echo(text.format(server=server or known, port=port, transport=transport, **_words(devices[name])), nl=False)


def _words(found: Device) -> dict[str, str]:
    t38 = found.t38.value != _NO_T38
    return {
        "username": found.username,
        "secret": str(found.password),
        "number": found.number,
        "fax_mode": "T.38 (Auto Detect)" if t38 else "Pass-Through",
        "reinvite": "Enabled" if t38 else "Disabled",
        "t38_yes": "yes" if t38 else "no",
        "passthru": "ReINVITE" if t38 else "None",
        "fax_words": "T.38 with redundancy 3; G.711 pass-through if that fails"
        if t38
        else "G.711 pass-through, no T.38",
    }
