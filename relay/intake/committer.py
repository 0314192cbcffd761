"""What makes mails safe: submissions that wait together are written in one transaction, with few statements for all.

Invariants: :meth:`Committer.commit` returns after the transaction that holds the submission is on the disk; quotas are
held against what is counted in the same transaction, so that two mails cannot both be the last one; whoever asked may
go away, the submission is written or refused all the same; a fault in one never undoes another.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from policies import Usage, over_quota
from relay.errors import Refusal
from relay.intake import confirming
from relay.ledger import Ledger
from relay.outbox import mails
from relay.store import usage
from relay.submission import Submission, Submitted

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from policies import Number
    from relay.ids import IdSource
    from relay.outbox.mails import MailReport
    from relay.policy import PolicyHolder
    from relay.store.engine import Store
    from relay.submission import Submission, Submitted

#: Submissions of one transaction; bounds how long the first of them waits for the others.
_TOGETHER: Final = 64


@dataclass(frozen=True, slots=True)
class _Waiting:
    asked: Submission
    beside: Callable[[sa.Connection], None] | None
    done: asyncio.Future[Submitted]


class Committer:
    """Writes submissions. One for each process: what counts is the queue before it."""

    def __init__(self, store: Store, policy: PolicyHolder, ids: IdSource, clock: Callable[[], float]) -> None:
        self._store = store
        self._policy = policy
        self._ids = ids
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def commit(self, asked: Submission, beside: Callable[[sa.Connection], None] | None = None) -> Submitted:
        """Write a submission, and what ``beside`` writes in the same transaction.

        Raises :class:`relay.errors.Refusal` where a quota is used up; faults of the database pass through.
        """
        done: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(asked, beside, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="committer")
        return await asyncio.shield(done)

    async def note(self, report: MailReport) -> bool:
        """Note what was reported on a mail of ours; return whether that changed something.

        Raises :class:`relay.errors.Refusal` as :func:`relay.outbox.mails.note` does.
        """
        return await self._store.write(mails.note, self._ids, report, self._clock())

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            await self._settle(batch)
        self._writing = None

    async def _settle(self, batch: list[_Waiting]) -> None:
        try:
            found = await self._store.write(self._submit, batch)
        except Exception as fault:  # noqa: BLE001  it goes to whoever asked
            if len(batch) > 1:
                for one in batch:  # the others are not to suffer
                    await self._settle([one])
            elif not batch[0].done.done():
                batch[0].done.set_exception(fault)
            return
        for one, made in zip(batch, found, strict=True):
            if one.done.done():
                continue
            if isinstance(made, Refusal):
                one.done.set_exception(made)
            else:
                one.done.set_result(made)

    def _submit(self, connection: sa.Connection, batch: list[_Waiting]) -> list[Submitted | Refusal]:
        now = self._clock()
        quotas = _Quotas(connection, self._policy.current.numbers.get, now)
        ledger = Ledger(connection, self._ids, [one.asked for one in batch], now)
        found: list[Submitted | Refusal] = []
        for one in batch:
            # A repeat uses up nothing: whoever did not hear our 250 is not refused for asking again.
            wanted = sum(recipient.refusal is None for recipient in ledger.fresh(one.asked))
            over = quotas.refusal(one.asked, wanted) or self._unasked(connection, ledger, one.asked, now)
            if over is None and one.beside is not None:
                one.beside(connection)
            found.append(over or ledger.add(one.asked))
            if one.asked.confirm_until is not None:
                ledger.write()  # the next one's limit counts it
        ledger.write()
        return found

    def _unasked(self, connection: sa.Connection, ledger: Ledger, asked: Submission, now: float) -> Refusal | None:
        """Return why a mail's sender is not asked to confirm it, where that is to be asked."""
        if asked.confirm_until is None or not ledger.fresh(asked):
            return None
        try:
            confirming.check(connection, self._ids, asked, now=now)
        except Refusal as refusal:
            return refusal
        return None


class _Quotas:
    """What the numbers of one transaction have sent, and what the transaction adds to it."""

    def __init__(self, connection: sa.Connection, number: Callable[[str], Number | None], now: float) -> None:
        self._connection = connection
        self._number = number
        self._now = now
        self._by_number: dict[str, Usage] = {}
        self._by_sender: dict[tuple[str, str | None], Usage] = {}

    def refusal(self, asked: Submission, wanted: int) -> Refusal | None:
        """Return why ``wanted`` more faxes are too many; count them where they are not."""
        number = self._number(asked.number)
        if not wanted or number is None or not number.limits.counted:
            return None
        both = (asked.number, asked.sender)
        if asked.number not in self._by_number:
            usage.serialise(self._connection, asked.number)
            self._by_number[asked.number] = usage.of_number(self._connection, asked.number, self._now)
        if both not in self._by_sender:
            self._by_sender[both] = usage.of_sender(self._connection, *both, self._now)
        over = over_quota(number, self._by_number[asked.number], self._by_sender[both], wanted)
        if over is not None:
            return Refusal(over.kind.smtp_code, over.kind.enhanced_code, over.sentence)
        if asked.confirm_until is not None:
            return None  # strangers must not use up what a number may send
        self._by_number[asked.number] = self._by_number[asked.number].more(wanted)
        self._by_sender[both] = self._by_sender[both].more(wanted)
        return None
