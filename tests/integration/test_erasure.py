"""Retention and erasure, on SQLite and on a real PostgreSQL: what goes, what stays, and what is never touched."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from policies import Policy, Retention
from relay import housekeeping
from relay.errors import IllegalMove, NotFound
from relay.fax import Direction, Inbound, Outbound
from relay.ledger import submit
from relay.store import faxes
from relay.store.blobs import LocalBlobs
from relay.store.tables import (
    attachment,
    attempt,
    audit,
    delivery,
    document,
    event,
    fax,
    metadata,
    submission,
    submission_key,
    trace,
)
from relay.submission import File, Recipient, Submission

if TYPE_CHECKING:
    from pathlib import Path

    from relay.ids import IdSource
    from relay.store.engine import Store

NOW, DAY = 1_790_000_000.0, 86400.0
NUMBER = "+97231234567"


class House:
    """A store and blobs with faxes that have ended at ``NOW``."""

    def __init__(self, store: Store, ids: IdSource, blobs: LocalBlobs) -> None:
        self.store, self.ids, self.blobs, self.now = store, ids, blobs, NOW

    def put(self, data: bytes) -> str:
        """Keep a blob that is old by the machine's clock."""
        blob = self.blobs.put(data)
        os.utime(self.blobs.path(blob.name), (NOW, NOW))
        return blob.name

    def ended(self, *to: str, state: Outbound = Outbound.SENT, message_id: str = "<1@example.com>") -> list[int]:
        """Make faxes of one submission that were transmitted."""
        asked = Submission(
            source="smtp", sender="user@example.com", proof="dmarc", number=NUMBER, subject="Offer",
            files=(File("a.pdf", "application/pdf", 4, self.put(b"file")),),
            recipients=tuple(Recipient(one, one) for one in to), message_id=message_id,
        )  # fmt: skip
        made = self.store.write_now(submit, self.ids, asked, NOW).faxes
        self.store.write_now(self._end, made, state)
        return list(made)

    def _end(self, connection: sa.Connection, made: tuple[int, ...], state: Outbound) -> None:
        connection.execute(document.update().where(document.c.blob.is_(None)).values(blob=self.put(b"tiff"), pages=1))
        for fax_id in made:
            for after in (Outbound.PREPARING, Outbound.QUEUED, Outbound.DIALING):
                faxes.move(connection, self.ids, fax_id, after, at=NOW, reason="")
            sent = self.put(f"transmitted {fax_id}".encode())
            connection.execute(
                attempt.insert().values(
                    id=self.ids(), fax_id=fax_id, ordinal=1, trunk="line", started_at=NOW, transmitted=sent
                )
            )
            connection.execute(trace.insert().values(fax_id=fax_id, attempt=1, call="1", entries=[], created_at=NOW))
            if state is not Outbound.DIALING:
                faxes.move(connection, self.ids, fax_id, state, at=NOW, reason="ended")
        connection.execute(event.update().values(routed=True))

    def received(self, state: Inbound) -> int:
        """Make a received fax with a page."""

        def make(connection: sa.Connection) -> int:
            values = {
                "direction": Direction.INBOUND.value, "number": NUMBER, "peer": "", "line_call": str(self.ids()),
                "settings": {}, "created_at": NOW,
            }  # fmt: skip
            fax_id = faxes.create(connection, self.ids, values, reason="")
            made = self.ids()
            connection.execute(
                document.insert().values(
                    id=made, rendering="received", created_at=NOW, blob=self.put(b"page"), pdf=self.put(b"pdf")
                )
            )
            way = (Inbound.QUARANTINED,) if state is Inbound.QUARANTINED else (Inbound.RECEIVED, state)
            for after in way:
                faxes.move(
                    connection, self.ids, fax_id, after, at=NOW, reason="", changes={"document_id": made, "pages": 1}
                )
            connection.execute(event.update().values(routed=True))
            return fax_id

        return self.store.write_now(make)

    async def erase(self, **kept: timedelta) -> int:
        """Keep house."""
        policy = Policy(retention=replace(Retention(), **kept))  # type: ignore[arg-type]  # names of times
        return await housekeeping.erase_old(self.store, self.blobs, lambda: self.now, policy, self.ids)

    def rows(self, table: sa.Table) -> list[sa.Row[Any]]:
        """Return a table's rows."""
        return self.store.read_now(lambda c: list(c.execute(sa.select(table))))

    def has(self, data: bytes) -> bool:
        """Tell whether bytes are still kept."""
        return self.blobs.path(hashlib.sha256(data).hexdigest()).exists()


@pytest.fixture
def house(store: Store, ids: IdSource, tmp_path: Path) -> House:
    """A house on an empty store."""
    return House(store, ids, LocalBlobs(tmp_path / "blobs"))


async def test_documents_go_when_their_time_is_over_and_not_before(house: House) -> None:
    """Lost otherwise: a medical report stays on the disk for ever, or goes before its time."""
    (fax_id,) = house.ended("+12025550123")
    house.now = NOW + 30 * DAY
    assert await house.erase(documents=timedelta(days=30)) == 0
    house.now += 1
    assert await house.erase(documents=timedelta(days=30)) == 1
    assert not any(house.has(data) for data in (b"file", b"tiff", f"transmitted {fax_id}".encode()))
    assert house.rows(attachment) == house.rows(document) == house.rows(trace) == []
    row = house.store.read_now(faxes.get, fax_id)
    assert (row.state, row.document_id, row.peer) == ("sent", None, "+12025550123")
    assert house.rows(submission)[0].subject == "Offer"
    (left,) = house.rows(audit)
    assert (left.fax_id, left.outcome, left.created_at, left.ended_at) == (fax_id, "sent", NOW, NOW)
    assert (len(left.digests["document"]), len(left.digests["transmitted"])) == (64, 1)
    assert left.rows_erased_at is None
    assert await house.erase(documents=timedelta(days=30)) == 0


async def test_rows_go_last_and_leave_a_line_in_the_audit(house: House) -> None:
    """Lost otherwise: addresses and subjects are kept for ever, or nobody can show that a fax was sent."""
    (first,) = house.ended("+12025550123")
    (again,) = house.ended("+12025550124", message_id="<2@example.com>")
    house.store.write_now(lambda c: c.execute(fax.update().where(fax.c.id == again).values(resend_of=first)))
    house.now = NOW + 40 * DAY
    await house.erase(documents=timedelta(days=30))
    await house.erase(documents=timedelta(days=30), rows=timedelta(days=35))
    for table in metadata.sorted_tables:
        if table.name not in {"audit", "queue_lane", "alembic_version"}:
            assert house.rows(table) == [], table.name
    lines = {line.fax_id: line for line in house.rows(audit)}
    assert set(lines) == {first, again}
    assert (lines[first].rows_erased_at, lines[first].erased_by) == (house.now, "the policy")
    assert lines[first].digests["document"]
    with pytest.raises(NotFound, match="was erased on 2026-10-31 by the policy; it ended as sent on 2026-09-21"):
        house.store.read_now(faxes.get, first)


async def test_a_shared_document_goes_with_its_last_fax(house: House) -> None:
    """Lost otherwise: erasing one recipient's fax takes the others' pages, or nobody's removes them."""
    one, two = house.ended("+12025550123", "+12025550124")
    await housekeeping.erase_one(house.store, house.blobs, one, NOW + 2 * DAY, house.ids, who="a person")
    assert house.has(b"tiff")
    assert house.has(b"file")
    assert [row.id for row in house.rows(fax)] == [two]
    assert len(house.rows(submission_key)) == 1
    await housekeeping.erase_one(house.store, house.blobs, two, NOW + 2 * DAY, house.ids, who="a person")
    assert not house.has(b"tiff")
    assert not house.has(b"file")
    assert house.rows(submission) == []


async def test_what_has_not_ended_or_was_not_delivered_is_never_erased(house: House) -> None:
    """Lost otherwise: a fax that nobody has read yet is gone, and so is one that is still being sent."""
    (going,) = house.ended("+12025550123", state=Outbound.DIALING)
    lost = house.received(Inbound.UNDELIVERABLE)
    taken = house.received(Inbound.DELIVERED)
    house.now = NOW + 4000 * DAY
    assert await house.erase(documents=timedelta(days=1), rows=timedelta(days=1)) == 1
    assert {row.id for row in house.rows(fax)} == {going, lost}
    assert [line.fax_id for line in house.rows(audit)] == [taken]
    with pytest.raises(IllegalMove, match="is dialing: it can be erased when it has ended"):
        await housekeeping.erase_one(house.store, house.blobs, going, house.now, house.ids, who="a person")
    await housekeeping.erase_one(house.store, house.blobs, lost, house.now, house.ids, who="a person")
    assert {row.id for row in house.rows(fax)} == {going}


@pytest.mark.parametrize(("states", "kept"), [(["failed"], True), (["failed", "done"], False), (["done"], False)])
async def test_a_fax_whose_every_mail_came_back_is_kept(house: House, states: list[str], kept: bool) -> None:
    """Lost otherwise: a fax that a server took and returned later is erased before anybody had it."""
    fax_id = house.received(Inbound.DELIVERED)
    for state in states:
        house.store.write_now(
            lambda connection, state=state: connection.execute(  # type: ignore[misc]  # as a default
                delivery.insert().values(
                    id=house.ids(), lane="mail", target=f"{state}@example.com", order_key=state, kind="received_fax",
                    fax_id=fax_id, payload={}, state=state, not_before=NOW, created_at=NOW,
                )
            )
        )  # fmt: skip
    house.now = NOW + 4000 * DAY
    assert await house.erase(documents=timedelta(days=1)) == (0 if kept else 1)
    assert house.has(b"pdf") is kept


@pytest.mark.parametrize("what", ["delivery", "event", "machine"])
async def test_what_somebody_still_waits_for_is_never_erased(house: House, what: str) -> None:
    """Lost otherwise: a receipt or a received fax loses its pages while a mail server is down."""
    fax_id = house.received(Inbound.DELIVERED)

    def wait(connection: sa.Connection) -> None:
        if what == "event":
            connection.execute(event.update().values(routed=False))
        else:
            connection.execute(
                delivery.insert().values(
                    id=1, lane="mail", target="a@example.com", order_key="", kind="receipt", fax_id=fax_id,
                    payload={}, state="due", not_before=0, created_at=NOW,
                )
            )  # fmt: skip

    if what == "machine":
        (going,) = house.ended("+12025550123", state=Outbound.DIALING)
        passing = fax.update().where(fax.c.id == going).values(passes_on=fax_id)
        house.store.write_now(lambda c: c.execute(passing))
    else:
        house.store.write_now(wait)
    house.now = NOW + 4000 * DAY
    assert await house.erase(documents=timedelta(days=1), rows=timedelta(days=1)) == 0
    with pytest.raises(IllegalMove, match="still wait for fax"):
        await housekeeping.erase_one(house.store, house.blobs, fax_id, house.now, house.ids, who="a person")


async def test_traces_of_a_number_have_a_time_of_their_own(house: House) -> None:
    """Lost otherwise: what was said on the wire of a confidential number is kept as long as everybody's."""
    house.ended("+12025550123")
    house.now = NOW + 8 * DAY
    await house.erase(traces=timedelta(days=9))
    assert len(house.rows(trace)) == 1
    await house.erase(traces=timedelta(days=7))
    assert house.rows(trace) == []
    assert house.has(b"tiff")


async def test_a_blob_that_is_named_elsewhere_or_new_stays(house: House) -> None:
    """Lost otherwise: two people send the same form, and erasing one's takes it from the other."""
    (first,) = house.ended("+12025550123")
    house.ended("+12025550124", message_id="<2@example.com>")
    house.blobs.put(f"transmitted {first}".encode())
    await housekeeping.erase_one(house.store, house.blobs, first, NOW + 2 * DAY, house.ids, who="a person")
    assert house.has(b"file")
    assert house.has(f"transmitted {first}".encode())


async def test_what_lies_in_quarantine_is_erased_by_its_age_and_by_hand(house: House) -> None:
    """Lost otherwise: junk that nobody wants is kept for ever."""
    house.received(Inbound.QUARANTINED)
    assert await house.erase(rows=timedelta(days=400)) == 0
    house.now = NOW + 31 * DAY
    assert await house.erase(rows=timedelta(days=30)) == 1
    second = house.received(Inbound.QUARANTINED)
    await housekeeping.erase_one(house.store, house.blobs, second, house.now, house.ids, who="a test")
    outcomes = house.store.read_now(lambda c: list(c.execute(sa.select(audit.c.outcome)).scalars()))
    assert outcomes == ["quarantined"] * 2
