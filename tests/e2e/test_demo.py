"""The demo, as `make demo` starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_shows_one_fax_the_whole_way(tmp_path: Path) -> None:
    """Lost otherwise: the first command that a new user types fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.e2e.demo"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines()[-2:])
    assert list(told) == ["receipt", "received"]
    for path in map(Path, told.values()):
        assert path.is_absolute()
        assert path.read_bytes().startswith(b"%PDF-")
