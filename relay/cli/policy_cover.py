"""``faxrelay policy cover``: a number's cover page as a picture, before anybody sends it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converters import Broken, Converter, Refused, Rendering, Resolution, Source
from policies import BadNumber, Look, parse_number
from relay import cover as covers
from relay.cli.session import NOT_FOUND, REFUSED, load_policy, settings_of, stop
from relay.confine import ChildDied, Confinement
from relay.policy import submission_settings

if TYPE_CHECKING:
    from converters import Cover, FaxDocument
    from policies import Number, Policy
    from relay.confine import Sandbox

#: Whom the page is for: a number that is nobody's (reserved for fiction, 555-01xx).
_PEER = "+12025550123"
_SUBJECT = {"en": "Offer no. 4711", "he": "הצעה מס' 4711"}
_TEXT = {
    "en": """Dear Ms Cohen,

please find enclosed our offer no. 4711. The prices hold until the end of the month.

If you have any questions, call me or write to alice@example.com.

Kind regards,
Alice Levi
""",
    "he": """גברת כהן הנכבדה,

מצורפת הצעתנו מס' 4711. המחירים תקפים עד סוף החודש.

לכל שאלה אפשר להתקשר אליי או לכתוב אל alice@example.com.

בברכה,
אליס לוי
""",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """What a cover takes from the row of a submission."""

    created_at: float
    number: str
    sender: str
    subject: str


@click.command()
@click.argument("number")
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="PNG",
    help="Where the picture goes; later pages get -2, -3 behind its name.",
)  # fmt: skip
@click.option("--look", type=click.Choice([look.value for look in Look]), help="Another look than the number's.")
@click.option("--language", metavar="LANGUAGE", help="Another language than the number's: en, he.")
@click.option("--subject", metavar="TEXT", help="The subject of the mail, in place of a sample.")
@click.option(
    "--text", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="The text of the mail, in place of a sample.",
)  # fmt: skip
@click.option(
    "--resolution", type=click.Choice([one.value for one in Resolution]), help="Another than the number's.",
)  # fmt: skip
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Another policy folder than the service's."
)
@click.pass_context
def cover(context: click.Context, /, number: str, output: Path, folder: Path | None, **asked: Any) -> None:
    """Draw the cover page of NUMBER into a picture, with the pixels that the far machine prints.

    Tells of each page how many bytes it has and how long it is on the line at 14,400 bit/s.
    """
    settings = settings_of(context)
    found = load_policy(folder or settings.policy_folder)
    entry = _number(found, number)
    chosen = _settings(found, entry, asked)
    language = chosen["language"]
    row = _Row(
        time.time(), entry.number, "alice@example.com", asked["subject"] or _SUBJECT.get(language, _SUBJECT["en"])
    )
    page = covers.of_submission(chosen, row, _PEER)
    assert page is not None  # noqa: S101 -- the settings say that there is one
    text = asked["text"].read_bytes() if asked["text"] else _TEXT.get(language, _TEXT["en"]).encode()
    rendering = Rendering.of_settings(
        chosen["resolution"], chosen["mode"], chosen["paper"], chosen.get("max_pages", Rendering().max_pages)
    )
    try:
        made = asyncio.run(_drawn(settings.confinement, text, page, rendering, output))
    except Refused as refused:
        stop(refused.sentence, REFUSED)
    except (Broken, ChildDied, OSError) as fault:
        stop(str(fault), REFUSED)
    for report in made.pages:
        seconds = f"{report.seconds_at_14400:.1f} s at 14400 bit/s"
        click.echo(f"{_picture(output, report.number)}: {report.bytes} bytes, {seconds}")


def _picture(output: Path, page: int) -> Path:
    return output if page == 1 else output.with_stem(f"{output.stem}-{page}")


def _number(found: Policy, written: str) -> Number:
    """Return the number that is meant; ends the program where the policy has none."""
    for region in sorted({domain.default_region for domain in found.domains.values()} | {None}, key=str):
        with contextlib.suppress(BadNumber, KeyError):
            return found.numbers[parse_number(written, region)]
    return stop(f"{written} is no number of the policy", NOT_FOUND)


def _settings(found: Policy, entry: Number, asked: dict[str, Any]) -> dict[str, Any]:
    spoken = {domain.language for domain in found.domains.values()}
    settings = submission_settings(entry.settings, entry, spoken.pop() if len(spoken) == 1 else "en")
    look = Look(asked["look"]) if asked["look"] else None
    chosen = {key: asked[key] for key in ("language", "resolution") if asked[key]}
    return settings | covers.settings_of(entry, look, has_text=True) | chosen


async def _drawn(sandbox: Sandbox, text: bytes, page: Cover, rendering: Rendering, output: Path) -> FaxDocument:
    """Return the fax document of a cover; leave a picture of each of its pages."""
    confinement = Confinement(sandbox, preload=["converters.worker"])
    converter = Converter(confinement)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, fax = Path(folder) / "text", Path(folder) / "fax.tif"
            source.write_bytes(text)
            made = await converter.to_fax(
                [Source("the text", "text/plain; charset=utf-8", source)], rendering, fax, cover=page
            )
            for one in made.pages:
                await converter.preview(fax, one.number, _picture(output, one.number))
            return made
    finally:
        await confinement.close()
