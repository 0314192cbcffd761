"""A call's journal: what is known of it for certain, on disk before it matters.

A call cannot be made exactly once, so after a crash this file decides. Records are appended and synced, each before
the deed it speaks of can have effects: ``last_page_offered`` before the frame leaves, ``page_confirmed`` (with the
page, when receiving) before our confirmation leaves. Form of a record::

    CRC32 of the rest of the line (8 hex digits) SP CRC32 of the payload SP length of the payload SP JSON object LF
    payload

Invariants: the file is locked (flock(2)) from its making for as long as the line or the worker lives, since both hold
the same open file; it is read only when nobody does (:func:`wait_released`). A torn last record counts as never
written: its sync had not returned, so its deed was not done. Damage before the end makes the journal unreadable, and
then everything may have happened. A missing or empty file means that the call was never made.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from transport.messages import BadMessage, decode, encode
from transport.seam import CallResult, Evidence, ReceivedPage, TraceEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: No page's strip and no record is longer (bytes).
MAX_PAYLOAD = 16 * 1024 * 1024
#: Notes that one process writes of one call, and characters of a note.
MAX_NOTES = 600
MAX_NOTE = 200
_FIRST = 4096  # bytes in which the first record ends
_POLL = 0.02  # seconds between two tries for the lock


class Kind(Enum):
    """What a record says."""

    OPENED = "opened"
    DIALLED = "dialled"
    ANSWERED = "answered"
    NEGOTIATED = "negotiated"
    LAST_PAGE_OFFERED = "last_page_offered"
    PAGE_CONFIRMED = "page_confirmed"
    NOTE = "note"  # of the trace: for people, never evidence
    ENDED = "ended"


class Damaged(Exception):
    """The journal cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record; ``end`` is the place after it in the file."""

    kind: Kind
    fields: dict[str, Any]
    payload: bytes
    end: int


class Journal:
    """A journal open for appending."""

    def __init__(self, descriptor: int) -> None:
        """Take over a descriptor that another process opened; its lock comes with it."""
        self._descriptor = descriptor
        self._notes = 0

    @classmethod
    def create(cls, path: Path, opened: dict[str, Any]) -> Journal:
        """Make and lock a journal with its first record, all synced; :class:`FileExistsError` if there is one."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        journal = cls(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            journal.append(Kind.OPENED, {**opened, "at": time.time(), "clock": time.monotonic()})
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BaseException:
            journal.close()
            raise
        return journal

    def fileno(self) -> int:
        """Return the descriptor, for passing on."""
        return self._descriptor

    def append(self, kind: Kind, fields: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        """Write one record; when this returns it is on disk. Raises :class:`OSError` if it may not be."""
        self._write(_record(kind, fields or {}, payload))
        os.fdatasync(self._descriptor)

    def note(self, arrow: str, layer: str, text: str) -> None:
        """Write a line of the trace (:class:`.seam.TraceEntry`), without a sync: losing it changes nothing.

        Text from outside is made printable; more than :data:`MAX_NOTES` are not kept, nor is one that finds no room.
        """
        self._notes += 1
        if self._notes > MAX_NOTES:
            return
        if self._notes == MAX_NOTES:
            arrow, text = "-", "there was more than is kept"
        fields = {"clock": time.monotonic(), "arrow": arrow, "layer": layer, "text": printable_line(text)}
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._write(_record(Kind.NOTE, fields, b""), tries=1)

    def heal(self) -> Evidence:
        """Cut off the torn record of a writer that died, so that more can be appended; return what is left.

        Only for the last writer. A damaged journal is left as it is.
        """
        size = os.fstat(self._descriptor).st_size
        data = os.pread(self._descriptor, size, 0)
        found = evidence(data)
        if found.readable:
            end = max((record.end for record in records(data)), default=0)
            if end < size:
                os.ftruncate(self._descriptor, end)
        return found

    def end(self, result: CallResult) -> None:
        """Write how the call ended."""
        self.append(Kind.ENDED, encode(result))

    def _write(self, record: bytes, tries: int = 200) -> None:
        """Write a record whole or, on a full disk, not at all: a torn one makes those behind it unreadable.

        Line and worker write: neither may cut off what the other wrote, so they take turns. A worker that was taken
        over could keep its turn for ever: nobody waits for longer than ``tries`` milliseconds.
        """
        self._lock(tries)
        try:
            before, left = os.fstat(self._descriptor).st_size, memoryview(record)
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                os.ftruncate(self._descriptor, before)
                raise
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _lock(self, tries: int) -> None:
        for left in reversed(range(tries)):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not left:
                    raise
                time.sleep(0.001)
            else:
                return

    def close(self) -> None:
        """Give the descriptor back; the lock goes with the last one."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def records(data: bytes) -> Iterator[Record]:
    """Yield the records of a journal up to a torn last one; raises :class:`Damaged` where they are damaged before."""
    at = 0
    while at < len(data):
        line = data.find(b"\n", at)
        # Zeros: the file had grown when the power failed, and its content had not come yet.
        if line < 0 or not any(data[at:]):
            return
        kind, payload_crc, length, fields = _head(data[at:line])
        payload = data[line + 1 : line + 1 + length]
        if len(payload) < length:
            return
        if zlib.crc32(payload) != payload_crc:
            raise Damaged(f"the journal's payload at byte {line + 1} is damaged")
        at = line + 1 + length
        yield Record(kind, fields, payload, at)


def evidence(data: bytes) -> Evidence:
    """Return what a journal's bytes prove. Never raises: what cannot be read may have happened."""
    offered, confirmed, whole = False, 0, False
    result: CallResult | None = None
    pages: list[ReceivedPage] = []
    trace: list[TraceEntry] = []
    opened_at = 0.0
    try:
        for record in records(data):
            match record.kind:
                case Kind.OPENED:
                    opened_at = record.fields.get("clock", 0.0)
                case Kind.NOTE:
                    trace.append(_noted(record.fields, opened_at))
                case Kind.LAST_PAGE_OFFERED:
                    offered = True
                case Kind.PAGE_CONFIRMED:
                    confirmed += 1
                    whole = bool(record.fields.pop("last", False))
                    if record.payload:
                        pages.append(_page(record))
                case Kind.ENDED:
                    result = decode(CallResult, record.fields)
    except (Damaged, BadMessage):
        return Evidence(
            readable=False,
            complete=False,
            last_page_offered=True,
            pages_confirmed=confirmed,
            result=None,
            pages=tuple(pages),
            trace=tuple(trace),
        )
    return Evidence(
        readable=True,
        complete=result is not None,
        last_page_offered=offered,
        pages_confirmed=confirmed,
        result=result,
        pages=tuple(pages),
        trace=tuple(trace),
        whole=whole,
    )


def read(path: Path) -> Evidence:
    """Return what a journal proves; one that is missing proves that the call was never made."""
    try:
        return evidence(path.read_bytes())
    except FileNotFoundError:
        return evidence(b"")


def opened(path: Path) -> dict[str, Any] | None:
    """Return the fields of the first record, ``None`` where there is none to read."""
    try:
        with path.open("rb") as file:
            return next(records(file.read(_FIRST))).fields
    except (OSError, Damaged, StopIteration):
        return None


async def wait_released(path: Path, timeout: float) -> bool:  # noqa: ASYNC109  the answer says which it was
    """Wait until no process writes the journal any more; return whether that came within ``timeout`` seconds."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not _released(path):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_POLL)
    return True


def printable_line(text: str) -> str:
    r"""Return text from outside as one line of printable ASCII, cut to :data:`MAX_NOTE` characters.

    >>> printable_line("BYE\r\nInjected: \x1b[2J")
    'BYE??Injected: ?[2J'
    """
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text[:MAX_NOTE])


def page_fields(page: ReceivedPage) -> dict[str, Any]:
    """Return the fields of a received page's record; its strip is the payload."""
    return encode(_PageFields(page.page, page.width, page.height, page.x_resolution, page.y_resolution))


def _record(kind: Kind, fields: dict[str, Any], payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(payload)} bytes; a journal takes {MAX_PAYLOAD}")
    body = json.dumps({"kind": kind.value, **fields}, separators=(",", ":")).encode("ascii")
    rest = b"%08x %d %b" % (zlib.crc32(payload), len(payload), body)
    return b"%08x %b\n%b" % (zlib.crc32(rest), rest, payload)


def _head(line: bytes) -> tuple[Kind, int, int, dict[str, Any]]:
    """Return a record's kind, its payload's CRC and length, its fields; the line's own CRC vouches for all of them."""
    crc, _, rest = line.partition(b" ")
    if crc != b"%08x" % zlib.crc32(rest):
        raise Damaged(f"the journal's record {line[:40]!r} is damaged")
    try:
        payload_crc, length, body = rest.split(b" ", 2)
        fields = json.loads(body)
        return Kind(fields.pop("kind")), int(payload_crc, 16), int(length), fields
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as fault:
        raise Damaged(f"the journal's record {line[:40]!r} has no meaning") from fault


def _noted(fields: dict[str, Any], opened_at: float) -> TraceEntry:
    seconds = round(max(fields.pop("clock", 0.0) - opened_at, 0.0), 3)
    return decode(TraceEntry, {"at": seconds, **fields})


def _page(record: Record) -> ReceivedPage:
    page = decode(_PageFields, record.fields)
    return ReceivedPage(page.page, page.width, page.height, page.x_resolution, page.y_resolution, record.payload)


@dataclass(frozen=True, slots=True)
class _PageFields:
    page: int
    width: int
    height: int
    x_resolution: float
    y_resolution: float


def _released(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
