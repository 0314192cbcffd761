"""``faxrelay call``: what was said on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from relay.capture import pcap
from relay.cli.session import NOT_FOUND, ask, ask_service, json_option, show, stop


@click.group()
def call() -> None:
    """Look into the calls of a fax."""


@call.command()
@click.argument("fax_id", type=int, metavar="FAX")
@click.option("--attempt", type=click.IntRange(0), help="Only this call; default: the last one. 0 is an inbound call.")
@click.option("--all", "every", is_flag=True, help="Every call of the fax.")
@click.option(
    "--pcap", "file", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the call's SIP messages as a capture file for Wireshark, where the line still remembers them.",
)  # fmt: skip
@json_option
@click.pass_context
def trace(
    context: click.Context, fax_id: int, attempt: int | None, file: Path | None, *, every: bool, as_json: bool
) -> None:
    """Show the SIP messages and the T.30 phases of a FAX's call."""
    answer = ask(context, "call_trace", fax_id=fax_id)
    if not answer["calls"]:
        stop(f"no trace of fax {fax_id} is kept: it was not called yet, or its traces were dropped", NOT_FOUND)
    if not every:
        wanted = answer["calls"][-1]["attempt"] if attempt is None else attempt
        answer["calls"] = [one for one in answer["calls"] if one["attempt"] == wanted]
        if not answer["calls"]:
            stop(f"fax {fax_id} has no call {wanted}", NOT_FOUND)
    if file is not None:
        captured = ask_service(context, "call_capture", call=answer["calls"][-1]["call"])
        file.write_bytes(pcap(captured["messages"]))
        click.echo(f"{len(captured['messages'])} SIP messages written to {file}")
        return
    show(answer, as_json=as_json, table=_ladder)


def _ladder(answer: dict[str, Any]) -> None:
    """Print the calls: time, who said it, what."""
    for one in answer["calls"]:
        name = f"call {one['attempt']}" if one["attempt"] else "inbound call"
        click.echo(f"fax {answer['id']}, {name}: {answer['number']} and {answer['peer'] or 'an unknown number'}")
        for entry in one["entries"]:
            arrow = {">": "──►", "<": "◄──", "-": " · "}.get(entry["arrow"], "   ")
            click.echo(f"{entry['at']:9.3f}  {entry['layer']:<5} {arrow} {entry['text']}")
