"""What was sent, counted on SQLite and on a real PostgreSQL: nobody passes a last slot that another has taken."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from policies import Usage
from relay.fax import Outbound
from relay.ledger import submit
from relay.store import faxes, usage
from relay.store.tables import fax
from relay.submission import File, Recipient, Submission

if TYPE_CHECKING:
    from relay.ids import IdSource
    from relay.store.engine import Store

NOW = 1_790_000_000.0
NUMBER = "+97231234567"


def asked(sender: str = "user@example.com", **recipient: Any) -> Submission:
    """Return a submission of one file."""
    return Submission(
        source="smtp", sender=sender, proof="network", number=NUMBER, subject="Hello",
        files=(File("a.pdf", "application/pdf", 10, "ab" * 32),),
        recipients=(Recipient("+12025550123", "+12025550123", **recipient),),
    )  # fmt: skip


def counted(store: Store, sender: str | None, now: float = NOW) -> Usage:
    """Return what was sent."""
    if sender is None:
        return store.read_now(usage.of_number, NUMBER, now)
    return store.read_now(usage.of_sender, NUMBER, sender, now)


def test_faxes_and_pages_are_counted_by_number_and_by_sender(store: Store, ids: IdSource) -> None:
    """Lost otherwise: one sender uses up the quota of the whole office, or nobody's pages are counted."""
    (first,) = store.write_now(submit, ids, asked(), NOW - 7200).faxes
    store.write_now(submit, ids, asked("other@example.com"), NOW)
    store.write_now(submit, ids, asked("other@example.com", refusal="No."), NOW)

    def ready(connection: sa.Connection) -> None:
        faxes.move(connection, ids, first, Outbound.PREPARING, at=NOW, reason="")
        faxes.move(connection, ids, first, Outbound.QUEUED, at=NOW, reason="", changes={"pages": 12})

    store.write_now(ready)
    assert counted(store, None) == Usage(1, 2, 1, 13)
    assert counted(store, "user@example.com") == Usage(0, 1, 0, 12)
    assert counted(store, "other@example.com") == Usage(1, 1, 1, 1)
    assert counted(store, "nobody@example.com") == Usage()
    assert counted(store, None, NOW + 86400) == Usage()


def test_what_waits_for_its_senders_click_counts(store: Store, ids: IdSource) -> None:
    """Lost otherwise: forged mails without end, each of which asks the claimed sender to confirm."""
    (held,) = store.write_now(submit, ids, asked(), NOW).faxes

    def hold(connection: sa.Connection) -> None:
        faxes.move(connection, ids, held, Outbound.HELD, at=NOW, reason="", changes={"document_id": None})

    store.write_now(hold)
    assert counted(store, None).last_hour == 1


def test_two_at_once_do_not_both_pass_the_last_slot(store: Store, ids: IdSource) -> None:
    """Lost otherwise: with PostgreSQL, as many mails as there are connections pass a limit of one."""

    def take(connection: sa.Connection) -> bool:
        usage.serialise(connection, NUMBER)
        if usage.of_number(connection, NUMBER, NOW).last_hour:
            return False
        time.sleep(0.1)
        submit(connection, ids, asked(), NOW)
        return True

    with ThreadPoolExecutor(4) as pool:
        passed = list(pool.map(lambda _: store.write_now(take), range(4)))
    assert sum(passed) == 1
    assert len(store.read_now(lambda c: list(c.execute(sa.select(fax.c.id))))) == 1
