"""The simulated network's own log: what its far ends saw, to hold the relay's claims against.

One JSON object a line. Invariant: a line is on disk when :meth:`Record.write` returns, so that a far end's
confirmation never leaves before the log has it.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Record:
    """A log open for appending; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._descriptor = (
            None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        )

    def write(self, call: str, event: str, **facts: object) -> None:
        """Append one event of a call."""
        if self._descriptor is not None:
            line = json.dumps({"at": round(time.time(), 3), "call": call, "event": event, **facts})
            os.write(self._descriptor, line.encode() + b"\n")
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the log."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
