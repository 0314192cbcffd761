"""Links that download: a fax's pages or its receipt as a PDF, as often as wanted until the link ends.

The address of a fax's download is also what callbacks tell (``download_url``): whoever has it may fetch the fax.
A file is always an attachment under a name of ours: no word from outside stands in a header, and no browser opens it
in our name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, Response

from converters import Broken, Refused
from relay.errors import Erased, NotFound
from relay.fax import Direction, Outbound, terminal
from relay.mailer import record as records
from relay.mailer import writing
from relay.mailer.receipt import receipt
from relay.store import faxes
from relay.web.actions import BAD, ENDED, GONE
from relay.web.links import Action, BadLink, EndedLink, Links
from relay.web.pages import Page, Pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from relay.mailer.enclosures import Enclosures
    from relay.mailer.language import Languages
    from relay.mailer.record import Record
    from relay.store.engine import Store

log = structlog.get_logger()

NOT_YET = Page("There is no receipt yet", ("A receipt is made when the fax has ended.",), status=404)
NOT_NOW = Page("The receipt cannot be made now", ("Please try again later.",), status=503)
NO_PAGES = Page("This fax has no pages", ("Nothing was received, or nothing was made yet.",), status=404)
FAX_NOT_NOW = Page("The fax cannot be shown now", ("Please try again later.",), status=503)
ERASED = Page("This fax was erased", ("Its pages are not kept any more.",), status=410)
_DOWNLOADS = frozenset({Action.FAX, Action.RECEIPT})


class Downloads:
    """The downloads of one store."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        links: Links,
        enclosures: Enclosures,
        languages: Languages,
        pages: Pages,
        *,
        zone: tzinfo,
    ) -> None:
        self._store = store
        self._clock = clock
        self._links = links
        self._enclosures = enclosures
        self._languages = languages
        self._pages = pages
        self._zone = zone

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        path = "/link/{action}/{fax_id}/{until}/{signature}"
        router.add_api_route(path, self._answer, methods=["GET", "HEAD"])
        return router

    async def _answer(self, action: str, fax_id: str, until: str, signature: str) -> Response:
        try:
            link = self._links.read(action, fax_id, until, signature, now=self._clock())
            if link.action not in _DOWNLOADS:
                return self._pages.show(BAD)
            record = await self._store.read(records.read, link.fax_id)
            return await (self._receipt(record) if link.action is Action.RECEIPT else self.fax(record))
        except BadLink:
            return self._pages.show(BAD)
        except EndedLink:
            return self._pages.show(ENDED)
        except Erased:
            return self._pages.show(ERASED)
        except NotFound:
            return self._pages.show(GONE)

    async def fax(self, record: Record) -> Response:
        """Return a fax's pages as an answer, or a page that says why there are none."""
        try:
            pdf = await self._enclosures.fax_pdf(record)
        except LookupError:
            erased = any(event.kind == faxes.ERASED for event in record.events)
            return self._pages.show(ERASED if erased else NO_PAGES)
        except (Broken, Refused, OSError):
            log.exception("a fax cannot be shown", fax=record.fax.id)
            return self._pages.show(FAX_NOT_NOW)
        return _attachment(pdf, f"fax_{record.fax.id}_{writing.day(record.fax.created_at, self._zone)}.pdf")

    async def _receipt(self, record: Record) -> Response:
        row = record.fax
        if row.direction != Direction.OUTBOUND.value or not terminal(Outbound(row.state)):
            return self._pages.show(NOT_YET)
        language = self._languages.get(row.settings.get("language", "en"))
        pdf = await self._enclosures.receipt_pdf(receipt(record, language, self._zone), record)
        return self._pages.show(NOT_NOW) if pdf is None else _attachment(pdf, f"receipt_{row.id}.pdf")


def _attachment(pdf: bytes, name: str) -> Response:
    return Response(
        pdf, media_type="application/pdf", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
