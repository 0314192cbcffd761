"""The application that the HTTP listener serves, put together from what the composition root hands over.

It trusts no header of a request but ``Accept``: addresses in mails come from the settings, never from ``Host``. It
sets no cookie. It loads nothing from anywhere else: the framework's own pages, which would, are off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from relay.web import descriptions, health, metrics
from relay.web.actions import Actions
from relay.web.answers import Answers
from relay.web.downloads import Downloads
from relay.web.openings import Openings
from relay.web.pages import Pages, StrictHeaders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    import sqlalchemy as sa

    from relay.ids import IdSource
    from relay.mailer.enclosures import Enclosures
    from relay.mailer.language import Languages
    from relay.store.engine import Store
    from relay.web.health import Check
    from relay.web.links import Links


@dataclass(frozen=True, slots=True)
class Services:
    """What the pages need of the house. ``checks``: what the health page looks at."""

    store: Store
    ids: IdSource
    clock: Callable[[], float]
    links: Links
    enclosures: Enclosures
    languages: Languages
    trunks_again: Callable[[sa.Row[Any]], list[str]]
    checks: Sequence[Check] = ()
    zone: tzinfo = UTC


def build(services: Services) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="faxrelay", docs_url=None, redoc_url=None, openapi_url=None)
    pages = Pages()
    store, clock, zone = services.store, services.clock, services.zone
    app.include_router(health.router(services.checks))
    app.include_router(metrics.router(store, clock))
    app.include_router(descriptions.router())
    app.include_router(
        Actions(store, services.ids, clock, services.links, pages, services.trunks_again, zone=zone).router()
    )
    app.include_router(Answers(store, services.ids, clock, services.links, pages, zone=zone).router())
    downloads = Downloads(store, clock, services.links, services.enclosures, services.languages, pages, zone=zone)
    openings = Openings(store, services.ids, clock, services.links, downloads, pages, zone=zone)
    app.include_router(openings.router())
    app.include_router(downloads.router())
    app.add_middleware(StrictHeaders, policy=pages.policy)
    return app
