"""``faxrelay policy``: check a folder, explain a decision, export the schema."""

from __future__ import annotations

import ipaddress
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from policies import (
    BadAddress,
    Facts,
    PolicyErrors,
    Proof,
    as_json,
    decide,
    explain,
    json_schema,
    load,
    normalise_address,
    once_confirmed,
    resolve_domain,
)
from relay.cli.session import REFUSED, json_option, settings_of, stop
from relay.errors import Refusal
from relay.intake.address import FaxAddress, parse_address

if TYPE_CHECKING:
    from datetime import datetime


@click.group()
def policy() -> None:
    """Check the policy files, and ask them what they would say."""


@policy.command()
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def check(context: click.Context, folder: Path | None) -> None:
    """Check every file of FOLDER (default: the service's own); every error names file, line and column."""
    settings = settings_of(context)
    found = _load(folder or settings.policy_folder)
    click.echo(f"{folder or settings.policy_folder}: good; {len(found.domains)} domains, {len(found.numbers)} numbers")
    named = [what for some, what in ((found.trunks, "trunks"), (found.devices, "devices")) if some]
    if named and folder is None and settings.lines.sip is None:
        click.echo(
            f"but its {' and '.join(named)} carry no call: faxrelay.yaml has no `lines: {{sip: ...}}`, "
            "so faxes go to the simulated network", err=True,
        )  # fmt: skip


@policy.command("explain")
@click.option("--from", "sender", required=True, metavar="ADDRESS", help="The From address.")
@click.option(
    "--to", "to", required=True, multiple=True, metavar="ADDRESS", help="NUMBER@FAX-DOMAIN; may be given again."
)
@click.option(
    "--proof",
    "proofs",
    multiple=True,
    type=click.Choice([proof.value for proof in Proof]),
    help="What proves the sender.",
)
@click.option("--client", "client", metavar="IP", help="The client's address, for the proof `network`.")
@click.option(
    "--at",
    "at",
    type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]),
    metavar="TIME",
    help="When the mail comes, this machine's time; default: now. Tells whether it waits for the hours of sending.",
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Another policy folder than the service's."
)
@json_option
@click.pass_context
def explain_(
    context: click.Context,
    sender: str,
    to: tuple[str, ...],
    proofs: tuple[str, ...],
    client: str | None,
    at: datetime | None,
    folder: Path | None,
    *,
    as_json: bool,
) -> None:
    """Say what would become of a mail: each rule that was looked at, the verdict, the SMTP reply."""
    found = _load(folder or settings_of(context).policy_folder)
    try:
        addresses = [_fax_address(found, one) for one in to]
        facts = Facts(
            from_address=normalise_address(sender),
            recipients=tuple(address.number for address in addresses),
            domain=addresses[0].domain,
            proofs=frozenset(map(Proof, proofs)),
            client_ip=ipaddress.ip_address(client) if client else None,
            now=at.timestamp() if at is not None else time.time(),
        )
    except (BadAddress, Refusal, ValueError) as error:
        stop(str(error), REFUSED)
    decision = decide(found, facts)
    confirmed = once_confirmed(found, facts, decision)
    click.echo(_dump(decision, confirmed) if as_json else explain(decision, confirmed))
    context.exit(0 if (confirmed or decision).accepted else REFUSED)


def _fax_address(found: Any, text: str) -> FaxAddress:
    """Return a recipient at one of the policy's fax domains, as the SMTP server would take it."""
    address = parse_address(text)
    if resolve_domain(found, address.domain) is None:
        raise ValueError(f"550 5.7.1 {address.domain} is not one of the policy's fax domains")
    return address


@policy.command()
def schema() -> None:
    """Print the JSON Schema of a policy file, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


def _dump(decision: Any, confirmed: Any) -> str:
    return json.dumps(as_json(decision, confirmed), indent=2, ensure_ascii=False)


def _load(folder: Path) -> Any:
    try:
        return load(folder)
    except PolicyErrors as errors:
        for error in errors.errors:
            click.echo(str(error), err=True)
        stop(f"{folder}: {len(errors.errors)} error(s); nothing of it is in force", REFUSED)
