"""``faxrelay doctor``: what is missing on this machine, and the command that mends it."""

from __future__ import annotations

import asyncio
import ctypes.util
import json
import shutil
import socket
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console

from converters import ocr
from policies import OpenedBy, PolicyErrors, load
from relay import office
from relay.cli.session import REFUSED, json_option, settings_of
from relay.confine import ChildDied, Confinement, Limits, Sandbox
from relay.errors import DataDirectoryBusy
from relay.inbound import reading
from relay.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies import Policy
    from relay.settings import Settings

#: Free room under which `doctor` complains, bytes.
_ROOM = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty where it is good."""

    what: str
    good: bool
    found: str
    remedy: str = ""


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Look at this machine: tell what the relay needs and lacks."""
    findings = list(examine(settings_of(context)))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        console = Console()
        for finding in findings:
            console.print(
                f"{'[green]good[/]   ' if finding.good else '[red]missing[/]'} {finding.what}: {finding.found}",
                highlight=False,
            )
            if finding.remedy:
                console.print(f"          mend it: [bold]{finding.remedy}[/]", highlight=False)
    context.exit(0 if all(finding.good for finding in findings) else REFUSED)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say of this machine under these settings."""
    yield _library("spandsp", "libspandsp.so.2", "libspandsp2", "the fax modem")
    yield _library("tiff", "libtiff.so.6", "libtiff6", "fax pages")
    yield _library("png16", "libpng16.so.16", "libpng16-16", "large PNG pictures")
    yield _library("pango-1.0", "libpango-1.0.so.0", "libpango-1.0-0 libpangoft2-1.0-0", "receipts and text")
    yield _fonts()
    yield _office()
    yield _reading(settings)
    yield _sandbox(settings)
    yield _data(settings)
    yield from _policy(settings)
    if _running(settings):
        yield Finding("service", good=True, found="it runs; its ports are its own")
        return
    for listener in settings.smtp.listeners:
        yield _port("SMTP", listener.address, listener.port, "smtp.listeners")
    yield _port("health", settings.web.address, settings.web.port, "web.port")


def _library(name: str, file: str, package: str, purpose: str) -> Finding:
    try:
        ctypes.CDLL(file)
    except OSError:
        found = ctypes.util.find_library(name)
        return Finding(
            purpose, good=False, found=f"{file} is not there (found: {found})", remedy=f"apt-get install {package}"
        )
    return Finding(purpose, good=True, found=file)


#: (a family that is looked for, its package, what is drawn badly or not at all without it)
_FONTS = (
    ("Liberation Sans", "fonts-liberation2", "letters as Arial and Times"),
    ("DejaVu Sans", "fonts-dejavu-core", "Hebrew and Arabic"),
    ("Carlito", "fonts-crosextra-carlito", "Word's Calibri"),
    ("Caladea", "fonts-crosextra-caladea", "Word's Cambria"),
    ("Noto Sans CJK", "fonts-noto-cjk", "Chinese, Japanese and Korean"),
    ("Symbola", "fonts-symbola", "symbols"),
)


def _fonts() -> Finding:
    listed = shutil.which("fc-list")
    fonts = (
        subprocess.run([listed, ":", "family"], capture_output=True, text=True, check=False).stdout  # noqa: S603  a fixed command
        if listed
        else ""
    )
    lacking = [(package, purpose) for family, package, purpose in _FONTS if family not in fonts]
    if not lacking:
        return Finding("fonts", good=True, found=f"{len(fonts.splitlines())} families")
    packages = " ".join(package for package, _ in lacking)
    return Finding(
        "fonts",
        good=False,
        found=f"none for {'; '.join(purpose for _, purpose in lacking)}",
        remedy=f"apt-get install fontconfig {packages}",
    )


def _office() -> Finding:
    lacking = office.missing()
    if not lacking:
        return Finding("Office documents", good=True, found="LibreOffice opens them")
    return Finding(
        "Office documents",
        good=False,
        found="LibreOffice is not there: Word, Excel, PowerPoint, OpenDocument and RTF are refused",
        remedy=f"apt-get install {lacking}",
    )


def _reading(settings: Settings) -> Finding:
    lacking = ocr.missing(settings.ocr.languages)
    if not lacking:
        return Finding("searchable PDFs", good=True, found=f"Tesseract reads {settings.ocr.languages}")
    can = ocr.there(settings.ocr.languages)
    found = f"Tesseract reads {can} of {settings.ocr.languages}" if can else "Tesseract is not there"
    if reading.asked(_policy_in(settings)):
        remedy = f"apt-get install {lacking}"
        return Finding("searchable PDFs", good=False, found=f"{found}, and the policy says `ocr: true`", remedy=remedy)
    return Finding("searchable PDFs", good=True, found=f"{found}; no number's policy says `ocr: true`")


def _policy_in(settings: Settings) -> Policy | None:
    if not settings.policy_folder.exists():
        return None
    try:
        return load(settings.policy_folder)
    except PolicyErrors:
        return None


def _sandbox(settings: Settings) -> Finding:
    if settings.confinement is Sandbox.CONTAINER:
        return Finding(
            "confinement", good=True, found="the container, as the settings say: documents are limited, not isolated"
        )
    if shutil.which("bwrap") is None:
        return Finding("confinement", good=False, found="bubblewrap is not there", remedy="apt-get install bubblewrap")
    try:
        asyncio.run(_confined())
    except ChildDied as fault:
        return Finding(
            "confinement", good=False, found=f"bubblewrap cannot make a sandbox here: {fault}",
            remedy="sysctl kernel.unprivileged_userns_clone=1, or `confinement: container` where a container confines",
        )  # fmt: skip
    return Finding("confinement", good=True, found="bubblewrap makes a sandbox")


async def _confined() -> None:
    confinement = Confinement(Sandbox.BUBBLEWRAP)
    try:
        async with confinement.child("relay.intruder:linger", limits=Limits(wall=10)) as child:
            await child.receive()
    finally:
        await confinement.close()


def _data(settings: Settings) -> Finding:
    folder = settings.data
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    room = shutil.disk_usage(nearest).free
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as fault:
        return Finding(
            "data directory",
            good=False,
            found=f"{nearest}: {fault.strerror}",
            remedy=f"mkdir -p {folder} && chown $(id -u) {folder}",
        )
    if room < _ROOM:
        return Finding(
            "data directory",
            good=False,
            found=f"{nearest}: {room // 1024**2} MiB left",
            remedy="make room, or set FAXRELAY_DATA",
        )
    return Finding("data directory", good=True, found=f"{folder}, {room // 1024**3} GiB left")


def _policy(settings: Settings) -> Iterator[Finding]:
    folder = settings.policy_folder
    if not folder.exists():
        yield Finding("policy", good=True, found=f"{folder} will be made with a first file")
        return
    try:
        found = load(folder)
    except PolicyErrors as errors:
        yield Finding("policy", good=False, found=str(errors.errors[0]), remedy=f"faxrelay policy check {folder}")
        return
    yield Finding("policy", good=True, found=f"{folder}: {len(found.numbers)} numbers")
    for way, where, value in (
        (OpenedBy.LINK, "web.base_url", settings.web.base_url),
        (OpenedBy.RECEIPT, "mail.reports_domain", settings.mail.reports_domain),
    ):
        asking = next((one.number for one in found.numbers.values() if way in one.opened_by), None)
        if asking is not None and value is None:
            told = f"{asking} asks for `opened_by: {way.value}`, which needs {where}"
            yield Finding("opened mails", good=False, found=told, remedy=f"set {where} in the settings")


def _running(settings: Settings) -> bool:
    if not settings.data.exists():
        return False
    try:
        schema.lock(settings.data).close()
    except DataDirectoryBusy:
        return True
    return False


def _port(what: str, address: str, port: int, key: str) -> Finding:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as fault:
            return Finding(
                f"{what} port",
                good=False,
                found=f"{address}:{port}: {fault.strerror}",
                remedy=f"stop what uses it, or choose another: {key}",
            )
    return Finding(f"{what} port", good=True, found=f"{address}:{port} is free")
