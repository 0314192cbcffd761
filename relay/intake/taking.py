"""A complete message and what its client hears: a mail goes to the desk, a report on a mail of ours to its reader.

A refusal is the sender's to read; what goes wrong here is answered 451, and the fault itself goes to the log alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from relay.errors import Refusal
from relay.intake.address import ReportAddress
from relay.intake.replies import OUR_FAULT, of_acceptance, of_refusal

if TYPE_CHECKING:
    from relay.intake.desk import Desk, Envelope
    from relay.intake.reports import Reports
    from relay.intake.spool import Spool

log = structlog.get_logger()

_READ: Final = "250 2.0.0 The report is read."


class TakingIn:
    """Takes messages. ``reports``: who reads reports, where there are addresses for them."""

    def __init__(self, desk: Desk, reports: Reports | None = None) -> None:
        self._desk = desk
        self._reports = reports

    async def take(self, spool: Spool, envelope: Envelope | ReportAddress) -> list[str]:
        """Take a message, close its spool and return the replies.

        One, or one for each recipient (RFC 2033 section 4.2); a report has one recipient.
        """
        client = None if isinstance(envelope, ReportAddress) else str(envelope.client)
        count = 1 if isinstance(envelope, ReportAddress) or not envelope.each else len(envelope.recipients)
        try:
            if isinstance(envelope, ReportAddress):
                return [await self._report(spool, envelope)]
            accepted = await self._desk.accept(spool.path, envelope)
        except Refusal as refusal:
            log.info("mail refused", client=client, code=refusal.code, enhanced=refusal.enhanced)
            return [of_refusal(refusal)] * count
        except Exception:
            log.exception("mail not taken", client=client)
            return [OUR_FAULT] * count
        finally:
            spool.close()
        if envelope.each:
            return [of_refusal(one) if one is not None else of_acceptance(accepted) for one in accepted.refusals]
        return [of_acceptance(accepted)]

    async def _report(self, spool: Spool, recipient: ReportAddress) -> str:
        if self._reports is None:  # nobody else makes such recipients
            raise LookupError("there are no addresses for reports")
        await self._reports.take(spool.path, recipient)
        return _READ
