"""What the operator reads of trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transport.sip.complaints import Complaints

if TYPE_CHECKING:
    import pytest


def test_a_flood_of_trouble_is_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Lost otherwise: whoever sends junk fills the disk with our log, or writes lines of it."""
    complaints = Complaints()
    for step in range(1200):
        complaints.note(f"junk {step}\nforged line\x1b[31m" + "x" * 1000, step / 10)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("(and 599 more before)")
    assert all(line.isprintable() and len(line) < 450 for line in lines)
