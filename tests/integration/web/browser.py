"""A visitor of the relay's pages, on a desk of the mail tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import sqlalchemy as sa

from relay.ledger import submit
from relay.mailer.language import Languages
from relay.store.tables import delivery, event, fax, link_use
from relay.submission import File, Recipient, Submission
from relay.web.application import Services, build
from relay.web.health import Check
from relay.web.links import Action, Links

from ..mailer.desk import NOW, OFFICE_A, OFFICE_B, Desk

if TYPE_CHECKING:
    from relay.store.engine import Store

KEY = b"k" * 32
LIFE = 604_800.0
LINKS = Links(KEY, life=LIFE)


def services(desk: Desk, *looks: Check) -> Services:
    """Return what the pages need, of this desk."""
    return Services(desk.store, desk.ids, desk.clock, LINKS, desk.enclosures, Languages(), lambda _: [], looks)


class Browser:
    """Asks an application, a new visitor each time."""

    def __init__(self, desk: Desk, *looks: Check) -> None:
        self._app = build(services(desk, *looks))

    def request(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Return the answer to one request."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://fax.example.com") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Look."""
        return self.request("GET", path, headers)

    def post(self, path: str) -> httpx.Response:
        """Press the button."""
        return self.request("POST", path)


def link(action: Action, fax_id: int, at: float = NOW) -> str:
    """Return the path of a link."""
    return LINKS.url("", action, fax_id, at)[0]


def waiting(desk: Desk) -> int:
    """Make a fax that has not been dialled."""
    asked = Submission(
        source="smtp", sender="user@example.com", proof="network", number=OFFICE_A, subject="",
        files=(File("a.pdf", "application/pdf", 1, "ab" * 32),), recipients=(Recipient(OFFICE_B, "x"),),
    )  # fmt: skip
    return desk.store.write_now(submit, desk.ids, asked, desk.clock()).faxes[0]


def everything(store: Store) -> list[Any]:
    """Return every row of the tables that a link could change."""
    tables = (fax, event, delivery, link_use)
    return [store.read_now(lambda c, t=table: list(c.execute(sa.select(t)))) for table in tables]  # type: ignore[misc]
