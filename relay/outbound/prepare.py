"""Preparing: the files of a submission become one fax document, once for each rendering, however many its recipients.

One committed step: claim a document that is not made, convert its files in a confined child, keep the TIFF as a blob,
then in one transaction name the blob and queue every fax of the document; or write the converter's refusal and fail
them. It can be killed anywhere and run again: the lease runs out and another claim starts over. A document that ends
its worker three times is given up (it would do so for ever).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from converters import Broken, Converter, FaxDocument, Refused, Rendering, Source
from relay import cover
from relay.errors import LostClaim
from relay.fax import Outbound
from relay.store import faxes, holds, queue
from relay.store.engine import Store, Topic, pause
from relay.store.tables import attachment, document, fax, submission
from relay.submission import RENDERING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.ids import IdSource
    from relay.store.blobs import LocalBlobs

log = structlog.get_logger()

#: Tries of one document before it is given up, and the pause between them in seconds.
TRIES = 3
PAUSE = 30.0
#: The longest that work can lie unseen, in seconds, should a wake-up be lost (another node's commit).
POLL = 5.0


class Preparing:
    """The stage's loop. ``workers``: documents converted at once."""

    def __init__(
        self,
        store: Store,
        blobs: LocalBlobs,
        converter: Converter,
        ids: IdSource,
        clock: Callable[[], float],
        *,
        lease: queue.Lease,
        workers: int = 2,
        poll: float = POLL,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._converter = converter
        self._ids = ids
        self._clock = clock
        self._lease = lease
        self._poll = poll
        self._workers = workers

    async def run(self) -> None:
        """Prepare until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        with self._store.waiter(Topic.PREPARE) as woken:
            while True:
                woken.clear()
                if not await self._step_safely():
                    await pause(woken, self._poll)

    async def _step_safely(self) -> bool:
        try:
            return await self.step()
        except sa.exc.SQLAlchemyError:
            log.exception("the database is in trouble; the document is made when its lease has run out")
            return False

    async def step(self) -> bool:
        """Prepare one document; return whether there was one."""
        claim = await self._store.write(self._claim)
        if claim is None:
            return False
        renewal = asyncio.create_task(queue.keep_lease(self._store, document, claim, self._lease, self._clock))
        try:
            await self._make(claim)
        except LostClaim:
            log.warning("document lost to another worker", document=claim.id)
        finally:
            renewal.cancel()
        return True

    def _claim(self, connection: sa.Connection) -> queue.Claim | None:
        now = self._clock()
        claim = queue.claim_document(connection, self._lease, now)
        if claim is None:
            return None
        self._preparing(connection, claim)
        return claim

    async def _make(self, claim: queue.Claim) -> None:
        asked, files = await self._store.read(self._files, claim.row.submission_id)
        sources = [Source(file.name, file.media_type, self._blobs.path(file.blob)) for file in files]
        bound = log.bind(document=claim.id, submission=claim.row.submission_id)
        try:
            with self._blobs.scratch(".tif") as output:
                rendering, peer = _rendering(claim.row.rendering)
                first = cover.of_submission(asked.settings, asked, peer) if peer else None
                made = await self._converter.to_fax(sources, rendering, output, cover=first)
                blob = await asyncio.to_thread(self._blobs.adopt, output)
        except Refused as refused:
            bound.info("document refused", reason=refused.reason.value)
            await self._store.write(self._give_up, claim, refused.sentence)
        except LostClaim:
            raise
        except Exception as fault:  # noqa: BLE001  ours or the converter's: one document must not stop the others
            bound.error(
                "document not made",
                fault=str(fault),
                attempt=claim.row.attempts + 1,
                exc_info=not isinstance(fault, Broken),
            )
            await self._store.write(self._put_back, claim, counts=not isinstance(fault, OSError))
        else:
            bound.info("document made", pages=len(made.pages), bytes=blob.size)
            await self._store.write(self._queue, claim, made, blob.name)

    def _files(self, connection: sa.Connection, submission_id: int) -> tuple[sa.Row[Any], list[sa.Row[Any]]]:
        query = sa.select(attachment).where(attachment.c.submission_id == submission_id)
        asked = connection.execute(sa.select(submission).where(submission.c.id == submission_id)).one()
        return asked, list(connection.execute(query.order_by(attachment.c.position)))

    def _queue(self, connection: sa.Connection, claim: queue.Claim, made: FaxDocument, blob: str) -> None:
        now, pages = self._clock(), len(made.pages)
        ready = f"{pages} page{'s' * (pages != 1)} ready to send"
        report = [
            {"page": page.number, "source": page.source, "treatment": page.treatment, "bytes": page.bytes}
            for page in made.pages
        ]
        queue.keep(connection, document, claim, blob=blob, pages=pages, size=made.size, report=report)
        faxes_of_it = self._preparing(connection, claim)
        holds.ready(connection, self._ids, faxes_of_it, pages, at=now, reason=ready, detail={"pages": pages})

    def _give_up(self, connection: sa.Connection, claim: queue.Claim, sentence: str) -> None:
        queue.keep(connection, document, claim, refusal=sentence)
        for fax_id in self._preparing(connection, claim):
            faxes.move(connection, self._ids, fax_id, Outbound.FAILED, at=self._clock(), reason=sentence)

    def _put_back(self, connection: sa.Connection, claim: queue.Claim, *, counts: bool) -> None:
        if not counts:
            queue.keep(connection, document, claim, not_before=self._clock() + PAUSE, attempts=claim.row.attempts)
        elif claim.row.attempts + 1 >= TRIES:
            self._give_up(connection, claim, "The document could not be converted. Please send it as a PDF.")
        else:
            queue.keep(connection, document, claim, not_before=self._clock() + PAUSE)

    def _preparing(self, connection: sa.Connection, claim: queue.Claim) -> list[int]:
        """Return the faxes that wait for a claimed document; those that were accepted meanwhile join them."""
        for fax_id in self._faxes(connection, claim, Outbound.ACCEPTED):
            at = self._clock()
            faxes.move(connection, self._ids, fax_id, Outbound.PREPARING, at=at, reason="the document is being made")
        return self._faxes(connection, claim, Outbound.PREPARING)

    def _faxes(self, connection: sa.Connection, claim: queue.Claim, state: Outbound) -> list[int]:
        query = sa.select(fax.c.id).where(fax.c.document_id == claim.id, fax.c.state == state.value)
        return list(connection.execute(query.order_by(fax.c.id)).scalars())


def _rendering(stored: str) -> tuple[Rendering, str]:
    """Return how a document is drawn, and the number that its cover names; '' where it has none."""
    values, peer = stored.split(":")[: len(RENDERING)], stored.split(":")[len(RENDERING) :]
    return Rendering.of_settings(**dict(zip(RENDERING, values, strict=True))), "".join(peer)
