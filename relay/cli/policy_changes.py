"""``faxrelay policy diff`` and ``policy replay``: what another policy would change, and would have changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic_core import PydanticCustomError
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from policies import PolicyErrors, difference
from policies.fields import length_of_time
from relay import control
from relay.cli.session import NO_SERVICE, REFUSED, database_fault, json_option, load_policy, settings_of, stop

if TYPE_CHECKING:
    from policies.difference import Layout
    from relay.replay import Fate, Judgement, Replay, Replayed
    from relay.settings import Settings

_LONGEST = timedelta(days=3650)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@json_option
@click.pass_context
def diff(context: click.Context, folder: Path, *, as_json: bool) -> None:
    """Say what the files of DIR would change against the policy in force (where no service runs: its folder)."""
    settings = settings_of(context)
    changes = difference.differences(asyncio.run(_in_force(settings)), difference.layout(load_policy(folder)))
    if as_json:
        click.echo(json.dumps(difference.as_json(changes), indent=2, ensure_ascii=False))
    else:
        click.echo(difference.as_text(changes))


async def _in_force(settings: Settings) -> Layout:
    with contextlib.suppress(ConnectionError, control.ControlError):
        found: Layout = await control.ask(settings.data / "control.sock", "policy_layout")
        return found
    return difference.layout(load_policy(settings.policy_folder))


def _length(_context: click.Context, _option: click.Parameter, text: str) -> timedelta:
    try:
        return length_of_time(text, _LONGEST)
    except PydanticCustomError as error:
        raise click.BadParameter(str(error.message())) from None


@click.command()
@click.option(
    "--since", default="30d", show_default=True, callback=_length, metavar="TIME", help="How far back: 12h, 30d."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another policy folder than the service's.",
)
@json_option
@click.pass_context
def replay(context: click.Context, since: timedelta, folder: Path | None, *, as_json: bool) -> None:
    """Say which past submissions would get another verdict by the policy files as they are now, or by those of --dir.

    The database is only read. Mails that were refused as a whole left nothing to judge.
    """
    settings = settings_of(context)
    begin = time.time() - since.total_seconds()
    try:
        found = _replayed(settings, folder or settings.policy_folder, begin)
    except SQLAlchemyError as error:
        stop(f"database: {database_fault(error)}; `faxrelay serve` brings an older one up to date", REFUSED)
    except PolicyErrors:
        load_policy(folder or settings.policy_folder)
        raise
    if as_json:
        click.echo(json.dumps(_json(found, begin), indent=2, ensure_ascii=False))
    else:
        _print(found)


def _replayed(settings: Settings, folder: Path, begin: float) -> Replay:
    # only here: the database's library costs every other command a third of a second
    from relay import replay as replaying  # noqa: PLC0415
    from relay.policy import PolicyHolder  # noqa: PLC0415
    from relay.store.engine import Store  # noqa: PLC0415

    if settings.database is None and not (settings.data / "faxrelay.db").exists():
        stop(f"{settings.data} holds no relay's data; name the right place by --config or FAXRELAY_DATA", NO_SERVICE)
    holder = PolicyHolder(folder, real_lines=settings.lines.sip is not None)
    store = Store(settings.database_url)
    try:
        return store.read_now(replaying.replay, holder, begin)
    finally:
        store.close()


def _print(found: Replay) -> None:
    from relay.replay import moved  # noqa: PLC0415  as above

    console = Console(width=400, highlight=False)
    for one in found.changed:
        console.print(f"[bold]{_time(one.at)}[/] {one.id} {escape(one.sender or 'this machine')}: {_change(one)}")
        if (one.before.accepted, one.before.number) != (one.after.accepted, one.after.number):
            console.print(f"    was: {escape(one.before.reply)}")
            console.print(f"    now: {escape(one.after.reply)}")
        for written in moved(one.before, one.after):
            old, new = one.before.recipients.get(written), one.after.recipients[written]
            console.print(f"    {escape(written)}: {_fate(old)} -> {_fate(new)}")
    told = f"{len(found.changed)} of {found.judged} would get another verdict"
    unknown = f"; {found.unknown} cannot be judged, since their client's address was not kept" if found.unknown else ""
    console.print(told + unknown)


def _change(one: Replayed) -> str:
    return f"{_verdict(one.before)} -> {_verdict(one.after)}"


def _verdict(judged: Judgement) -> str:
    return f"accepted as {judged.number}" if judged.accepted else "refused"


def _fate(fate: Fate | None) -> str:
    if fate is None:
        return "not taken"
    return f"dialled as {fate.dialled}" if fate.accepted else f"refused ({escape(fate.reply)})"


def _json(found: Replay, begin: float) -> dict[str, Any]:
    return {
        "since": _time(begin),
        "judged": found.judged,
        "unknown": found.unknown,
        "changed": [
            {
                "submission": str(one.id),
                "at": _time(one.at),
                "from": one.sender,
                "before": _judgement(one.before),
                "after": _judgement(one.after),
            }
            for one in found.changed
        ],
    }


def _judgement(judged: Judgement) -> dict[str, Any]:
    return {
        "accepted": judged.accepted,
        "number": judged.number,
        "reply": judged.reply,
        "recipients": {
            written: {"accepted": fate.accepted, "dialled": fate.dialled or None, "reply": fate.reply}
            for written, fate in judged.recipients.items()
        },
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
