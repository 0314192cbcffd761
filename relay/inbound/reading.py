"""Reading: the words of a received fax are laid unseen over its pages, where its number's policy says ``ocr: true``.

A fax is ``reading`` from the end of its call until it is ``received``, with its words or without: nobody is told of it
earlier, so that there is one mail with one PDF. One committed step: claim the document, read its pages one after the
other, each in a confined child of its own at the lowest priority, write the PDF anew with the words over the same
coded rows, and name it in the transaction that moves the fax. A kill anywhere leaves the fax ``reading``, and it is
done again.

Words are an addition: pages that cannot be read, or not in time, are delivered without, and the history says so. A
document whose reading ended the service three times is not read.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
import structlog

from converters import Broken, Converter, Reason, Refused, ocr
from relay.errors import LostClaim, RelayError
from relay.fax import Inbound
from relay.store import faxes, queue
from relay.store.engine import Store, Topic, pause
from relay.store.tables import document, fax

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from policies import Policy
    from relay.ids import IdSource
    from relay.settings import Ocr
    from relay.store.blobs import LocalBlobs

log = structlog.get_logger()

TRIES: Final = 3
#: The longest that work can lie unseen, in seconds, should a wake-up be lost (another node's commit).
POLL: Final = 5.0
_WAITS: Final = "; its words are being read"


def next_of(settings: dict[str, Any], told: str) -> tuple[Inbound, str]:
    """Return the state of a fax that is to be delivered, and why it is there. ``told``: what came."""
    if settings.get("ocr") and settings.get("deliver_to"):
        return Inbound.READING, told + _WAITS
    return Inbound.RECEIVED, told


def marks(row: sa.Row[Any]) -> tuple[str, str, str]:
    """Return what a received fax's PDF says of itself: title, language, time (ISO 8601)."""
    title = f"Fax to {row.number} from {row.peer or 'an unknown number'}"
    created = datetime.fromtimestamp(row.created_at, UTC).isoformat(timespec="seconds")
    return title, row.settings.get("language", "en"), created


def asked(policy: Policy | None) -> bool:
    """Return whether any number's policy wants the words of its received faxes."""
    return policy is not None and any(number.ocr for number in policy.numbers.values())


class Overdue:
    """Lets faxes go that have waited too long for their words. It reads nothing: a node without a converter runs it.

    ``seconds``: the longest that a fax waits. Several nodes may run it at once.
    """

    def __init__(
        self, store: Store, ids: IdSource, clock: Callable[[], float], seconds: float, *, poll: float = POLL
    ) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._seconds = seconds
        self._poll = poll

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.let_go()
            except (sa.exc.SQLAlchemyError, RelayError):
                log.exception("faxes that have waited too long for their words wait on")
            await asyncio.sleep(self._poll)

    async def let_go(self) -> int:
        """Deliver what has waited too long, without its words; return how many faxes."""
        return await self._store.write(self._let_go)

    def _let_go(self, connection: sa.Connection) -> int:
        now = self._clock()
        taken = sa.select(document.c.id).where(document.c.lease_until >= now)
        query = sa.select(fax).where(
            fax.c.state == Inbound.READING.value,
            fax.c.updated_at < now - self._seconds,
            fax.c.document_id.not_in(taken),
        )
        gone = 0
        # What another node holds is let go there, or its words have come.
        for row in connection.execute(query.order_by(fax.c.id).with_for_update(skip_locked=True, of=fax)).all():
            try:
                _move(connection, self._ids, row, "not read: nobody came to it in time", now, searchable=False)
            except RelayError:  # one that cannot go must not keep the others
                log.exception("a fax that has waited too long for its words waits on", fax=row.id)
            else:
                gone += 1
        return gone


class Reading:
    """The stage's loop. ``limits``: the settings' section ``ocr``."""

    def __init__(
        self,
        store: Store,
        blobs: LocalBlobs,
        converter: Converter,
        ids: IdSource,
        clock: Callable[[], float],
        *,
        lease: queue.Lease,
        limits: Ocr,
        poll: float = POLL,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._converter = converter
        self._ids = ids
        self._clock = clock
        self._lease = lease
        self._limits = limits
        self._poll = poll

    async def run(self) -> None:
        """Read until cancelled."""
        overdue = Overdue(self._store, self._ids, self._clock, self._limits.fax_seconds, poll=self._poll)
        async with asyncio.TaskGroup() as group:
            group.create_task(overdue.run())
            for _ in range(self._limits.at_once):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        with self._store.waiter(Topic.READ) as woken:
            while True:
                woken.clear()
                try:
                    done = await self.step()
                except sa.exc.SQLAlchemyError:
                    log.exception("the database is in trouble; the fax is read when its lease has run out")
                    done = False
                except RelayError:  # one fax that cannot be moved must not end the service
                    log.exception("a fax could not be moved on; it is read when its lease has run out")
                    done = False
                if not done:
                    await pause(woken, self._poll)

    async def step(self) -> bool:
        """Read one fax; return whether there was one."""
        claim = await self._store.write(lambda c: queue.claim_reading(c, self._lease, self._clock()))
        if claim is None:
            return False
        renewal = asyncio.create_task(queue.keep_lease(self._store, document, claim, self._lease, self._clock))
        try:
            pdf, told = await self._read(claim)
            await self._store.write(self._received, claim, pdf, told)
        except LostClaim:
            log.warning("fax lost to another reader", document=claim.id)
        finally:
            renewal.cancel()
        return True

    async def _read(self, claim: queue.Claim) -> tuple[str | None, str]:
        """Return the blob of the searchable PDF, ``None`` where there is none, and what came of it as a sentence."""
        languages = ocr.there(self._limits.languages)
        if not languages:
            return None, f"not read: this machine lacks {ocr.missing(self._limits.languages).replace(' ', ', ')}"
        if claim.row.attempts >= TRIES:
            return None, f"not read: {TRIES} tries did not end"
        row = await self._store.read(_fax_of, claim.id)
        texts: list[bytes] = []
        unread: dict[int, str] = {}
        tiff = self._blobs.path(claim.row.blob)
        for page in range(1, (claim.row.pages or 0) + 1):
            left = row.updated_at + self._limits.fax_seconds - self._clock()
            text, fault = await self._page(tiff, page, languages, left)
            texts.append(text)
            if fault:
                unread[page] = fault
        if not any(texts):
            return None, _told(unread) or "no word was found on it"
        try:
            with self._blobs.scratch(".pdf") as output:
                title, language, created = marks(row)
                await self._converter.to_pdf(tiff, output, title, language=language, created=created, texts=texts)
                blob = await asyncio.to_thread(self._blobs.adopt, output)
        except Exception:  # the PDF without words is there
            log.exception("the searchable PDF could not be made", fax=row.id)
            return None, "not read: its PDF could not be made anew"
        return blob.name, _told(unread) or "its words were read"

    async def _page(self, tiff: Path, page: int, languages: str, left: float) -> tuple[bytes, str]:
        """Return a page's words, and why there are none. ``left``: seconds until the fax goes as it is."""
        if left < 1:
            return b"", "no time was left"
        seconds = self._limits.page_seconds
        try:
            return await self._converter.read_page(tiff, page, languages, seconds=seconds, wall=left), ""
        except Refused as refused:
            return b"", "it took too long" if refused.reason is Reason.TOO_LONG else "its reader failed"
        except (Broken, OSError):
            log.exception("a received page could not be read", page=page)
            return b"", "its reader failed"

    def _received(self, connection: sa.Connection, claim: queue.Claim, pdf: str | None, told: str) -> None:
        queue.keep(connection, document, claim, **({"pdf": pdf} if pdf else {}))
        row = _fax_of(connection, claim.id, lock=True)
        log.info("a received fax was read", fax=row.id, told=told, searchable=pdf is not None)
        _move(connection, self._ids, row, told, self._clock(), searchable=pdf is not None)


def _move(
    connection: sa.Connection, ids: IdSource, row: sa.Row[Any], told: str, now: float, *, searchable: bool
) -> None:
    reason = f"{row.reason.removesuffix(_WAITS)}; {told}"
    detail = {"searchable": searchable}
    faxes.move(connection, ids, row.id, Inbound.RECEIVED, at=now, reason=reason, detail=detail)


def _fax_of(connection: sa.Connection, document_id: int, *, lock: bool = False) -> sa.Row[Any]:
    """Return the fax that waits for a document's words; raises :class:`LostClaim` where none does any more.

    ``lock``: until the transaction ends, so that no other node lets it go meanwhile.
    """
    query = sa.select(fax).where(fax.c.document_id == document_id, fax.c.state == Inbound.READING.value)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise LostClaim(f"no fax waits for the words of document {document_id}")
    return row


def _told(unread: dict[int, str]) -> str:
    """Return which pages were not read and why, '' where all were."""
    if not unread:
        return ""
    pages = ", ".join(map(str, unread))
    why = ", ".join(dict.fromkeys(unread.values()))
    return f"page{'s' * (len(unread) != 1)} {pages} not read: {why}"
