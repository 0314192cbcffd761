"""``faxrelay user``: who may log in to send mail, and as whom."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relay.api_keys import digest_of, new_key
from relay.cli.session import REFUSED, ask, json_option, show, stop
from relay.passwords import BadPassword, Passwords

_password = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the standard input; without it, it is asked for."
)
_addresses = click.option(
    "--address",
    "addresses",
    multiple=True,
    required=True,
    metavar="PATTERN",
    help="Who the user may send as: user@example.com, @example.com, @*.example.com; may be given again.",
)


@click.group()
def user() -> None:
    """Make and change the users who log in (SMTP AUTH) to send mail."""


@user.command()
@click.argument("name")
@_addresses
@_password
@click.pass_context
def add(context: click.Context, name: str, addresses: tuple[str, ...], *, password_stdin: bool) -> None:
    """Make the user NAME."""
    ask(context, "user_add", name=name, password=_read(from_stdin=password_stdin), addresses=list(addresses))
    click.echo(f"{name} may log in and send as {', '.join(addresses)}")


@user.command("list")
@json_option
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """Show the users."""
    show(ask(context, "user_list"), as_json=as_json, table=_table)


@user.command()
@click.argument("name")
@_password
@click.pass_context
def password(context: click.Context, name: str, *, password_stdin: bool) -> None:
    """Give NAME a new password."""
    ask(context, "user_password", name=name, password=_read(from_stdin=password_stdin))
    click.echo(f"{name} has a new password")


@user.command()
@click.argument("name")
@_addresses
@click.pass_context
def addresses(context: click.Context, name: str, addresses: tuple[str, ...]) -> None:
    """Say anew as whom NAME may send."""
    ask(context, "user_addresses", name=name, addresses=list(addresses))
    click.echo(f"{name} may send as {', '.join(addresses)}")


@user.command()
@click.argument("name")
@click.pass_context
def disable(context: click.Context, name: str) -> None:
    """Let NAME log in no more; what was accepted is sent."""
    ask(context, "user_disable", name=name)
    click.echo(f"{name} cannot log in any more")


@user.command()
@click.argument("name")
@click.pass_context
def enable(context: click.Context, name: str) -> None:
    """Let NAME log in again."""
    ask(context, "user_enable", name=name)
    click.echo(f"{name} may log in again")


@user.command()
@click.argument("name")
@click.pass_context
def remove(context: click.Context, name: str) -> None:
    """Forget NAME."""
    ask(context, "user_remove", name=name)
    click.echo(f"there is no user {name} any more")


@user.command("hash")
@_password
def hash_(*, password_stdin: bool) -> None:
    """Print the hash of a password, for `users` in policy files."""
    passwords = Passwords()
    try:
        click.echo(asyncio.run(passwords.made(_read(from_stdin=password_stdin))))
    except BadPassword as bad:
        stop(str(bad), REFUSED)
    finally:
        passwords.close()


@user.command("key")
@json_option
def key_(*, as_json: bool) -> None:
    """Make a key of the API, shown this once, and its hash for `api_keys` in policy files."""
    key = new_key()
    made = {"key": key, "key_hash": f"sha256:{digest_of(key)}"}
    show(made, as_json=as_json, table=lambda one: click.echo(f"{one['key']}\n\nkey_hash: '{one['key_hash']}'"))


def _read(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return click.prompt("Password", type=str, hide_input=True, confirmation_prompt=True)


def _table(answer: list[dict[str, Any]]) -> None:
    console = Console()
    found = Table("USER", "STATE", "ROLE", "SENDS AS", "CHANGED", box=None, pad_edge=False, header_style="bold")
    for one in answer:
        state = "[red]disabled[/]" if one["disabled"] else "[green]enabled[/]"
        changed = one["changed_at"] or escape(f"in {one['declared']}")
        found.add_row(escape(one["name"]), state, one["role"], escape(", ".join(one["addresses"])), changed)
    console.print(found if answer else "there are no users; `faxrelay user add` makes one")
