"""What the commands share: the settings, a way to the operations, and how a refusal ends the program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from sqlalchemy.exc import SQLAlchemyError

from policies import PolicyErrors
from policies import load as load_folder
from relay import control
from relay.errors import DataDirectoryBusy, NotFound, RelayError
from relay.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies import Policy

REFUSED = 1
NOT_FOUND = 3
NO_SERVICE = 4

json_option = click.option(
    "--json", "as_json", is_flag=True, help="JSON for programs (docs/json.md) instead of a table."
)
config_option = click.option(
    "--config",
    "config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The settings, faxrelay.yaml.",
    default=None,
)


def settings_of(context: click.Context, config: Path | None = None) -> Settings:
    """Read the settings that the command line names; ends the program with their error."""
    file: Path | None = config or context.find_root().obj
    try:
        return load(file)
    except RelayError as error:
        stop(str(error), REFUSED)


def ask(context: click.Context, operation: str, **arguments: Any) -> Any:
    """Carry out an operation: in the running service, or on the store where none runs; a refusal is final."""
    settings = settings_of(context)
    try:
        return asyncio.run(_ask(settings, operation, arguments))
    except NotFound as error:
        stop(str(error), NOT_FOUND)
    except NoData as error:
        stop(str(error), NO_SERVICE)
    except SQLAlchemyError as error:
        stop(f"database: {database_fault(error)}", REFUSED)
    except DataDirectoryBusy as error:
        stop(f"{error} (it does not answer on its control socket)", NO_SERVICE)
    except (RelayError, PolicyErrors) as error:
        stop(str(error), REFUSED)


def ask_service(context: click.Context, operation: str, **arguments: Any) -> Any:
    """Carry out an operation that only a running service can: its telephone line is asked."""
    settings = settings_of(context)
    try:
        return asyncio.run(control.ask(settings.data / "control.sock", operation, **arguments))
    except ConnectionError:
        stop(f"no service answers at {settings.data}; start `faxrelay serve`, whose line is asked", NO_SERVICE)
    except NotFound as error:
        stop(str(error), NOT_FOUND)
    except RelayError as error:
        stop(str(error), REFUSED)


async def _ask(settings: Settings, operation: str, arguments: dict[str, Any]) -> Any:
    with contextlib.suppress(ConnectionError):
        return await control.ask(settings.data / "control.sock", operation, **arguments)
    if settings.database is None and not (settings.data / "faxrelay.db").exists():
        raise NoData(
            f"{settings.data} holds no relay's data and no service answers there; start `faxrelay serve`, "
            "or name the right place by --config or FAXRELAY_DATA"
        )
    from relay.app import offline  # noqa: PLC0415  only here: the service's imports cost half a second

    with offline(settings) as operations:
        answer = await operations[operation](**arguments)
    if operation in {"fax_send", "fax_resend"}:
        click.echo("no service is running: it goes out when `faxrelay serve` starts", err=True)
    return answer


def load_policy(folder: Path) -> Policy:
    """Read a policy folder; ends the program with each of its errors."""
    try:
        return load_folder(folder)
    except PolicyErrors as errors:
        for error in errors.errors:
            click.echo(str(error), err=True)
        stop(f"{folder}: {len(errors.errors)} error(s); nothing of it is in force", REFUSED)


def show(value: Any, *, as_json: bool, table: Callable[[Any], None]) -> None:
    """Print an answer, for a program or for a person."""
    if as_json:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        table(value)


class NoData(Exception):
    """There is nothing to work on: no service, and no data directory."""


def database_fault(error: SQLAlchemyError) -> str:
    """Return what the database itself said, in one line."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def stop(sentence: str, code: int) -> NoReturn:
    """End the program with a sentence on standard error."""
    click.echo(f"faxrelay: {sentence}", err=True)
    sys.exit(code)
