"""LibreOffice in its sandbox: thrown away after one document, killed in time and over memory, and never believed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
import zipfile
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converters import Broken, Converter, Kind, Reason, Refused, Rendering, Source
from relay.confine import MIB, Confinement, Sandbox
from relay.office import Office, missing, opened
from relay.office_cell import OfficeLimits
from relay.settings import Documents, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(missing()) and not os.environ.get("CI"), reason="LibreOffice is not installed"),
]

LETTER = r"{\rtf1\ansi One page.\par}"
BUSY = r"{\rtf1\ansi " + r"\par A line that has to be laid out.".join(str(number) for number in range(80_000)) + "}"


def _below_us() -> dict[int, str]:
    """The LibreOffices that run below this process, dead ones left out: id and command."""
    told = subprocess.run(["ps", "-eo", "pid,ppid,stat,comm"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in told.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, _, _ in rows}

    def ours(pid: int) -> bool:
        while pid > 1:
            pid = parents.get(pid, 0)
            if pid == os.getpid():
                return True
        return False

    return {
        int(pid): command
        for pid, _, stat, command in rows
        if "soffice" in command and "Z" not in stat and ours(int(pid))
    }


@contextmanager
def _files(folder: Path, text: str) -> Iterator[tuple[int, int]]:
    """The descriptors of a document and of the PDF to be."""
    (folder / "in").write_text(text, encoding="ascii")
    with (folder / "in").open("rb") as document, (folder / "out").open("w+b") as output:
        yield document.fileno(), output.fileno()


async def test_each_document_has_a_libreoffice_of_its_own(office: Office, tmp_path: Path) -> None:
    """Lost otherwise: what one sender's document left behind is seen by the next one's."""
    seen = []
    for _ in range(2):
        with _files(tmp_path, LETTER) as (document, output):
            await office.to_pdf(document, output, Kind.RTF, 10)
            assert os.pread(output, 5, 0) == b"%PDF-"
        await asyncio.gather(*office._ready)
        seen.append(set(_below_us()))
        assert len(seen[-1]) == 1, "one spare stands ready, the used one is gone"
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("sandbox", list(Sandbox))
async def test_nothing_is_left_without_spares(tmp_path: Path, sandbox: Sandbox, office: Office) -> None:
    """Lost otherwise: an idle relay holds LibreOffices that its administrator did not want."""
    await office.close()
    bare = Office(sandbox, office._folder, spares=0)
    try:
        before = set(_below_us())
        with _files(tmp_path, LETTER) as (document, output):
            await bare.to_pdf(document, output, Kind.RTF, 10)
            assert os.pread(output, 5, 0) == b"%PDF-"
        assert set(_below_us()) <= before
        assert len(list(office._folder.iterdir())) == 1, "the profile is baked once and kept"
    finally:
        office._closed = False
        await bare.close()


@pytest.mark.parametrize("sandbox", list(Sandbox))
@pytest.mark.parametrize(
    ("limits", "reason"),
    [(OfficeLimits(wall=0.8), Reason.TOO_LONG), (OfficeLimits(memory=290 * MIB), Reason.TOO_LARGE)],
    ids=["time", "memory"],
)
async def test_what_takes_too_much_is_killed_whole(
    tmp_path: Path, sandbox: Sandbox, limits: OfficeLimits, reason: Reason, office: Office
) -> None:
    """Lost otherwise: one document keeps a processor busy for ever, or takes the machine's memory."""
    await office.close()
    office._closed = False
    strict = Office(sandbox, office._folder, spares=0, limits=limits)
    started = time.monotonic()
    with _files(tmp_path, BUSY) as (document, output), pytest.raises(Refused) as refusal:
        await strict.to_pdf(document, output, Kind.RTF, 10)
    assert refusal.value.reason is reason
    assert time.monotonic() - started < 30
    assert not _below_us()


async def test_pages_are_capped_before_they_are_made(confinement: Confinement, office: Office, tmp_path: Path) -> None:
    """Lost otherwise: a document of a million pages costs an hour before it is refused."""
    (tmp_path / "in").write_text(r"{\rtf1 " + r"\page Next.".join(str(number) for number in range(60)) + "}")
    converter = Converter(confinement, office=office)
    source = Source("long.rtf", "application/rtf", tmp_path / "in")
    with pytest.raises(Refused) as refusal:
        await converter.to_fax([source], Rendering(max_pages=5), tmp_path / "out.tif")
    assert refusal.value.reason is Reason.TOO_MANY_PAGES
    assert refusal.value.sentence == '"long.rtf" brings the fax to more than 5 pages. Please send it in parts.'


async def test_a_document_that_libreoffice_makes_nothing_of_is_refused(office: Office, tmp_path: Path) -> None:
    """Lost otherwise: LibreOffice says that all is well, and a blank page is called sent."""
    for content in ("", "PK\x03\x04 and no more"):
        with _files(tmp_path, content) as (document, output), pytest.raises(Refused) as refusal:
            await office.to_pdf(document, output, Kind.DOCX, 10)
        assert refusal.value.reason in {Reason.DAMAGED, Reason.NO_PAGES}


async def test_a_spare_that_died_is_replaced(office: Office, tmp_path: Path) -> None:
    """Lost otherwise: after the kernel killed an idle LibreOffice, the next document is refused."""
    with _files(tmp_path, LETTER) as (document, output):
        await office.to_pdf(document, output, Kind.RTF, 10)
    for pid in _below_us():
        os.kill(pid, 9)
    for _ in range(2):
        with _files(tmp_path, LETTER) as (document, output):
            await office.to_pdf(document, output, Kind.RTF, 10)
            assert os.fstat(output).st_size > 1000


async def test_a_libreoffice_that_does_not_start_is_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the sender is told that a good document is damaged."""
    monkeypatch.setattr("relay.office_cell.PYTHON", Path("/usr/bin/false"))
    with _files(tmp_path, LETTER) as (document, output), pytest.raises(Broken):
        await Office(Sandbox.BUBBLEWRAP, tmp_path / "office", spares=0).to_pdf(document, output, Kind.RTF, 10)


async def test_a_cancelled_document_leaves_nothing(office: Office, tmp_path: Path) -> None:
    """Lost otherwise: a relay that stops leaves LibreOffices behind."""
    await office.close()
    office._closed = False
    lonely = Office(Sandbox.BUBBLEWRAP, office._folder, spares=0)
    with _files(tmp_path, BUSY) as (document, output):
        task = asyncio.create_task(lonely.to_pdf(document, output, Kind.RTF, 10))
        await asyncio.sleep(1.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not _below_us()


async def test_an_office_file_without_its_kind_of_content_is_refused(
    confinement: Confinement, office: Office, tmp_path: Path
) -> None:
    """Lost otherwise: a ZIP that is called a letter is handed to LibreOffice, which makes something of anything."""
    with zipfile.ZipFile(tmp_path / "in", "w") as package:
        package.writestr("readme.txt", "no document")
    converter = Converter(confinement, office=office)
    with pytest.raises(Refused) as refusal:
        await converter.to_fax([Source("a.docx", "", tmp_path / "in")], Rendering(), tmp_path / "out.tif")
    assert refusal.value.reason is Reason.DAMAGED


@pytest.mark.parametrize(("spares", "made"), [(1, 1), (0, 0)])
async def test_the_profile_is_there_before_the_first_document(tmp_path: Path, spares: int, made: int) -> None:
    """Lost otherwise: the first document takes five seconds; or a small machine pays for what it never needs."""
    settings = Settings(data=tmp_path, documents=Documents(office_spares=spares))
    async with AsyncExitStack() as stack:
        assert opened(settings, stack, bake=True) is not None
        for _ in range(600 if made else 20):
            await asyncio.sleep(0.05)
            if len(list(tmp_path.glob("office/profile-*.tar"))) == made != 0:
                break
        assert len(list(tmp_path.glob("office/profile-*.tar"))) == made
    assert not _below_us()


async def test_a_profile_that_cannot_be_made_ahead_stops_nothing(tmp_path: Path) -> None:
    """Lost otherwise: a relay that gets no Office documents at all does not start."""
    (tmp_path / "office").write_text("in the way", encoding="ascii")
    await Office(Sandbox.BUBBLEWRAP, tmp_path / "office").bake()
