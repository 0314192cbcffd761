"""``faxrelay queue``: what waits, what is on the lines."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from relay.cli.session import ask, json_option, show


@click.command()
@json_option
@click.pass_context
def queue(context: click.Context, *, as_json: bool) -> None:
    """Show how much waits in each state, on each trunk and in the outbox."""
    show(ask(context, "queue"), as_json=as_json, table=_tables)


def _tables(answer: dict[str, Any]) -> None:
    console = Console()
    faxes = Table("STATE", "FAXES", "OLDEST", box=None, pad_edge=False, header_style="bold")
    for state, entry in answer["faxes"].items():
        faxes.add_row(state, str(entry["count"]), _age(entry["oldest_seconds"]))
    console.print(faxes if answer["faxes"] else "no fax is waiting")
    if count := answer["without_trunk"]:
        console.print(f"[yellow]without a trunk[/]: {count}; no trunk of the policy serves their numbers")
    for trunk, entry in answer["trunks"].items():
        console.print(f"trunk {trunk}: {entry['busy']} of {entry['channels']} channels busy")
    for lane, entry in answer["outbox"].items():
        console.print(f"outbox {lane}: {entry['due']} to deliver, the oldest waits {_age(entry['oldest_seconds'])}")


_MINUTE = 60


def _age(seconds: float) -> str:
    """Return a duration for people.

    >>> _age(59.4), _age(3700)
    ('59 s', '1 h 1 min')
    """
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
