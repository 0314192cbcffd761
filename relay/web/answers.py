"""Links that decide: ``approve`` and ``deny`` of those who were asked, ``confirm`` of a mail's sender.

Looking (GET) changes nothing, since mail scanners follow links; the button (POST) decides. One decision counts: the
fax's hold is its record (:mod:`relay.store.holds`), and whoever comes second reads what was decided, and by whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response

from relay.errors import Decided, IllegalMove, NotFound
from relay.mailer import writing
from relay.store import faxes, holds
from relay.store.tables import submission
from relay.web.actions import BAD, ENDED, GONE
from relay.web.links import Action, BadLink, EndedLink, Link, Links
from relay.web.pages import Page, Pages

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from relay.ids import IdSource
    from relay.store.engine import Store

#: The longest form that is read, in bytes, and the longest reason, in characters.
_FORM: Final = 4096
_REASON: Final = 300
_KIND: Final = {
    Action.APPROVE: holds.Kind.APPROVAL,
    Action.DENY: holds.Kind.APPROVAL,
    Action.CONFIRM: holds.Kind.CONFIRM,
}


class Answers:
    """The pages of links that decide."""

    def __init__(
        self,
        store: Store,
        ids: IdSource,
        clock: Callable[[], float],
        links: Links,
        pages: Pages,
        *,
        zone: tzinfo,
    ) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock
        self._links = links
        self._pages = pages
        self._zone = zone

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter()
        path = "/link/{action}/{fax_id}/{until}/{signature}"
        for action in (action for action in Action if action.decides):
            router.add_api_route(path.replace("{action}", action.value), self._door(action), methods=["GET", "HEAD"])
            router.add_api_route(path.replace("{action}", action.value), self._pressed(action), methods=["POST"])
        return router

    def _door(self, action: Action) -> Callable[..., object]:
        async def look(fax_id: str, until: str, signature: str) -> Response:
            return await self._answer(action, fax_id, until, signature, None)

        return look

    def _pressed(self, action: Action) -> Callable[..., object]:
        async def press(request: Request, fax_id: str, until: str, signature: str) -> Response:
            return await self._answer(action, fax_id, until, signature, await _reason(request))

        return press

    async def _answer(self, action: Action, fax_id: str, until: str, signature: str, reason: str | None) -> Response:
        """Answer a look (no reason), or the button."""
        try:
            link = self._links.read(action.value, fax_id, until, signature, now=self._clock())
            if reason is None:
                page = await self._store.read(self._look, link)
            else:
                page = await self._store.write(self._press, link, reason)
        except BadLink:
            page = BAD
        except EndedLink:
            page = ENDED
        except NotFound:
            page = GONE
        except Decided as decided:
            page = Page("This was decided already", (writing.sentence(str(decided)),), status=409)
        except IllegalMove as fault:
            page = Page("That cannot be done now", (writing.sentence(str(fault)),), status=409)
        return self._pages.show(page)

    def _look(self, connection: sa.Connection, link: Link) -> Page:
        """Say what the button would do."""
        asked, _ = self._asked(connection, link)
        row = faxes.get(connection, link.fax_id)
        to = ", ".join(writing.number(faxes.get(connection, one).peer) for one in asked.fax_ids)
        mail = connection.execute(sa.select(submission).where(submission.c.id == row.submission_id)).one()
        taken = f"We took it on {writing.moment(row.created_at, self._zone)}."
        if link.action is Action.CONFIRM:
            lines = ("If the mail that asks for it is not yours, close this page: nothing is sent then.", taken)
            return Page(f"Send the fax to {to}?", lines, "Send the fax", row.id)
        sender = writing.one_line(mail.sender or "somebody without a mail address")
        pages = f"{row.pages} page{'s' * (row.pages != 1)}"
        subject = f", “{writing.one_line(mail.subject)}”" if mail.subject else ""
        lines = (f"From {sender}: {pages}{subject}.", taken)
        if link.action is Action.APPROVE:
            return Page(f"Approve the fax to {to}?", lines, "Approve the fax", row.id)
        return Page(f"Refuse the fax to {to}?", lines, "Refuse the fax", row.id, field="Why? The sender will read it.")

    def _press(self, connection: sa.Connection, link: Link, reason: str) -> Page:
        _, who = self._asked(connection, link)
        verdict = holds.Verdict.DENY if link.action is Action.DENY else holds.Verdict.APPROVE
        done = holds.decide(
            connection, self._ids, link.fax_id, verdict, by=who, at=self._clock(),
            reason=reason if verdict is holds.Verdict.DENY else "", kind=_KIND[link.action],
        )  # fmt: skip
        plural = len(done.fax_ids) > 1
        faxes_, are = ("faxes", "are") if plural else ("fax", "is")
        match link.action:
            case Action.DENY:
                return Page(f"The {faxes_} {are} refused", ("The sender will be told.",), fax_id=link.fax_id)
            case Action.APPROVE:
                told = "They go out now." if plural else "It goes out now."
                return Page(f"The {faxes_} {are} approved", (told,), fax_id=link.fax_id)
            case _:
                return Page(f"The {faxes_} will be sent", ("You will get a receipt.",), fax_id=link.fax_id)

    def _asked(self, connection: sa.Connection, link: Link) -> tuple[holds.Question, str]:
        """Return what is asked, and who holds the link."""
        asked = holds.question(connection, link.fax_id, _KIND[link.action])
        if link.position is None or link.position >= len(asked.asked):
            raise BadLink
        return asked, asked.asked[link.position]


async def _reason(request: Request) -> str:
    """Return what a form says, on one line; nothing of one that is too long to be ours."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM:
            return ""
    fields = parse_qs(bytes(body).decode("utf-8", "replace"))
    return writing.one_line(fields.get("reason", [""])[0], _REASON)
