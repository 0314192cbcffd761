"""Arrivals: what a ringing line reports becomes an inbound fax, and its confirmed pages a document.

Committed steps: the fax is recorded when the line rings; each confirmed page is in the call's journal, synced by the
worker before the far machine hears of it; at the call's end the pages are re-encoded in a confined child, kept as
TIFF and PDF, and the fax becomes ``received`` in the transaction that names them (or ``reading``,
:mod:`relay.inbound.reading`). Then the journal goes. A crash
anywhere leaves the journal, and :meth:`Arrivals.recover` finishes the step. A call that dropped keeps its confirmed
pages and says so.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from converters import Converter, FaxDocument, FaxStrip, Refused
from policies import CallFacts, Junk, decide_call
from relay import progress
from relay.fax import Direction, Inbound
from relay.inbound import devices, reading
from relay.ledger import submit
from relay.outcome import WORDS, of_evidence
from relay.store import faxes, traces, usage
from relay.store.engine import Topic, announce
from relay.store.tables import document, fax
from relay.submission import File, Submission, Submitted
from transport.messages import encode
from transport.seam import Arrival, Arrived, Arriving, CallResult, Cause, Evidence, Line, Negotiated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relay.ids import IdSource
    from relay.policy import PolicyHolder
    from relay.store.blobs import Blob, LocalBlobs
    from relay.store.engine import Store
    from transport.seam import TraceEntry

log = structlog.get_logger()

#: Pauses between two tries to finish a call, in seconds: the first, and the longest.
PAUSE, LONGEST_PAUSE = 5.0, 600.0


class Unfinished(Exception):
    """A call's pages cannot be taken in yet; its journal stays, and the step is tried again."""


class Arrivals:
    """The stage's loop for one line. ``owner``: the node's name, beside whose journals the faxes are."""

    def __init__(
        self,
        store: Store,
        blobs: LocalBlobs,
        converter: Converter,
        line: Line,
        policy: PolicyHolder,
        ids: IdSource,
        clock: Callable[[], float],
        *,
        owner: str,
        pause: float = PAUSE,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._converter = converter
        self._line = line
        self._policy = policy
        self._ids = ids
        self._clock = clock
        self._owner = owner
        self._pause = pause
        self._unfinished: set[str] = set()

    async def run(self) -> None:
        """Take in what arrives until cancelled. Calls are finished side by side; each keeps its reports' order."""
        async with asyncio.TaskGroup() as finishing:
            for call in self._unfinished:
                finishing.create_task(self._finish_patiently(call))
            async for arrival in self._line.arrivals():
                if isinstance(arrival, Arrived):
                    finishing.create_task(self._finish_patiently(arrival.call))
                    continue
                try:
                    await self._store.write(self._report, arrival)
                    if isinstance(arrival, Negotiated):
                        await self._screen(arrival)
                except Exception:  # the journal has it too: what is missing is written when the call is finished
                    log.exception("a call's report could not be written", call=arrival.call)

    async def recover(self) -> int:
        """Finish the calls that a predecessor left, from their journals; return how many.

        Those that cannot be finished yet are tried again by :meth:`run`.
        """
        left = {arriving.call for arriving in self._line.leftovers()}
        ended = await self._store.read(self._concluded, left)
        for call in ended:
            self._line.forget(call)  # its end was written; the kill came before this
        receiving = set(await self._store.read(self._receiving))
        known = await self._store.read(self._known, left)
        unfinished = receiving | (left - known)
        for call in sorted(unfinished):
            if not await self._finish_once(call):
                self._unfinished.add(call)
        return len(unfinished)

    async def _screen(self, heard: Negotiated) -> None:
        """Hang up on a machine whose ident is not wanted, before its first page is confirmed."""
        query = sa.select(fax.c.number, fax.c.peer).where(fax.c.line_call == heard.call)
        row = await self._store.read(lambda connection: connection.execute(query).first())
        if row is None:  # a device of ours
            return
        call = CallFacts(row.number, row.peer, heard.remote_ident, heard.subaddress)
        if decide_call(self._policy.current, call).junk is Junk.REFUSE:
            log.info("a call is hung up: its caller is blocked", call=heard.call)
            await self._line.cancel(heard.call)

    def _report(self, connection: sa.Connection, arrival: Arrival) -> None:
        if isinstance(arrival, Arriving):
            self._record(connection, arrival)
        elif not isinstance(arrival, Arrived):
            found = connection.execute(sa.select(fax.c.id).where(fax.c.line_call == arrival.call)).scalar()
            if found is not None:  # a device's call has no row of its own
                progress.note(connection, self._ids, found, arrival, self._clock())

    def _record(self, connection: sa.Connection, arriving: Arriving) -> None:
        """Write the ringing call's fax; harmless for a call that is recorded already. A device's becomes one later."""
        if arriving.device:
            return
        if connection.execute(sa.select(fax.c.id).where(fax.c.line_call == arriving.call)).first():
            return
        faxes.create(
            connection,
            self._ids,
            {
                "direction": Direction.INBOUND.value,
                "line_call": arriving.call,
                "number": arriving.number,
                "peer": _digits(arriving.caller),
                "settings": self._policy.inbound_settings(CallFacts(arriving.number, _digits(arriving.caller))),
                "created_at": self._clock(),
                "lease_owner": self._owner,
            },
            reason=f"the line rings on {arriving.trunk}",
        )

    def _receiving(self, connection: sa.Connection) -> list[str]:
        query = sa.select(fax.c.line_call).where(
            fax.c.state == Inbound.RECEIVING.value, fax.c.lease_owner == self._owner
        )
        return list(connection.execute(query).scalars())

    def _concluded(self, connection: sa.Connection, calls: set[str]) -> set[str]:
        """Return those of ``calls`` whose end is written, and whose journal is not the only place of a page."""
        ended = sa.select(fax.c.line_call, document.c.report).outerjoin(document, document.c.id == fax.c.document_id)
        rows = connection.execute(ended.where(fax.c.line_call.in_(calls), fax.c.state != Inbound.RECEIVING.value))
        return {row.line_call for row in rows if not (row.report or {}).get("spoilt")}

    def _known(self, connection: sa.Connection, calls: set[str]) -> set[str]:
        return set(connection.execute(sa.select(fax.c.line_call).where(fax.c.line_call.in_(calls))).scalars())

    async def _finish_patiently(self, call: str) -> None:
        pause = self._pause
        while not await self._finish_once(call):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _finish_once(self, call: str) -> bool:
        """Finish a call; return whether it is done. Nothing is lost where it is not: the journal stays."""
        try:
            await self._finish(call)
        except Exception:  # one call's fault must not stop the others'
            log.exception("a received fax could not be finished; trying again", call=call)
            return False
        return True

    async def _finish(self, call: str) -> None:
        arriving = next((one for one in self._line.leftovers() if one.call == call), None)
        if arriving is not None:
            await self._store.write(self._record, arriving)
        evidence = await self._line.evidence(call)
        if not evidence.readable:
            raise Unfinished("its journal cannot be read, or is still being written")
        result = of_evidence(evidence, call, simulated=self._line.name == "simulated")
        if arriving is not None and arriving.device:
            await self._send_on(arriving, result, evidence)
            return
        kept: dict[str, Any] | None = None
        spoilt: list[int] = []
        if evidence.pages:
            kept, spoilt = await self._keep(evidence, await self._store.read(_row, call))
        fax_id = await self._store.write(self._conclude, call, result, kept, spoilt, evidence.trace)
        if not spoilt:
            self._line.forget(call)  # otherwise it is the only place where those pages are
        log.info(
            "fax received", fax=fax_id, pages=kept["pages"] if kept else 0, cause=result.cause.value, spoilt=spoilt
        )

    async def _send_on(self, arriving: Arriving, result: CallResult, evidence: Evidence) -> None:
        """Submit what one of our own machines sent; its journal goes when that is committed."""
        pages: Blob | None = None
        if evidence.pages and result.cause is Cause.CONFIRMED:
            with self._blobs.scratch(".tif") as tiff:
                _, spoilt = await self._assembled(_strips(evidence), tiff)
                pages = None if spoilt else await asyncio.to_thread(self._blobs.adopt, tiff)
        asked = devices.sent_by(self._policy, arriving, result, pages)
        if asked is None:
            raise Unfinished(f"neither the device {arriving.device} nor its number is in the policy")
        made = await self._store.write(self._submit_for_device, asked)
        log.info("fax of a device", device=arriving.device, faxes=made.faxes, cause=result.cause.value)
        self._line.forget(arriving.call)

    def _submit_for_device(self, connection: sa.Connection, asked: Submission) -> Submitted:
        """Submit within the number's limits: a taken-over device must not send all night."""
        now = self._clock()
        limits = self._policy.current.numbers[asked.number].limits
        usage.serialise(connection, asked.number)
        used = usage.of_number(connection, asked.number, now)
        return submit(connection, self._ids, devices.within(asked, limits, used), now)

    async def _keep(self, evidence: Evidence, row: sa.Row[Any]) -> tuple[dict[str, Any] | None, list[int]]:
        """Re-encode the pages and keep them as TIFF and PDF.

        Returns the document's columns, ``None`` where no page can be decoded, and the pages that cannot.
        """
        with self._blobs.scratch(".tif") as tiff, self._blobs.scratch(".pdf") as pdf:
            made, spoilt = await self._assembled(_strips(evidence), tiff)
            if made is None:
                return None, spoilt
            title, language, created = reading.marks(row)
            await self._converter.to_pdf(tiff, pdf, title, language=language, created=created)
            tiff_blob = await asyncio.to_thread(self._blobs.adopt, tiff)
            pdf_blob = await asyncio.to_thread(self._blobs.adopt, pdf)
        return {"blob": tiff_blob.name, "pdf": pdf_blob.name, "pages": len(made.pages), "size": tiff_blob.size}, spoilt

    async def _assembled(self, strips: list[FaxStrip], tiff: Path) -> tuple[FaxDocument | None, list[int]]:
        """Make one document of the pages; one that cannot be decoded does not take the others with it."""
        try:
            return await self._converter.assemble(strips, tiff), []
        except Refused as refused:
            log.warning("a received page could not be decoded", reason=refused.reason.value)
        good: list[FaxStrip] = []
        spoilt: list[int] = []
        for page, strip in enumerate(strips, 1):
            try:
                await self._converter.assemble([strip], tiff)
            except Refused:
                spoilt.append(page)
            else:
                good.append(strip)
        return await self._converter.assemble(good, tiff) if good else None, spoilt

    def _conclude(
        self,
        connection: sa.Connection,
        call: str,
        result: CallResult,
        kept: dict[str, Any] | None,
        spoilt: list[int],
        trace: Sequence[TraceEntry],
    ) -> int:
        now = self._clock()
        row = _row(connection, call)
        pages = kept["pages"] if kept else 0
        changes: dict[str, Any] = {"pages_confirmed": pages, "remote_ident": result.remote_ident or row.remote_ident}
        if kept or spoilt:
            changes |= {"document_id": self._ids(), "pages": pages}
            columns = kept or {"refusal": "no page could be decoded"}
            report = {"spoilt": spoilt} if spoilt else None
            connection.execute(
                document.insert().values(
                    id=changes["document_id"], rendering="received", report=report, created_at=now, **columns
                )
            )
        settings = changes["settings"] = self._settings(row, result)
        after, reason = _fate(settings, result, pages, spoilt)
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
        if trace:
            traces.keep(connection, row.id, 0, call, trace, now)
        if after is Inbound.READING:
            announce(connection, Topic.READ)
        if kept and after in {Inbound.READING, Inbound.RECEIVED}:
            pages_file = File("fax.tif", "image/tiff", kept["size"], kept["blob"])
            onward = devices.passed_on(settings, row.number, pages_file, row.id)
            if onward is not None:
                submit(connection, self._ids, onward, now)
        return int(row.id)

    def _settings(self, row: sa.Row[Any], result: CallResult) -> dict[str, Any]:
        """Return the settings of a fax whose call has ended: who gets it depends on what the far machine said."""
        if row.number not in self._policy.current.numbers:
            kept: dict[str, Any] = row.settings
            return kept
        asked = result.subaddress or row.settings.get("subaddress", "")
        call = CallFacts(row.number, row.peer, result.remote_ident or row.remote_ident, asked)
        return self._policy.inbound_settings(call) | ({"subaddress": asked} if asked else {})


def _fate(settings: dict[str, Any], result: CallResult, pages: int, spoilt: list[int]) -> tuple[Inbound, str]:
    """Return where a received fax goes from here, and why."""
    told = _told(result, pages, spoilt)
    if "meant_for" not in settings:
        return reading.next_of(settings, told) if pages else (Inbound.UNDELIVERABLE, told)
    if pages:
        return Inbound.QUARANTINED, f"{told}; kept from its mailboxes by {settings['blocked_by']}"
    return Inbound.UNDELIVERABLE, f"the caller is blocked by {settings['blocked_by']}"


def _strips(evidence: Evidence) -> list[FaxStrip]:
    return [FaxStrip(p.width, p.height, p.x_resolution, p.y_resolution, p.strip) for p in evidence.pages]


def _row(connection: sa.Connection, call: str) -> sa.Row[Any]:
    return connection.execute(sa.select(fax).where(fax.c.line_call == call)).one()


def _digits(caller: str) -> str:
    """Return what of a caller's number may be kept: the far side chose it."""
    return re.sub(r"[^0-9+]", "", caller)[:16]


def _told(result: CallResult, pages: int, spoilt: list[int]) -> str:
    """Return the sentence of what came: a call that was cut says so, and so do pages that could not be decoded."""
    if spoilt:
        which = ", ".join(map(str, spoilt))
        return f"{pages or 'no'} pages received; page {which} cannot be decoded and is kept as it came"
    if not pages:
        return f"no page was received: {WORDS[result.cause]}"
    count = f"{pages} page{'s' * (pages != 1)}"
    if result.cause is Cause.CONFIRMED:
        return f"{count} received"
    return f"{count} received, then {WORDS[result.cause]}: there may have been more pages"
