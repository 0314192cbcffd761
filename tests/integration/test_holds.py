"""Holds on both databases: one decision counts, however many decide at once, and what ran out ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from relay.errors import Decided
from relay.fax import Outbound
from relay.ledger import submit
from relay.store import confirmations, faxes, holds, queue
from relay.store.tables import confirmation, document, fax, hold, submission
from relay.submission import File, Recipient, Submission

if TYPE_CHECKING:
    from relay.ids import IdSource
    from relay.store.engine import Store

NOW = 1_790_000_000.0
NEEDS = {"approval": {"by": ["boss@example.com", "deputy@example.com"], "seconds": 3600.0, "over_pages": None}}


def made(store: Store, ids: IdSource, count: int, *, confirm: float | None = None) -> list[int]:
    """Submit faxes to ``count`` numbers and, unless their sender has to confirm them, make their pages."""
    asked = Submission(
        source="smtp", sender="user@example.com", proof="none", number="+97231234567", subject="",
        files=(File("a.pdf", "application/pdf", 1, "ab" * 32),), confirm_until=confirm,
        recipients=tuple(Recipient(f"+1202555012{number}", "x", NEEDS) for number in range(count)),
        answerable=confirm is None,
    )  # fmt: skip
    found = list(store.write_now(submit, ids, asked, NOW).faxes)
    if confirm is None:
        for fax_id in found:
            store.write_now(faxes.move, ids, fax_id, Outbound.PREPARING, at=NOW, reason="")
        store.write_now(holds.ready, ids, found, 2, at=NOW, reason="ready")
    return found


def states(store: Store) -> list[str]:
    """Return the states of all faxes."""
    return store.read_now(lambda c: list(c.execute(sa.select(fax.c.state).order_by(fax.c.id)).scalars()))


async def test_of_many_decisions_at_once_one_counts(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a fax is refused and dialled."""
    first, *_ = made(store, ids, 3)

    def decide(connection: sa.Connection, number: int) -> holds.Question:
        verdict = holds.Verdict.APPROVE if number % 2 else holds.Verdict.DENY
        return holds.decide(connection, ids, first, verdict, by=f"{number}@example.com", at=NOW + 1)

    done = await asyncio.gather(*(store.write(decide, number) for number in range(8)), return_exceptions=True)
    (won,) = [one for one in done if isinstance(one, holds.Question)]
    assert sum(isinstance(one, Decided) for one in done) == 7
    assert len(won.fax_ids) == 3
    rows = store.read_now(lambda c: list(c.execute(sa.select(hold.c.verdict, hold.c.decided_by).distinct())))
    assert len(rows) == 1
    assert states(store) == [{"approve": "queued", "deny": "failed"}[rows[0].verdict]] * 3


async def test_what_ran_out_ends_once_however_many_look(store: Store, ids: IdSource) -> None:
    """Lost otherwise: on several machines a fax fails twice, or an unconfirmed one stays for ever."""
    made(store, ids, 2)
    made(store, ids, 2, confirm=NOW + 100)
    store.write_now(confirmations.note, ids, "from user@example.com", NOW)
    assert states(store) == ["held"] * 4
    assert store.write_now(holds.expire, ids, NOW + 50)[0] == 0
    ended = await asyncio.gather(*(store.write(holds.expire, ids, NOW + 3600) for _ in range(4)))
    assert sum(count for count, _ in ended) == 4
    assert frozenset().union(*(erased.blobs for _, erased in ended)) == {"ab" * 32}
    assert states(store) == ["failed"] * 2
    assert len(store.read_now(lambda c: list(c.execute(sa.select(submission.c.id))))) == 1
    assert len(store.read_now(lambda c: list(c.execute(sa.select(document.c.id))))) == 1
    store.write_now(confirmations.drop, NOW + confirmations.MEMORY)
    assert store.read_now(lambda c: list(c.execute(sa.select(confirmation)))) == []


async def test_a_click_and_the_end_of_its_time_do_not_meet(store: Store, ids: IdSource) -> None:
    """Lost otherwise: a fax is erased while it goes out."""
    (only,) = made(store, ids, 1, confirm=NOW + 100)
    click = store.write(lambda c: holds.decide(c, ids, only, holds.Verdict.APPROVE, by="user@example.com", at=NOW + 99))
    await asyncio.gather(click, *(store.write(holds.expire, ids, NOW + 100) for _ in range(3)), return_exceptions=True)
    left = states(store)
    assert left in (["preparing"], [])
    if left:
        row = store.read_now(lambda c: c.execute(sa.select(submission)).one())
        assert row.answerable
        assert store.read_now(lambda c: c.execute(sa.select(document.c.not_before)).scalar_one()) == NOW + 99


def test_an_unconfirmed_document_is_not_made(store: Store, ids: IdSource) -> None:
    """Lost otherwise: anybody who can send mail has us parse documents."""
    made(store, ids, 1, confirm=NOW + 100)
    lease = queue.Lease("node-test")
    assert store.write_now(queue.claim_document, lease, NOW + 1) is None
    assert store.write_now(queue.claim_document, lease, NOW + 101) is None


def test_the_default_verdict_of_silence_is_no(store: Store, ids: IdSource) -> None:
    """Lost otherwise: what nobody approved is dialled when its time is over."""
    (only,) = made(store, ids, 1)
    store.write_now(holds.expire, ids, NOW + 3600)
    with pytest.raises(Decided, match="nobody had answered in time"):
        store.read_now(lambda c: holds.question(c, only))
