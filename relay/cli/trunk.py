"""``faxrelay trunk``: how the telephone trunks are, and a test of one."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relay.cli.session import REFUSED, ask, ask_service, json_option, show, stop
from relay.diagnosis import explain
from transport.pace import Pace, percentile

_POLL = 1.0  # seconds between two looks at a test fax


@click.group()
def trunk() -> None:
    """See the telephone trunks and devices, and try them."""


@trunk.command()
@json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Show each trunk and device: registered, answering, calls, last code; and who is banned."""
    show(ask_service(context, "trunk_status"), as_json=as_json, table=_status)


@trunk.command()
@click.argument("name")
@click.option("--fax-to", "to", metavar="NUMBER", help="Also send a one-page test fax to this number by the trunk.")
@click.option("--from", "number", metavar="NUMBER", help="The sending number of the test fax.")
@json_option
@click.pass_context
def test(context: click.Context, name: str, to: str | None, number: str | None, *, as_json: bool) -> None:
    """Look NAME up, ask it, register with it, and say what it answered; exit code 1 where a step fails."""
    answer = ask_service(context, "trunk_test", name=name)
    if to is not None:
        made = ask(context, "trunk_test_fax", name=name, to=to, number=number)
        row = _wait(context, int(made["fax"]), quiet=as_json)
        trace = ask(context, "call_trace", fax_id=int(made["fax"]))
        answer["fax"] = {"id": made["fax"], "state": row["state"], "reason": row["reason"]}
        answer["steps"] += explain(row["attempts"][-1] if row["attempts"] else None, trace["calls"])
    show(answer, as_json=as_json, table=_steps)
    if not all(step["ok"] for step in answer["steps"]):
        context.exit(REFUSED)


def _wait(context: click.Context, fax_id: int, *, quiet: bool) -> dict[str, Any]:
    """Wait until a test fax has ended and return it, telling what happens meanwhile."""
    seen = 0
    while True:
        row: dict[str, Any] = ask(context, "fax_show", fax_id=fax_id)
        if not quiet:
            for event in row["history"][seen:]:
                click.echo(
                    f"  {event['kind'].removeprefix('fax.').replace('_', ' ')}: {event['reason'] or ''}".rstrip(": ")
                )
        seen = len(row["history"])
        if row["state"] in ("sent", "failed", "uncertain", "cancelled"):
            return row
        if row["state"] == "held":
            stop(f"the test fax {fax_id} is held: {row['reason']}", REFUSED)
        time.sleep(_POLL)


def _status(answer: dict[str, Any]) -> None:
    console = Console()
    trunks = Table("TRUNK", "STATE", "CALLS", "LAST CODE", "DETAIL", box=None, pad_edge=False, header_style="bold")
    for entry in answer["trunks"]:
        calls = f"{entry.get('calls', 0)} of {entry['channels']}" if "channels" in entry else ""
        trunks.add_row(
            escape(entry["name"]),
            _light(entry["up"]),
            calls,
            str(entry.get("last_code") or ""),
            escape(entry["detail"]),
        )
    console.print(trunks if answer["trunks"] else "the policy has no trunks")
    for entry in answer["devices"]:
        console.print(f"device {escape(entry['name'])}: {_light(entry['up'])} {escape(entry['detail'])}")
    if sum(ticks := Pace.of_json(answer.get("pace")).ticks):
        late = percentile(ticks, 0.99)
        told = "more than 1 s" if late == float("inf") else f"at most {1000 * late:.0f} ms"
        console.print(f"99 of 100 packets of the ended calls' media left {told} late")
    if declined := answer.get("declined"):
        console.print(f"calls of blocked callers that were not answered since the line started: {declined}")
    for ban in answer.get("bans", ()):
        console.print(f"[yellow]banned[/] {escape(ban['source'])} for {ban['seconds']:.0f} s: {escape(ban['why'])}")


def _steps(answer: dict[str, Any]) -> None:
    console = Console()
    for step in answer["steps"]:
        console.print(f"{_light(step['ok'], good='ok', bad='fails')} {escape(step['step'])}: {escape(step['detail'])}")


def _light(good_: bool, *, good: str = "up", bad: str = "down") -> str:  # noqa: FBT001  what it shows
    return f"[green]{good}[/]" if good_ else f"[red]{bad}[/]"
