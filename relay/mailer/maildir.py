"""Outgoing mail into a Maildir, where no smarthost is named: for a first look, for tests, for a server that reads one.

A message is written to ``tmp``, synced, renamed into ``new``, and the folder synced, in this order. Its file is named
for its delivery, so that a repeat finds it there and writes nothing. The envelope stands in ``Return-Path`` and
``Delivered-To``.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from relay.outbox import Deferred, Delivered, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from relay.mailer.letter import Letter, Signing


class Maildir:
    """A carrier that keeps every letter in ``folder``, signed by ``sign``."""

    def __init__(self, folder: Path, sign: Signing | None = None) -> None:
        self._folder = folder
        self._sign = sign

    async def send(self, letter: Letter) -> Outcome:
        """Write the letter, unless it is there."""
        try:
            await asyncio.to_thread(self._write, letter)
        except OSError as fault:
            return Deferred(f"{self._folder} cannot be written: {fault.strerror}", blocked=True)
        return Delivered(f"kept in {self._folder}")

    def _write(self, letter: Letter) -> None:
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{letter.name}.faxrelay"
        if (self._folder / "new" / name).exists() or any((self._folder / "cur").glob(f"{name}*")):
            return
        work = self._folder / "tmp" / name
        envelope = f"Return-Path: <{letter.sender}>\nDelivered-To: {letter.recipient}\n"
        with work.open("wb") as file:
            file.write(envelope.encode() + letter.content("\n", self._sign))
            file.flush()
            os.fsync(file.fileno())
        work.replace(self._folder / "new" / name)
        folder = os.open(self._folder / "new", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
