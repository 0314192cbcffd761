"""Arrivals: what a ringing line reports becomes an inbound fax, and its confirmed pages a document.

Committed steps: the fax is recorded when the line rings; each confirmed page is in the call's journal, synced by the
worker before the far machine hears of it; at the call's end the pages are re-encoded in a confined child, kept as
TIFF and PDF, and the fax becomes ``received`` in the transaction that names them. Then the journal goes. A crash
anywhere leaves the journal, and :meth:`Arrivals.recover` finishes the step. A call that dropped keeps its confirmed
pages and says so.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from converters import Broken, Converter, FaxStrip, Refused
from relay import progress
from relay.errors import RelayError
from relay.fax import Direction, Inbound
from relay.outcome import WORDS, of_evidence
from relay.store import faxes
from relay.store.tables import document, fax
from transport.messages import encode
from transport.seam import Arrived, Arriving, CallResult, Cause, Evidence, Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.ids import IdSource
    from relay.policy import PolicyHolder
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store

log = structlog.get_logger()


class Arrivals:
    """The stage's loop for one line."""

    def __init__(
        self,
        store: Store,
        blobs: LocalBlobs,
        converter: Converter,
        line: Line,
        policy: PolicyHolder,
        ids: IdSource,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._converter = converter
        self._line = line
        self._policy = policy
        self._ids = ids
        self._clock = clock

    async def run(self) -> None:
        """Take in what arrives until cancelled. Calls are finished side by side; each keeps its reports' order."""
        async with asyncio.TaskGroup() as finishing:
            async for arrival in self._line.arrivals():
                match arrival:
                    case Arriving():
                        await self._store.write(self._record, arrival)
                    case Arrived():
                        finishing.create_task(self._finish_logged(arrival.call))
                    case _:
                        await self._store.write(self._progress, arrival)

    async def recover(self) -> int:
        """Finish the calls that a predecessor left, from their journals; return how many. Done before new ones."""
        for arriving in self._line.leftovers():
            await self._store.write(self._record, arriving)
        left = await self._store.read(self._receiving)
        for call in left:
            await self._finish_logged(call)
        return len(left)

    def _record(self, connection: sa.Connection, arriving: Arriving) -> None:
        """Write the ringing call's fax; harmless for a call that is recorded already."""
        if connection.execute(sa.select(fax.c.id).where(fax.c.line_call == arriving.call)).first():
            return
        now = self._clock()
        faxes.create(
            connection,
            self._ids,
            {
                "direction": Direction.INBOUND.value,
                "line_call": arriving.call,
                "number": arriving.number,
                "peer": arriving.caller,
                "settings": self._policy.inbound_settings(arriving.number),
                "created_at": now,
            },
            reason=f"the line rings on {arriving.trunk}",
        )

    def _progress(self, connection: sa.Connection, arrival: Any) -> None:
        fax_id = connection.execute(sa.select(fax.c.id).where(fax.c.line_call == arrival.call)).scalar_one()
        progress.note(connection, self._ids, fax_id, arrival, self._clock())

    def _receiving(self, connection: sa.Connection) -> list[str]:
        query = sa.select(fax.c.line_call).where(fax.c.state == Inbound.RECEIVING.value).order_by(fax.c.id)
        return list(connection.execute(query).scalars())

    async def _finish_logged(self, call: str) -> None:
        try:
            await self._finish(call)
        except (RelayError, Broken):  # the journal stays: the next start tries again, nothing is lost
            log.exception("a received fax could not be finished", call=call)

    async def _finish(self, call: str) -> None:
        evidence = await self._line.evidence(call)
        result = of_evidence(evidence, call, simulated=self._line.name == "simulated")
        try:
            kept = await self._keep(evidence, await self._store.read(_row, call)) if evidence.pages else None
        except Refused as refused:
            log.warning("received pages could not be decoded", call=call, reason=refused.reason.value)
            kept = None
        fax_id = await self._store.write(self._conclude, call, result, kept)
        self._line.forget(call)
        log.info("fax received", fax=fax_id, pages=kept["pages"] if kept else 0, cause=result.cause.value)

    async def _keep(self, evidence: Evidence, row: sa.Row[Any]) -> dict[str, Any]:
        """Re-encode the pages and keep them as TIFF and PDF; return the document's columns."""
        strips = [FaxStrip(p.width, p.height, p.x_resolution, p.y_resolution, p.strip) for p in evidence.pages]
        with self._blobs.scratch(".tif") as tiff, self._blobs.scratch(".pdf") as pdf:
            made = await self._converter.assemble(strips, tiff)
            title = f"Fax to {row.number} from {row.peer or 'an unknown number'}"
            await self._converter.to_pdf(tiff, pdf, title, created=_iso(row.created_at))
            tiff_blob = await asyncio.to_thread(self._blobs.adopt, tiff)
            pdf_blob = await asyncio.to_thread(self._blobs.adopt, pdf)
        return {"blob": tiff_blob.name, "pdf": pdf_blob.name, "pages": len(made.pages), "size": tiff_blob.size}

    def _conclude(self, connection: sa.Connection, call: str, result: CallResult, kept: dict[str, Any] | None) -> int:
        now = self._clock()
        row = _row(connection, call)
        changes: dict[str, Any] = {
            "pages_confirmed": kept["pages"] if kept else 0,
            "remote_ident": result.remote_ident or row.remote_ident,
        }
        if kept is None:
            after, reason = Inbound.UNDELIVERABLE, f"no page was received: {WORDS[result.cause]}"
        else:
            document_id = self._ids()
            connection.execute(document.insert().values(id=document_id, rendering="received", created_at=now, **kept))
            changes |= {"document_id": document_id, "pages": kept["pages"]}
            after, reason = Inbound.RECEIVED, _told(result, kept["pages"])
        faxes.move(
            connection,
            self._ids,
            row.id,
            after,
            at=now,
            reason=reason,
            changes=changes,
            detail={"result": encode(result)},
        )
        return int(row.id)


def _row(connection: sa.Connection, call: str) -> sa.Row[Any]:
    return connection.execute(sa.select(fax).where(fax.c.line_call == call)).one()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _told(result: CallResult, pages: int) -> str:
    """Return the sentence of what came: a call that was cut says so."""
    count = f"{pages} page{'s' * (pages != 1)}"
    if result.cause is Cause.CONFIRMED:
        return f"{count} received"
    return f"{count} received, then {WORDS[result.cause]}: there may have been more pages"
