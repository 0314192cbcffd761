"""The command line: a thin face of :mod:`relay.operations`, of the policy room and of the service itself.

Exit codes: 0 done, 1 refused or failed (the sentence is on standard error), 2 wrong usage, 3 not found, 4 no service
runs where one is needed.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import click

from relay.cli.call import call
from relay.cli.callback import callback
from relay.cli.convert import convert
from relay.cli.device import device
from relay.cli.doctor import doctor
from relay.cli.fax import fax
from relay.cli.policy import policy
from relay.cli.queue import queue
from relay.cli.serve import serve
from relay.cli.trunk import trunk
from relay.cli.user import user


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Completion: eval "$(_FAXRELAY_COMPLETE=bash_source faxrelay)" (or zsh_source, fish_source).',
)
@click.version_option(version("faxrelay"), prog_name="faxrelay")
@click.option(
    "--config",
    "config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FAXRELAY_CONFIG",
    help="The settings, faxrelay.yaml. Without it the embedded default stands: everything on this machine.",
)
@click.pass_context
def faxrelay(context: click.Context, config: Path | None) -> None:
    """A mail-to-fax and fax-to-mail relay that says 'sent' only when the far machine confirmed the last page."""  # noqa: D401  help text
    context.obj = config


for command in (serve, fax, convert, queue, call, callback, trunk, device, policy, user, doctor):
    faxrelay.add_command(command)
