"""``faxrelay callback``: who is told by HTTP what happens to faxes, what came of it, and what is done about it."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relay.cli.session import REFUSED, ask, json_option, show, stop
from relay.mailer.writing import one_line

_COLORS = {"done": "green", "test": "green", "retry": "yellow", "failed": "red", "test failed": "red"}
_COLUMNS = ("id", "delivery", "at", "endpoint", "event", "fax", "attempt", "result", "status", "seconds", "reason")
_WORDS = 60


def _day(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("write it like 2026-11-21 or 2026-11-21T08:30") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


@click.group()
def callback() -> None:
    """Watch, try and mend the endpoints that are told of faxes (section `callbacks` of the policy)."""


@callback.command("list")
@json_option
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """Show the endpoints, and how they stand."""
    show(ask(context, "callback_list"), as_json=as_json, table=_list)


@callback.command()
@click.argument("name")
@click.option("--event", default="fax.sent", show_default=True, help="The event that is told, such as fax.received.")
@json_option
@click.pass_context
def test(context: click.Context, name: str, event: str, *, as_json: bool) -> None:
    """Call the endpoint NAME with an event that did not happen."""
    answer = ask(context, "callback_test", name=name, event=event)
    show(answer, as_json=as_json, table=_tried)
    if not answer["ok"]:
        sys.exit(REFUSED)


@callback.command()
@click.option("--endpoint", help="Of one endpoint.")
@click.option("--event", help="Of one event, such as fax.sent.")
@click.option("--result", type=click.Choice(["done", "retry", "failed", "test", "test failed"]), help="Of one result.")
@click.option("--fax", type=int, help="Of one fax.")
@click.option("--since", callback=_day, help="From a day or time on (UTC unless it says another zone).")
@click.option("--until", callback=_day, help="Before a day or time.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="The newest so many.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV for spreadsheets, in UTF-8.")
@json_option
@click.pass_context
def log(context: click.Context, /, *, as_json: bool, as_csv: bool, **wanted: Any) -> None:
    """Show the calls, the newest first."""
    answer = ask(context, "callback_log", **wanted)
    if as_csv:
        _csv(answer)
    else:
        show(answer, as_json=as_json, table=_log)


@callback.command()
@click.argument("delivery", type=int)
@click.pass_context
def replay(context: click.Context, delivery: int) -> None:
    """Tell again what DELIVERY told (the second column of the log), under the same event id."""
    answer = ask(context, "callback_replay", delivery_id=delivery)
    click.echo(f"it is told again as delivery {answer['delivery']}")


@callback.command()
@click.argument("name")
@click.pass_context
def suspend(context: click.Context, name: str) -> None:
    """Hold what is for the endpoint NAME."""
    before = ask(context, "callback_suspend", name=name)["before"]
    click.echo(f"{name} {'was suspended already' if before else 'is suspended'}; what happens is kept for it")


@callback.command()
@click.argument("name")
@click.pass_context
def resume(context: click.Context, name: str) -> None:
    """Send what is held for the endpoint NAME, the oldest first."""
    answer = ask(context, "callback_resume", name=name)
    if answer["suspended_by_policy"]:
        stop(f"{name} stays suspended by its policy file; write 'suspended: false' there", REFUSED)
    click.echo(f"{name} is resumed; {answer['held']} callbacks go out")


@callback.command()
@click.option("--days", type=click.FloatRange(0, 3650), default=7.0, show_default=True, help="Of the last days.")
@json_option
@click.pass_context
def report(context: click.Context, days: float, *, as_json: bool) -> None:
    """Count the calls by endpoint, event and result."""
    show(ask(context, "callback_report", days=days), as_json=as_json, table=_report)


def _list(answer: list[dict[str, Any]]) -> None:
    console = Console()
    found = Table(
        "ENDPOINT", "STATE", "DIALECT", "SENT", "FAILED", "IN A ROW", "HELD", "MEAN", "URL", box=None, pad_edge=False,
        header_style="bold",
    )  # fmt: skip
    for one in answer:
        color = "green" if one["state"] == "active" else "red"
        mean = f"{one['mean_seconds']:.3f} s" if one["mean_seconds"] is not None else ""
        figures = (str(one[key]) for key in ("sent", "failed", "failures", "held"))
        found.add_row(
            escape(one_line(one["name"])), f"[{color}]{one['state']}[/]", one["dialect"], *figures, mean,
            escape(one_line(one["url"])),
        )  # fmt: skip
    console.print(found if answer else "the policy has no endpoints; docs/policies.md tells of the section callbacks")
    for one in answer:
        if one["why"]:
            console.print(f"{escape(one_line(one['name']))}: {escape(one_line(one['why']))}")


def _tried(one: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    seconds = f" in {one['seconds']:.3f} s" if one["seconds"] is not None else ""
    words = "[green]taken[/]" if one["ok"] else "[red]not taken[/]"
    status = f", {one['status']}" if one["status"] is not None else ""
    console.print(f"{escape(one['endpoint'])}: {words}{status}{seconds}")
    for text in (one["reason"], one["answer"]):
        if text:
            console.print(escape(one_line(text)))


def _log(answer: list[dict[str, Any]]) -> None:
    console = Console()
    found = Table(
        "AT", "DELIVERY", "ENDPOINT", "EVENT", "ATTEMPT", "RESULT", "STATUS", "SECONDS", "REASON", box=None,
        pad_edge=False, header_style="bold",
    )  # fmt: skip
    for one in answer:
        result = f"[{_COLORS.get(one['result'], 'red')}]{one['result']}[/]"
        found.add_row(
            one["at"], one["delivery"], escape(one_line(one["endpoint"])), one["event"], str(one["attempt"]), result,
            str(one["status"] or ""), f"{one['seconds']:.3f}", escape(one_line(one["reason"], _WORDS)),
        )  # fmt: skip
    console.print(found if answer else "no call was made that fits")


def _report(answer: dict[str, Any]) -> None:
    console = Console()
    found = Table("ENDPOINT", "EVENT", "RESULT", "CALLS", "MEAN", box=None, pad_edge=False, header_style="bold")
    for one in answer["rows"]:
        cells = (escape(one_line(one["endpoint"])), one["event"], one["result"], str(one["calls"]))
        found.add_row(*cells, f"{one['mean_seconds']:.3f} s")
    console.print(f"{answer['since']} to {answer['until']}")
    console.print(found if answer["rows"] else "no call was made")


def _csv(answer: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow((*_COLUMNS, "answer"))
    for one in answer:
        writer.writerow([_cell(one[key]) for key in (*_COLUMNS, "answer")])


def _cell(value: object) -> str:
    """Return a cell; what a spreadsheet would take for a formula is text.

    >>> _cell("=1+1"), _cell(-3), _cell(None)
    ("'=1+1", '-3', '')
    """
    if value is None:
        return ""
    text = one_line(value, 4096) if isinstance(value, str) else str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in {"=", "+", "-", "@"} else text
