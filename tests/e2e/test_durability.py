"""What is on the disk when a client hears 250: seen from outside, system call by system call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..conftest import need
from .service import OFFICE_B, Relay


@pytest.mark.parametrize("processes", [0, 2])
def test_blob_directory_and_journal_are_synced_before_each_250(tmp_path: Path, processes: int) -> None:
    """Lost otherwise: a power failure after the 250 loses a fax that its sender believes is on its way."""
    need("strace")
    relay, trace = Relay(tmp_path, processes=processes), tmp_path / "trace"
    watch = "trace=fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write"
    relay.start("strace", "-f", "-y", "-qq", "-s", "80", "--seccomp-bpf", "-e", watch, "-o", str(trace))
    for number in range(3):
        relay.mail(
            f"{OFFICE_B}@fax.example.com", message_id=f"<{number}@example.com>", document=distinct(tmp_path, number)
        )
    relay.stop()
    steps = [step for line in trace.read_text(errors="replace").splitlines() if (step := named(line, relay.data))]
    accepted = [index for index, step in enumerate(steps) if step == "250"]
    assert len(accepted) == 3
    for begin, end in zip([0, *accepted], accepted, strict=False):
        between = steps[begin:end]
        order = [between.index(step) for step in ("sync blob", "name blob", "sync folder")]
        assert order == sorted(order), between
        assert "sync rows" in between[order[-1] :], between


def distinct(folder: Path, number: int) -> Path:
    """Return a document that no other mail carries: its blob is new."""
    from .service import DOCUMENTS

    path = folder / f"{number}.pdf"
    path.write_bytes((DOCUMENTS / "one-page.pdf").read_bytes() + f"%{number}\n".encode())
    return path


def named(line: str, data: Path) -> str | None:
    """Return what a line of the trace means for the promise, or nothing."""
    if "resumed" in line:
        return None
    blobs = re.escape(str(data / "blobs"))
    for pattern, meaning in (
        (rf"f(?:data)?sync\(\d+<{blobs}/tmp/", "sync blob"),
        (rf'rename\w*\(.*"{blobs}/tmp/.*"{blobs}/[0-9a-f]{{2}}/', "name blob"),
        (rf"f(?:data)?sync\(\d+<{blobs}/[0-9a-f]{{2}}>", "sync folder"),
        (rf"f(?:data)?sync\(\d+<{re.escape(str(data))}/faxrelay.db-wal>", "sync rows"),
        (r'(?:sendto|sendmsg|write)\(.*"250 2\.0\.0 ', "250"),
    ):
        if re.search(pattern, line):
            return meaning
    return None
