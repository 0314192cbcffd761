"""Dialling: a queued fax becomes a call, and the call's result becomes what follows.

The order of the commits is what makes a crash harmless. (1) One transaction claims the fax, a channel and the
destination's slot, and writes the attempt with the time of the next one. (2) The transmitted image, the document with
this call's header line, is kept as a blob and named by the attempt. (3) The line calls; its worker journals. (4) One
transaction writes the result, frees the channel and moves the fax. (5) The journal is deleted. Killed before (4), the
journal decides: :mod:`.recovery`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from converters import Converter, HeaderLine
from relay import progress
from relay.errors import LostClaim
from relay.fax import Outbound
from relay.outbound import ladder
from relay.outcome import Decision, RetryRule, of_evidence
from relay.store import destinations, queue
from relay.store.engine import Store, Topic, pause
from relay.store.tables import attempt, document, fax
from transport.seam import CallEvent, CallRequest, CallResult, Line, LineDown

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.ids import IdSource
    from relay.outbound.conclusion import Conclusion
    from relay.store.blobs import LocalBlobs

log = structlog.get_logger()

#: Pause before the database is tried again, in seconds.
TROUBLE = 2.0
#: The longest that a due fax can lie unseen, in seconds, beside the wake-ups by commits.
POLL = 1.0


class Dialling:
    """The stage's loop for one line."""

    def __init__(
        self,
        store: Store,
        blobs: LocalBlobs,
        converter: Converter,
        line: Line,
        conclusion: Conclusion,
        ids: IdSource,
        clock: Callable[[], float],
        *,
        lease: queue.Lease,
        poll: float = POLL,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._converter = converter
        self._line = line
        self._conclusion = conclusion
        self._ids = ids
        self._clock = clock
        self._lease = lease
        self._poll = poll
        self._channels: dict[str, int] | None = None
        self._calls: dict[int, str] = {}  # fax id -> the line's name for its call

    async def run(self) -> None:
        """Dial until cancelled; calls that are on the line are left to the journal then."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_cancels())
            with self._store.waiter(Topic.DIAL) as woken:
                while True:
                    woken.clear()
                    claim = await self._next()
                    if claim is not None:
                        group.create_task(self._call(claim), name=f"call {claim.attempt}")
                        continue
                    await pause(woken, self._poll)

    async def _next(self) -> queue.CallClaim | None:
        """Claim the next call, where the line is up to carry it: a call that cannot be made shall not spend a try."""
        if await self._line.trouble() is not None:
            return None
        try:
            if self._channels != (channels := dict(self._line.channels)):
                await self._store.write(queue.set_channels, channels)
                self._channels = channels
            return await self._store.write(self._claim)
        except sa.exc.SQLAlchemyError:
            log.exception("no call could be claimed; trying again")
            return None

    def _claim(self, connection: sa.Connection) -> queue.CallClaim | None:
        trunks = dict.fromkeys(self._line.channels, RetryRule().delay.total_seconds())
        return queue.claim_call(connection, self._ids, self._lease, trunks, self._clock())

    async def _call(self, claim: queue.CallClaim) -> None:
        call = str(claim.attempt)
        bound = log.bind(fax=claim.fax.id, attempt=claim.ordinal)
        self._calls[claim.fax.id] = call
        renewal = asyncio.create_task(queue.keep_lease(self._store, fax, claim.fax, self._lease, self._clock))
        try:
            result = await self._made(claim, call)
            decision = await self._concluded(claim, result)
            bound.info("call ended", cause=result.cause.value, pages=result.pages_confirmed, after=decision.after.value)
        except LostClaim:
            bound.warning("call lost to recovery")
        else:
            self._line.forget(call)
        finally:
            renewal.cancel()
            del self._calls[claim.fax.id]

    async def _concluded(self, claim: queue.CallClaim, result: CallResult) -> Decision:
        """Write how the call ended, however long the database is in trouble: the journal keeps it meanwhile."""
        trace = (await self._line.evidence(result.call)).trace
        while True:
            try:
                return await self._conclusion.write(
                    claim.fax.id, claim.attempt, result, fence=claim.fax.fence, trace=trace
                )
            except sa.exc.SQLAlchemyError:
                log.exception("a call's end could not be written; trying again", fax=claim.fax.id)
                await asyncio.sleep(TROUBLE)

    async def _made(self, claim: queue.CallClaim, call: str) -> CallResult:
        """Make the call and return how it ended; a fault on the way is ours, and the journal decides."""
        try:
            request = await self._request(claim, call)
            log.info("dialling", fax=claim.fax.id, destination=claim.fax.row.peer, trunk=claim.trunk)
            return await self._send(claim, request)
        except LineDown:
            log.warning("the line died in a call", fax=claim.fax.id)
        except Exception:  # one fax's fault must not stop the others'
            log.exception("a call could not be made", fax=claim.fax.id)
        return of_evidence(await self._line.evidence(call), call, simulated=self._line.name == "simulated")

    async def _request(self, claim: queue.CallClaim, call: str) -> CallRequest:
        """Draw this call's header line into the document and describe the call."""
        row = claim.fax.row
        settings = row.settings
        made = await self._store.read(
            lambda c: c.execute(sa.select(document).where(document.c.id == row.document_id)).one()
        )
        header = HeaderLine(
            when=datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%d %H:%M UTC"),
            sender=settings.get("header") or row.number,
            destination=row.peer,
        )
        with self._blobs.scratch(".tif") as output:
            await self._converter.stamp(self._blobs.path(made.blob), header, output)
            blob = await asyncio.to_thread(self._blobs.adopt, output)
        lesson = await self._store.read(destinations.recall, row.peer, settings, self._clock())
        rung = ladder.pick(settings, lesson.rung, row.rungs_tried)
        known = {"transmitted": blob.name, "transmitted_size": blob.size, "rung": rung}
        await self._store.write(
            lambda c: c.execute(attempt.update().where(attempt.c.id == claim.attempt).values(known))
        )
        return CallRequest(
            call=call,
            trunk=claim.trunk,
            destination=row.peer,
            caller=settings.get("caller_id") or row.number,
            ident=settings.get("ident") or row.number,
            document=self._blobs.path(blob.name),
            pages=made.pages,
            **ladder.request(settings, rung),
        )

    async def _send(self, claim: queue.CallClaim, request: CallRequest) -> CallResult:
        events: asyncio.Queue[CallEvent | None] = asyncio.Queue()
        noting = asyncio.create_task(self._note(claim.fax.id, events))
        try:
            return await self._line.send(request, events.put_nowait)
        finally:
            events.put_nowait(None)
            await noting

    async def _note(self, fax_id: int, events: asyncio.Queue[CallEvent | None]) -> None:
        """Write a call's events into the fax's history, in order."""
        while (happened := await events.get()) is not None:
            try:
                await self._store.write(progress.note, self._ids, fax_id, happened, self._clock())
            except sa.exc.SQLAlchemyError:
                log.exception("an event of a call could not be written", fax=fax_id)

    async def _watch_cancels(self) -> None:
        with self._store.waiter(Topic.CANCEL) as woken:
            while True:
                woken.clear()
                try:
                    wanted = await self._store.read(_to_cancel)
                except sa.exc.SQLAlchemyError:
                    log.exception("the wishes to cancel could not be read; trying again")
                    wanted = []
                for fax_id in wanted:
                    if (call := self._calls.get(fax_id)) is not None:
                        await self._line.cancel(call)
                await pause(woken, self._poll)


def _to_cancel(connection: sa.Connection) -> list[int]:
    """Return the faxes on a line whose call is to be hung up."""
    wanted = sa.select(fax.c.id).where(fax.c.state == Outbound.DIALING.value, fax.c.cancel_requested)
    return list(connection.execute(wanted).scalars())
