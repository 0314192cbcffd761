"""The link in the mail with a received fax, by which the relay learns that the mail was opened.

Looking (GET, HEAD) changes nothing, since mail scanners follow every link: the page says what waits and has a button.
Pressing it (POST) gives the fax, and notes that the mail was opened, once. The link is of one delivery, and so of one
mailbox: its number stands where other links have the fax's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from relay.errors import Erased, NotFound
from relay.mailer import record as records
from relay.mailer import writing
from relay.outbox import mails
from relay.outbox.mails import MailReport
from relay.web.actions import BAD, ENDED, GONE
from relay.web.downloads import ERASED
from relay.web.links import Action, BadLink, EndedLink, Links
from relay.web.pages import Page, Pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    import sqlalchemy as sa

    from relay.ids import IdSource
    from relay.mailer.record import Record
    from relay.store.engine import Store
    from relay.web.downloads import Downloads

OPENED: Final = "its link was opened"


class Openings:
    """The pages of these links. ``downloads``: gives the fax."""

    def __init__(
        self,
        store: Store,
        ids: IdSource,
        clock: Callable[[], float],
        links: Links,
        downloads: Downloads,
        pages: Pages,
        *,
        zone: tzinfo,
    ) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._links = links
        self._downloads = downloads
        self._pages = pages
        self._zone = zone

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        path = f"/link/{Action.OPEN.value}/{{delivery}}/{{until}}/{{signature}}"
        router.add_api_route(path, self._answer, methods=["GET", "HEAD", "POST"])
        return router

    async def _answer(self, request: Request, delivery: str, until: str, signature: str) -> Response:
        try:
            link = self._links.read(Action.OPEN.value, delivery, until, signature, now=self._clock())
            record = await self._store.read(_record, link.fax_id)
            if request.method != "POST":
                return self._pages.show(self._page(record))
            answer = await self._downloads.fax(record)
            if answer.status_code == 200:  # noqa: PLR2004  what could not be given was not opened
                report = MailReport(link.fax_id, opened=True, words=OPENED)
                await self._store.write(mails.note, self._ids, report, self._clock())
        except BadLink:
            return self._pages.show(BAD)
        except EndedLink:
            return self._pages.show(ENDED)
        except Erased:
            return self._pages.show(ERASED)
        except NotFound:
            return self._pages.show(GONE)
        return answer

    def _page(self, record: Record) -> Page:
        fax = record.fax
        caller = writing.number(fax.peer) or "a withheld number"
        count = f"{fax.pages or 0} page{'s' * (fax.pages != 1)}"
        came = f"It came to {writing.number(fax.number)} on {writing.moment(fax.created_at, self._zone)}: {count}."
        noted = "That you open it is noted, and told to whoever runs this fax number."
        return Page(f"A fax from {caller}", (came, noted), "Open the fax", fax.id)


def _record(connection: sa.Connection, delivery_id: int) -> Record:
    """Return the fax that a delivery mailed; raises :class:`NotFound`."""
    row = mails.of_delivery(connection, delivery_id)
    if row is None:
        raise NotFound(f"there is no mail {delivery_id}")
    return records.read(connection, row.fax_id)
