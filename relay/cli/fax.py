"""``faxrelay fax``: list, show, send, cancel, approve, deny, resend, release, erase."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relay.cli.session import ask, json_option, show
from relay.fax import Inbound, Outbound

#: How each state looks in a terminal.
STYLES = {
    "sent": "green", "delivered": "green", "failed": "red", "undeliverable": "red", "uncertain": "yellow",
    "quarantined": "yellow",
}  # fmt: skip


@click.group()
def fax() -> None:
    """See faxes, send them, cancel them, send them again."""


@fax.command("list")
@click.option(
    "--state", type=click.Choice([state.value for state in (*Outbound, *Inbound)]), help="Only faxes in this state."
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many, newest first."
)
@json_option
@click.pass_context
def list_(context: click.Context, state: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest faxes."""
    show(ask(context, "fax_list", state=state, limit=limit), as_json=as_json, table=_table)


@fax.command("show")
@click.argument("fax_id", type=int, metavar="ID")
@json_option
@click.pass_context
def show_(context: click.Context, fax_id: int, *, as_json: bool) -> None:
    """Show one fax: what happened to it, call by call."""
    show(ask(context, "fax_show", fax_id=fax_id), as_json=as_json, table=timeline)


@fax.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, resolve_path=True))
@click.option(
    "--to", "to", multiple=True, required=True, metavar="NUMBER", help="The number to fax to; may be given again."
)
@click.option("--from", "number", metavar="NUMBER", help="The sending number; default: the policy's first.")
@click.option("--subject", default="", help="Title of the submission.")
@click.option("--cover", "covered", is_flag=True, help="Put a cover page before it, as the number's policy draws it.")
@json_option
@click.pass_context
def send(
    context: click.Context,
    files: tuple[str, ...],
    to: tuple[str, ...],
    number: str | None,
    subject: str,
    *,
    covered: bool,
    as_json: bool,
) -> None:
    """Send FILES as one fax."""
    made = ask(context, "fax_send", files=list(files), to=list(to), number=number, subject=subject, covered=covered)
    show(made, as_json=as_json, table=lambda answer: click.echo("accepted: " + ", ".join(answer["faxes"])))


@fax.command()
@click.argument("fax_id", type=int, metavar="ID")
@json_option
@click.pass_context
def cancel(context: click.Context, fax_id: int, *, as_json: bool) -> None:
    """Cancel a fax that has not ended; a call that goes on is hung up."""
    done = ask(context, "fax_cancel", fax_id=fax_id)
    words = (
        "cancelled" if done["cancelled"] else "the call is being hung up; `faxrelay fax show` tells what had arrived"
    )
    show(done, as_json=as_json, table=lambda _: click.echo(f"{fax_id}: {words}"))


@fax.command()
@click.argument("fax_id", type=int, metavar="ID")
@json_option
@click.pass_context
def approve(context: click.Context, fax_id: int, *, as_json: bool) -> None:
    """Approve a held fax, and with it those of the same mail that wait for the same people."""
    done = ask(context, "fax_approve", fax_id=fax_id)
    show(done, as_json=as_json, table=lambda answer: click.echo(f"approved: {', '.join(answer['faxes'])}"))


@fax.command()
@click.argument("fax_id", type=int, metavar="ID")
@click.option("--reason", default="", help="Why; the sender reads it.")
@json_option
@click.pass_context
def deny(context: click.Context, fax_id: int, reason: str, *, as_json: bool) -> None:
    """Refuse a held fax, and with it those of the same mail that wait for the same people."""
    done = ask(context, "fax_deny", fax_id=fax_id, reason=reason)
    show(done, as_json=as_json, table=lambda answer: click.echo(f"refused: {', '.join(answer['faxes'])}"))


@fax.command()
@click.argument("fax_id", type=int, metavar="ID")
@json_option
@click.pass_context
def resend(context: click.Context, fax_id: int, *, as_json: bool) -> None:
    """Send an ended fax again, as a new one. An uncertain fax may then arrive twice: that is your decision."""
    made = ask(context, "fax_resend", fax_id=fax_id)
    show(made, as_json=as_json, table=lambda answer: click.echo(f"accepted: {answer['id']}"))


@fax.command()
@click.argument("fax_id", type=int, metavar="ID")
@json_option
@click.pass_context
def release(context: click.Context, fax_id: int, *, as_json: bool) -> None:
    """Let a received fax out of the quarantine, to the mailboxes and machines that it was for."""
    done = ask(context, "fax_release", fax_id=fax_id)
    show(done, as_json=as_json, table=lambda _: click.echo(f"{fax_id}: released"))


@fax.command()
@click.argument("fax_id", type=int, metavar="ID")
@click.confirmation_option("--yes", prompt="Its pages, addresses and history cannot be brought back. Erase it?")
@json_option
@click.pass_context
def erase(context: click.Context, fax_id: int, *, as_json: bool) -> None:
    """Erase an ended fax: files, pages, addresses, history. Digests, times and outcome stay in the audit.

    Files that came within the last hour go with the next day's housekeeping.
    """
    done = ask(context, "fax_erase", fax_id=fax_id)
    show(done, as_json=as_json, table=lambda _: click.echo(f"{fax_id}: erased"))


def _table(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ID", "", "STATE", "PEER", "PAGES", "CALLS", "CREATED (UTC)"):
        table.add_column(column, no_wrap=True)
    table.add_column("REASON", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(
            row["id"],
            "→" if row["direction"] == "outbound" else "←",
            styled(row["state"]),
            row["peer"],
            f"{row['pages_confirmed']}/{row['pages'] if row['pages'] is not None else '?'}",
            str(row["attempts_made"]),
            row["created_at"][5:16].replace("T", " "),
            escape(row["reason"]),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=400)  # nothing is cut for a program that reads lines
    console.print(table if rows else "no faxes yet")


def timeline(row: dict[str, Any]) -> None:
    """Print one fax's way."""
    console = Console()
    arrow = "to" if row["direction"] == "outbound" else "from"
    console.print(
        f"[bold]{row['id']}[/] {styled(row['state'])} {arrow} {row['peer']} ({row['number']}): {escape(row['reason'])}"
    )
    if notes := row["settings"].get("destination_notes"):
        console.print(f"  about the number: {escape(notes)}")
    if row["not_before"] is not None:
        console.print(f"  next call: {row['not_before'][:19].replace('T', ' ')} UTC")
    for one in row["holds"]:
        if one["verdict"] is None and row["state"] == "held":
            until = one["until"][:16].replace("T", " ")
            console.print(f"  {escape(one['why'])}, until {until} UTC")
    console.print(f"  {row['created_at'][:10]} (UTC)")
    for event in row["history"]:
        console.print(f"  {event['at'][11:23]}  {event_line(event, row['pages'])}")
    for one in row["attempts"]:
        result = one["result"] or {}
        codes = ", ".join(
            " ".join(filter(None, (name, str(result[f"{key}_code"] or ""), escape(result[f"{key}_reason"]))))
            for name, key in (("SIP", "sip"), ("T.30", "t30"))
            if result.get(f"{key}_code") is not None or result.get(f"{key}_reason")
        )
        simulated = " [yellow]SIMULATED[/]" if result.get("simulated") else ""
        console.print(
            f"  call {one['attempt']} on {one['trunk']}: {one['cause'] or 'going on'}; {codes or 'no codes'}{simulated}"
        )
    for one in row["deliveries"]:
        console.print(
            f"  {one['lane']} {one['kind']} to {escape(one['target'])}: {one['state']} {escape(one['answer'])}"
        )


def event_line(event: dict[str, Any], pages: int | None) -> str:
    """Return one event as a line for people."""
    detail = event["detail"] or {}
    match event["kind"]:
        case "fax.ringing":
            return "ringing"
        case "fax.answered":
            return f"answered{' by T.38' if detail.get('t38') else ''}"
        case "fax.t38_started":
            return "T.38 took over from audio"
        case "fax.negotiated":
            ecm = " with error correction" if detail["ecm"] else ""
            far = escape(detail["remote_ident"]) or "nothing"
            return f"agreed on {detail['bit_rate']} bit/s{ecm}; the far machine calls itself '{far}'"
        case "fax.page_confirmed":
            return f"page {detail['page']} of {pages or '?'} confirmed"
        case _:
            word = event["after"] or event["kind"].removeprefix("fax.")
            return f"{styled(word)}: {escape(event['reason'])}" if event["reason"] else styled(word)


def styled(state: str) -> str:
    """Return a state in its colour."""
    style = STYLES.get(state)
    return f"[{style}]{state}[/]" if style else state
