"""``faxrelay policy``: check a folder, explain a decision, export the schema, show a cover and what a change does."""

from __future__ import annotations

import ipaddress
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from converters import ocr
from policies import (
    BadAddress,
    BadNumber,
    CallFacts,
    Facts,
    Junk,
    Proof,
    as_json,
    call_as_json,
    decide,
    decide_call,
    explain,
    explain_call,
    json_schema,
    normalise_address,
    once_confirmed,
    parse_number,
    resolve_domain,
)
from relay.cli.policy_changes import diff, replay
from relay.cli.policy_cover import cover
from relay.cli.session import REFUSED, json_option, load_policy, settings_of, stop
from relay.errors import Refusal
from relay.inbound import reading
from relay.intake.address import FaxAddress, parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from policies import Policy


@click.group()
def policy() -> None:
    """Check the policy files, and ask them what they would say."""


@policy.command()
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def check(context: click.Context, folder: Path | None) -> None:
    """Check every file of FOLDER (default: the service's own); every error names file, line and column."""
    settings = settings_of(context)
    found = load_policy(folder or settings.policy_folder)
    click.echo(f"{folder or settings.policy_folder}: good; {len(found.domains)} domains, {len(found.numbers)} numbers")
    if folder is None and reading.asked(found) and (lacking := ocr.missing(settings.ocr.languages)):
        click.echo(f"but received faxes are not read as `ocr: true` says: apt-get install {lacking}", err=True)
    named = [what for some, what in ((found.trunks, "trunks"), (found.devices, "devices")) if some]
    if named and folder is None and settings.lines.sip is None:
        click.echo(
            f"but its {' and '.join(named)} carry no call: faxrelay.yaml has no `lines: {{sip: ...}}`, "
            "so faxes go to the simulated network", err=True,
        )  # fmt: skip


@policy.command("explain")
@click.option("--from", "sender", metavar="ADDRESS", help="The From address of a mail.")
@click.option("--to", "to", multiple=True, metavar="ADDRESS", help="NUMBER@FAX-DOMAIN; may be given again.")
@click.option("--called", metavar="NUMBER", help="Our number that is called: asks about a fax that comes in.")
@click.option("--caller", metavar="NUMBER", help="Who calls; without it, the number is withheld.")
@click.option("--csid", metavar="TEXT", help="What the far machine calls itself; without it, it has not spoken yet.")
@click.option("--subaddress", metavar="DIGITS", help="The sub-address that it asks for (T.30 SUB).")
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
    /,
    sender: str | None,
    to: tuple[str, ...],
    proofs: tuple[str, ...],
    client: str | None,
    at: datetime | None,
    folder: Path | None,
    *,
    as_json: bool,
    **call: str | None,
) -> None:
    """Say what would become of a mail (--from, --to) or of a call that comes in (--called, --caller, --csid).

    Shows each rule that was looked at, the verdict, and the SMTP reply.
    """
    _check_form(sender, to, call)
    found = load_policy(folder or settings_of(context).policy_folder)
    if call["called"] is not None:
        _explain_call(context, found, call, as_json=as_json)
    try:
        addresses = [_fax_address(found, one) for one in to]
        facts = Facts(
            from_address=normalise_address(sender or ""),
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


def _check_form(sender: str | None, to: tuple[str, ...], call: Mapping[str, str | None]) -> None:
    """End the program unless one question is asked, and whole."""
    if sender is None and not to:
        if call["called"] is None:
            raise click.UsageError("ask about a mail by --from and --to, or about a call that comes in by --called")
    elif any(call.values()):
        raise click.UsageError("--called, --caller, --csid and --subaddress are for calls, --from and --to for mails")
    elif sender is None or not to:
        raise click.UsageError("a mail has both: --from ADDRESS and --to ADDRESS")


def _explain_call(context: click.Context, found: Policy, call: Mapping[str, str | None], *, as_json: bool) -> NoReturn:
    region = next((domain.default_region for domain in found.domains.values()), None)
    caller, csid, subaddress = call["caller"], call["csid"], call["subaddress"]
    try:
        called = parse_number(call["called"] or "", region)
        calling = parse_number(caller, region) if caller else ""
    except BadNumber as error:
        stop(error.sentence, REFUSED)
    spoken = csid is not None or subaddress is not None  # a machine says both at once, or neither yet
    asked = CallFacts(called, calling, csid or "", subaddress or "") if spoken else CallFacts(called, calling)
    decision = decide_call(found, asked)
    data = json.dumps(call_as_json(decision), indent=2, ensure_ascii=False)
    click.echo(data if as_json else explain_call(asked, decision))
    context.exit(REFUSED if decision.unanswered or decision.junk is Junk.REFUSE else 0)


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


for _command in (diff, replay, cover):
    policy.add_command(_command)
