"""``faxrelay serve``: the service in the foreground, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import SQLAlchemyError

from policies import PolicyErrors
from relay.cli.session import REFUSED, config_option, database_fault, settings_of, stop
from relay.errors import RelayError
from relay.roles import EVERYTHING, Role
from transport.seam import LineDown

if TYPE_CHECKING:
    from pathlib import Path

    from relay.app import Addresses
    from relay.settings import Settings


@click.command()
@config_option
@click.option(
    "--roles",
    metavar="ROLE,...",
    help=f"Only these parts of the service: {', '.join(role.value for role in Role)}. Default: all.",
)
@click.pass_context
def serve(context: click.Context, config: Path | None, roles: str | None) -> None:
    """Run the relay. With no configuration at all: everything on this machine, no telephone line needed."""
    settings = settings_of(context, config)
    from relay import log  # noqa: PLC0415  only this command needs the service's imports
    from relay.app import serve as run  # noqa: PLC0415  same

    log.configure(settings.log)
    try:
        asyncio.run(run(settings, lambda addresses: _welcome(settings, addresses), _roles(roles)))
    except SQLAlchemyError as error:
        stop(f"database: {database_fault(error)}", REFUSED)
    except (RelayError, PolicyErrors, LineDown, OSError) as error:
        stop(str(error), REFUSED)


def _roles(written: str | None) -> frozenset[Role]:
    if written is None:
        return EVERYTHING
    try:
        return frozenset(Role(name.strip()) for name in written.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--roles") from error


def _welcome(settings: Settings, addresses: Addresses) -> None:
    """Say where everything is, and how the first mail is sent."""
    lines = [
        f"faxrelay is up. Data: {settings.data}   Policies: {settings.policy_folder}",
        *(f"  SMTP    {address}:{at}" for address, at in addresses.smtp),
    ]
    if addresses.web is not None:
        lines.append(f"  health  http://{addresses.web[0]}:{addresses.web[1]}/health")
    if settings.lines.simulated.enabled:
        lines.append(
            "  line    SIMULATED telephone network: no call leaves this machine (docs/simulated.md lists its numbers)"
        )
    else:
        lines.append("  line    none: faxes are taken and wait")
    if settings.mail.smarthost is not None:
        lines.append(f"  mail    outgoing mail goes to {settings.mail.smarthost.host}:{settings.mail.smarthost.port}")
    else:
        lines.append(f"  mail    outgoing mail is kept in {settings.maildir}")
    if addresses.first is not None and addresses.smtp:
        host, port = addresses.smtp[0]
        sender, recipient = addresses.first
        lines += [
            "Send the first fax, a PDF that lies here as document.pdf:",
            (
                f"  swaks --server {host}:{port} --from {sender} --to {recipient} "
                "--attach-type application/pdf --attach-name document.pdf --attach @document.pdf"
            ),
        ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
