"""Links that act: ``cancel`` and ``resend``. Looking (GET) changes nothing; pressing the button (POST) acts once.

Mail scanners follow every link in a mail, so a GET must be harmless. The act and the record of the link's use are one
transaction: a link whose act failed can be tried again, a link that acted cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from fastapi import APIRouter, Response

from relay.errors import IllegalMove, NotFound
from relay.fax import Outbound, terminal
from relay.mailer import writing
from relay.resubmission import resubmit
from relay.store import faxes
from relay.store.tables import link_use
from relay.web.links import Action, BadLink, EndedLink, Link, Links
from relay.web.pages import Page, Pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from relay.ids import IdSource
    from relay.store.engine import Store

WHO = "a link in a mail"

BAD = Page("This link does not work", ("It is not complete, or it was never one of ours.",), status=404)
ENDED = Page("This link has ended", ("Links in our mails work for a limited time.",), status=410)
GONE = Page("There is no such fax", ("It may have been deleted.",), status=404)
#: What became of a fax that is to be sent again.
ENDS = {
    Outbound.SENT: "It was sent, and every page was confirmed. It will arrive a second time.",
    Outbound.FAILED: "It was not sent.",
    Outbound.UNCERTAIN: "Its arrival was not confirmed: the recipient may have it already, and it may arrive twice. "
    "Please ask before you send it again.",
    Outbound.CANCELLED: "It was cancelled.",
}


class LinkUsed(Exception):
    """A link that acts has acted. ``at``: when, in seconds since 1970."""

    def __init__(self, at: float) -> None:
        super().__init__(at)
        self.at = at


class Actions:
    """The pages of links that act."""

    def __init__(
        self,
        store: Store,
        ids: IdSource,
        clock: Callable[[], float],
        links: Links,
        pages: Pages,
        trunks_again: Callable[[sa.Row[Any]], list[str]],
        *,
        zone: tzinfo,
    ) -> None:
        self._trunks_again = trunks_again
        self._store = store
        self._ids = ids
        self._clock = clock
        self._links = links
        self._pages = pages
        self._zone = zone

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        for action in (action for action in Action if action.acts):
            path = f"/link/{action.value}/{{fax_id}}/{{until}}/{{signature}}"
            router.add_api_route(path, self._door(action, self._look), methods=["GET", "HEAD"])
            router.add_api_route(path, self._door(action, self._press), methods=["POST"])
        return router

    def _door(self, action: Action, do: Callable[[sa.Connection, Link], Page]) -> Callable[..., Any]:
        work = self._store.read if do == self._look else self._store.write

        async def answer(fax_id: str, until: str, signature: str) -> Response:
            try:
                link = self._links.read(action.value, fax_id, until, signature, now=self._clock())
                page = await work(do, link)
            except BadLink:
                page = BAD
            except EndedLink:
                page = ENDED
            except NotFound:
                page = GONE
            except LinkUsed as used:
                when = writing.moment(used.at, self._zone)
                page = Page("This link was used", (f"It works once, and was used at {when}.",), status=410)
            except IllegalMove as fault:
                page = Page("That cannot be done now", (writing.sentence(str(fault)),), status=409)
            return self._pages.show(page)

        return answer

    def _look(self, connection: sa.Connection, link: Link) -> Page:
        """Say what the button would do."""
        row = faxes.get(connection, link.fax_id)
        self._check_unused(connection, link)
        to = writing.number(row.peer)
        if link.action is Action.CANCEL:
            if terminal(Outbound(row.state)):
                return Page(f"The fax to {to} has ended", (f"It is {row.state}.",), fax_id=row.id, status=409)
            return Page(f"Cancel the fax to {to}?", (f"It is {row.state} now.",), "Cancel the fax", row.id)
        faxes.check_resend(row)
        taken = f"We took it on {writing.moment(row.created_at, self._zone)}."
        return Page(f"Send the fax to {to} again?", (taken, ENDS[Outbound(row.state)]), "Send it again", row.id)

    def _press(self, connection: sa.Connection, link: Link) -> Page:
        """Act, and record that the link has acted."""
        now = self._clock()
        try:
            with connection.begin_nested():
                connection.execute(link_use.insert().values(link=link.name, used_at=now))
        except sa.exc.IntegrityError:
            self._check_unused(connection, link)
            raise
        if link.action is Action.CANCEL:
            done = faxes.request_cancel(connection, self._ids, link.fax_id, at=now, who=WHO)
            told = (
                "No call will be made."
                if done
                else "Its call is being hung up; the receipt will tell what had arrived."
            )
            return Page("The fax is cancelled" if done else "The fax is being cancelled", (told,), fax_id=link.fax_id)
        new = resubmit(connection, self._ids, link.fax_id, now, WHO, self._trunks_again)
        return Page("The fax will be sent again", ("You will get a new receipt.",), fax_id=new)

    def _check_unused(self, connection: sa.Connection, link: Link) -> None:
        used = connection.execute(sa.select(link_use.c.used_at).where(link_use.c.link == link.name)).scalar()
        if used is not None:
            raise LinkUsed(used)
