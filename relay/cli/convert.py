"""``faxrelay convert``: a fax document of any files, on this machine and without a fax."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from converters import Broken, Converter, Mode, Paper, Refused, Rendering, Resolution, Source
from relay import office
from relay.cli.session import REFUSED, json_option, settings_of, show, stop
from relay.confine import Confinement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.settings import Settings

#: What was done to a page, for people.
_TREATMENTS = {
    "fax": "passed pixel by pixel",
    "text": "black on white, cut",
    "mixed": "writing cut, tints and pictures each by themselves",
    "photo": "screened",
}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The fax document, a TIFF."
)
@click.option(
    "--preview",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A PNG with the pixels that the far machine prints; later pages get -2, -3 behind its name.",
)
@click.option("--report", is_flag=True, help="Tell each page's bytes, seconds of line and treatment.")
@click.option("--resolution", type=click.Choice([one.value for one in Resolution]), default="fine", show_default=True)
@click.option("--mode", type=click.Choice([one.value for one in Mode]), default="auto", show_default=True)
@click.option("--paper", type=click.Choice([one.value for one in Paper]), default="a4", show_default=True)
@click.option("--max-pages", type=click.IntRange(1, 1000), default=300, show_default=True)
@json_option
@click.pass_context
def convert(
    context: click.Context,
    files: tuple[Path, ...],
    output: Path,
    preview: Path | None,
    *,
    report: bool,
    resolution: str,
    mode: str,
    paper: str,
    max_pages: int,
    as_json: bool,
) -> None:
    """Make one fax document of FILES, in their order, as the relay would send it. Nothing is sent."""
    rendering = Rendering.of_settings(resolution, mode, paper, max_pages)
    settings = settings_of(context)
    try:
        made = asyncio.run(_convert(settings, files, rendering, output, preview))
    except Refused as refused:
        stop(refused.sentence, REFUSED)
    except (Broken, OSError) as fault:
        stop(str(fault), REFUSED)
    if report or as_json:
        show(made, as_json=as_json, table=_table)


async def _convert(
    settings: Settings, files: Sequence[Path], rendering: Rendering, output: Path, preview: Path | None
) -> dict[str, Any]:
    """Convert into a file beside the output, which takes its place when it is whole."""
    confinement = Confinement(settings.confinement, ["converters.worker"])
    stack = contextlib.AsyncExitStack()
    converter = Converter(confinement, office=office.for_once(settings, stack))
    draft = output.with_name(f".{output.name}.part")
    try:
        made = await converter.to_fax([Source(file.name, "", file) for file in files], rendering, draft)
        pictures = []
        if preview is not None:
            for page in made.pages:
                picture = preview if page.number == 1 else preview.with_stem(f"{preview.stem}-{page.number}")
                await converter.preview(draft, page.number, picture)
                pictures.append(str(picture))
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
        await stack.aclose()
        await confinement.close()
    return {
        "output": str(output),
        "size": made.size,
        "sha256": made.sha256,
        "seconds_at_14400": round(sum(page.seconds_at_14400 for page in made.pages), 1),
        "pages": [page.as_json() for page in made.pages],
        "previews": pictures,
    }


def _table(made: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, side in (("PAGE", "right"), ("FROM", "left"), ("PIXELS", "right"), ("BYTES", "right")):
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    table.add_column("SECONDS AT 14400", justify="right", no_wrap=True)
    table.add_column("DONE", no_wrap=True)
    for page in made["pages"]:
        table.add_row(
            str(page["number"]),
            escape(f"{page['source']}, page {page['source_page']}"),
            f"{page['width']} x {page['height']} at {page['y_dpi']}",
            f"{page['bytes']:,}",
            f"{page['seconds_at_14400']:.1f}",
            _TREATMENTS.get(page["treatment"], page["treatment"]),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=400)  # nothing is cut for a program that reads lines
    console.print(table)
    pages = len(made["pages"])
    console.print(
        f"{pages} page{'s' * (pages != 1)}, {sum(page['bytes'] for page in made['pages']):,} bytes, "
        f"{made['seconds_at_14400']:.1f} s on the line at 14400 bit/s"
    )
