"""The journal: what its bytes prove after any death of its writers."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport import journal
from transport.journal import Journal, Kind, evidence, page_fields, records
from transport.seam import CallResult, Cause, ReceivedPage

PAGE = ReceivedPage(1, 1728, 1100, 204.0, 196.0, b"\x00\x01strip\n\x00")
RESULT = CallResult("7", Cause.CONFIRMED, 2, last_page_offered=True, simulated=True, page_seconds=(5.0, 6.5))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a journal of a received and a sent page, as no call has them, but with every kind of record."""
    path = tmp_path_factory.mktemp("journal") / "7.journal"
    written = Journal.create(path, {"direction": "outbound", "trunk": "t", "number": "+12025550100", "caller": ""})
    written.append(Kind.DIALLED)
    written.append(Kind.ANSWERED, {"t38": True})
    written.append(Kind.NEGOTIATED, {"bit_rate": 14400})
    written.append(Kind.PAGE_CONFIRMED, page_fields(PAGE), PAGE.strip)
    written.append(Kind.LAST_PAGE_OFFERED)
    written.append(Kind.PAGE_CONFIRMED, {"page": 2})
    written.end(RESULT)
    written.close()
    return path.read_bytes()


def test_a_whole_journal_says_all(whole: bytes) -> None:
    """Lost otherwise: a fax that was delivered is called lost after a crash, or its pages are gone."""
    found = evidence(whole)
    assert (found.readable, found.complete, found.last_page_offered, found.pages_confirmed) == (True, True, True, 2)
    assert found.result == RESULT
    assert found.pages == (PAGE,)


def test_every_prefix_reads_and_never_claims_more_than_its_records(whole: bytes) -> None:
    """Lost otherwise: a crash between two bytes makes the relay dial a delivered fax again, or lose a received page."""
    ends = [(record.end, record.kind) for record in records(whole)]
    for size in range(len(whole) + 1):
        found = evidence(whole[:size])
        kinds = [kind for end, kind in ends if end <= size]
        assert found.readable
        assert found.last_page_offered == (Kind.LAST_PAGE_OFFERED in kinds)
        assert found.pages_confirmed == kinds.count(Kind.PAGE_CONFIRMED)
        assert found.complete == (Kind.ENDED in kinds)


@given(at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_damage_before_the_end_is_never_taken_for_less(whole: bytes, at: float, change: int) -> None:
    """Lost otherwise: a bad block hides that the last page was offered, and the fax is sent twice."""
    damaged = bytearray(whole)
    damaged[int(at * len(damaged))] ^= change
    found = evidence(bytes(damaged))
    last = [record.end for record in records(whole)][-2]
    if int(at * len(damaged)) < last:
        assert not found.readable
        assert found.last_page_offered
    else:
        assert found.last_page_offered


@given(junk=st.binary(max_size=200))
def test_what_is_no_journal_may_have_happened(junk: bytes) -> None:
    """Lost otherwise: recovery stops at a file of junk, and the service does not start."""
    found = evidence(junk)
    assert found.pages_confirmed == 0
    if junk.strip(b"\0") and b"\n" in junk:
        assert found.last_page_offered


def test_zeros_at_the_end_are_a_record_that_was_never_written(whole: bytes) -> None:
    """Lost otherwise: after a power failure every call under way is uncertain, though nothing had been sent."""
    end = next(record.end for record in records(whole) if record.kind is Kind.NEGOTIATED)
    found = evidence(whole[:end] + bytes(200))
    assert found.readable
    assert not found.last_page_offered


def test_a_missing_or_empty_journal_is_a_call_that_was_never_made(tmp_path: Path) -> None:
    """Lost otherwise: a fax whose call had not begun is uncertain, and a person must send it again."""
    assert not journal.read(tmp_path / "none.journal").last_page_offered
    (tmp_path / "empty.journal").touch()
    assert not journal.read(tmp_path / "empty.journal").last_page_offered


@pytest.mark.parametrize(
    "record",
    [
        b'{"kind":"ended"}', b'{"kind":"ended","call":7}', b'{"kind":["ended"]}', b"[]", b"7", b'{"kind":"new"}', b"{",
        b'{"kind":"ended","call":"7","cause":"confirmed","pages_confirmed":true,"last_page_offered":1,"simulated":0}',
    ],
)  # fmt: skip
def test_a_record_with_no_meaning_makes_the_journal_unreadable(record: bytes) -> None:
    """Lost otherwise: a worker that a hostile fax took over writes a result that the relay believes."""
    import zlib

    rest = b"%08x 0 %b" % (zlib.crc32(b""), record)
    found = evidence(b"%08x %b\n" % (zlib.crc32(rest), rest))
    assert (found.readable, found.complete, found.last_page_offered) == (False, False, True)


async def test_it_is_read_only_when_nobody_writes_it(tmp_path: Path) -> None:
    """Lost otherwise: recovery reads the journal while a worker still sends the last page."""
    path = tmp_path / "7.journal"
    line = Journal.create(path, {})
    worker = Journal(os.dup(line.fileno()))
    line.close()
    assert not await journal.wait_released(path, 0.05)
    waiting = asyncio.create_task(journal.wait_released(path, 5))
    await asyncio.sleep(0.05)
    worker.close()
    assert await waiting
    assert await journal.wait_released(tmp_path / "none.journal", 0)


def test_a_call_is_never_made_twice_under_one_name(tmp_path: Path) -> None:
    """Lost otherwise: a second call writes over the evidence of the first."""
    Journal.create(tmp_path / "7.journal", {}).close()
    with pytest.raises(FileExistsError):
        Journal.create(tmp_path / "7.journal", {})


@pytest.mark.parametrize("torn", [b"", b"0", b'00000000 00000000 0 {"kin', bytes(64)])
def test_a_dead_writers_torn_record_is_cut_off_before_more_is_written(tmp_path: Path, torn: bytes) -> None:
    """Lost otherwise: the end of a call whose worker was killed makes its whole journal unreadable."""
    path = tmp_path / "7.journal"
    line = Journal.create(path, {})
    line.append(Kind.LAST_PAGE_OFFERED)
    os.write(line.fileno(), torn)
    assert line.heal().last_page_offered
    line.end(RESULT)
    line.close()
    assert journal.read(path).complete


def test_the_lock_is_the_kernels(tmp_path: Path) -> None:
    """Lost otherwise: a killed line leaves a lock behind that nobody can take away."""
    held = Journal.create(tmp_path / "7.journal", {})
    other = os.open(tmp_path / "7.journal", os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    held.close()
    fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(other)
