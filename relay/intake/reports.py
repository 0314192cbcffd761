"""Reports on mails of ours: what comes to an address of :mod:`relay.reports` is read here and becomes no fax.

The address proves that whoever reports has had the mail; nothing in the message does. Invariants: an address that was
not made here is refused before the message comes; what a report says is read in a confined child; when :meth:`take`
returns, what follows from it is committed; nobody is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from relay.confine import ChildDied
from relay.errors import Refusal
from relay.intake import spool
from relay.intake.address import ReportAddress
from relay.mailer.writing import one_line
from relay.outbox.mails import MailReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from relay.intake.desk import Commits
    from relay.intake.message import MailReader
    from relay.reports import ReportAddresses
    from relay.store.blobs import LocalBlobs

log = structlog.get_logger()

OPENED: Final = "its reader's mail program sent a receipt"
_UNSAID: Final = "its server gave no reason"
_ALONE: Final = "A report goes to one address: send it to the others by itself."


class Reports:
    """Takes reports for every listener and mailbox."""

    def __init__(self, addresses: ReportAddresses, reader: MailReader, blobs: LocalBlobs, commits: Commits) -> None:
        self._addresses = addresses
        self._reader = reader
        self._blobs = blobs
        self._commits = commits

    def at_recipient(self, address: str, others: Sequence[object]) -> ReportAddress | None:
        """Return the recipient that an address is, ``None`` where it is one for faxes; raise :class:`Refusal`.

        ``others``: the recipients before it.
        """
        if any(isinstance(other, ReportAddress) for other in others):
            raise Refusal(452, "4.5.3", _ALONE)
        delivery = self._addresses.read(address)
        if delivery is None:
            return None
        if others:
            raise Refusal(452, "4.5.3", _ALONE)
        return ReportAddress(delivery)

    def addressed(self, written: Iterable[str]) -> int | None:
        """Return the delivery that a message without an envelope reports on, ``None`` where it is no report."""
        return next((found for text in written if (found := self._addresses.read(text)) is not None), None)

    async def take(self, message: Path, recipient: ReportAddress) -> None:
        """Read a report and note what it says; raises :class:`Refusal` for one out of bounds or too early."""
        report, _ = await self.read(message, recipient.delivery)
        if report is None:
            log.info("a mail to an address for reports says nothing", delivery=recipient.delivery)
            return
        changed = await self._commits.note(report)
        log.info("report", delivery=report.delivery, opened=report.opened, words=report.words, changed=changed)

    async def read(self, message: Path, delivery: int | None = None) -> tuple[MailReport | None, int | None]:
        """Return what a message reports, and on which delivery: ``delivery``, or that of an address in its header."""
        with spool.beside(message, self._blobs) as content:
            try:
                said = await self._reader.report(message, content)
            except ChildDied as fault:
                log.exception("no reader of mail could be started")
                raise Refusal(451, "4.3.0", "Mail cannot be read here at the moment. Try again later.") from fault
        of = delivery if delivery is not None else self.addressed(said.addressed)
        if of is None or not said.kind:
            return None, of
        opened = said.kind == "opened"
        return MailReport(of, opened=opened, words=OPENED if opened else one_line(said.words) or _UNSAID), of
