"""The one plain page that links show, and the headers that every answer of the listener carries.

The page works without scripts, pictures or cookies, with a keyboard and a screen reader, in light and dark. Its style
stands in it and is named to the browser by its hash: nothing else may run, load or frame it (CSP level 3).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import jinja2
from fastapi.responses import HTMLResponse
from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says: ``button`` is what its form does, or empty; ``field``: what its one line of text is for."""

    title: str
    lines: tuple[str, ...]
    button: str = ""
    fax_id: int | None = None
    status: int = 200
    field: str = ""


class Pages:
    """Renders pages."""

    def __init__(self) -> None:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("templates", "web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("en/page.html")
        self._style = (resources.files("templates") / "web" / "page.css").read_text(encoding="utf-8")

    @property
    def policy(self) -> str:
        """The content security policy under which the page works."""
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode("ascii")
        rules = ("default-src 'none'", f"style-src 'sha256-{digest}'", "form-action 'self'", "frame-ancestors 'none'")
        return "; ".join((*rules, "base-uri 'none'"))

    def show(self, page: Page) -> HTMLResponse:
        """Return a page as an answer."""
        text = self._template.render(
            title=page.title,
            lines=page.lines,
            button=page.button,
            field=page.field,
            fax_id=page.fax_id,
            style=self._style,
        )
        return HTMLResponse(text, status_code=page.status)


class StrictHeaders:
    """Adds to every answer what keeps it from being stored, sniffed, framed or leaked to another site."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",  # the address of a link is its key
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            "X-Robots-Tag": "noindex",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, strict)
