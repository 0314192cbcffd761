"""Dialogs that a line which died left open on the network: its successor says BYE (RFC 3261 15.1.1).

A killed line sends nothing; the far side would keep its channel until its own timers end. What a BYE needs is kept in a
file for each dialog while it lives. The files say nothing of faxes: what became of those is in the calls' journals. No
sync: they are for the death of a process, and after that of the machine the far sides have long given up.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from transport.messages import BadMessage, decode

#: Added to the last CSeq that is known: what was sent after that stays below it.
AHEAD = 1000


@dataclass(frozen=True, slots=True)
class Remain:
    """One dialog: RFC 3261 12's parts, and the hop that its requests go to. ``local``, ``remote``: with tags."""

    call_id: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...]
    number: int
    transport: str
    host: str
    port: int
    name: str = ""
    ca: str = ""


class Remains:
    """The files of a folder; without one nothing is kept."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder) / "dialogs" if folder else None
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def keep(self, remain: Remain) -> None:
        """Note an open dialog; a disk without room costs a courtesy, not the call."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._file(self._folder, remain.call_id, remain.remote).write_text(
                    json.dumps(asdict(remain)), encoding="utf-8"
                )

    def drop(self, call_id: str, remote: str) -> None:
        """Forget a dialog that has ended; those of one call's forks differ in ``remote``."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._file(self._folder, call_id, remote).unlink(missing_ok=True)

    def take(self) -> list[Remain]:
        """Return what a predecessor left, once."""
        found: list[Remain] = []
        for file in sorted(self._folder.glob("*.json")) if self._folder is not None else ():
            with contextlib.suppress(OSError, ValueError, BadMessage):
                found.append(decode(Remain, json.loads(file.read_text(encoding="utf-8"))))
            file.unlink(missing_ok=True)
        return found

    @staticmethod
    def _file(folder: Path, *dialog: str) -> Path:
        key = "\n".join(dialog).encode(errors="surrogateescape")
        return folder / f"{hashlib.sha256(key).hexdigest()[:32]}.json"
