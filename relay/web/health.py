"""What is wrong, in words: one sentence a fault, with its remedy. 200 while nothing is, 503 otherwise.

The answer is text for people and JSON for programs that ask for it. A look that fails or hangs is itself a fault, so
that the page always answers in seconds. It names no sender, no number and no document.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

import structlog
from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse, PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Look: TypeAlias = Callable[[], Awaitable[str | None]]

log = structlog.get_logger()

#: The longest that one look may take, in seconds.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. ``look`` returns what is wrong and what mends it, or nothing."""

    name: str
    look: Look


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look found; ``wrong`` is ``None`` where all is well."""

    name: str
    wrong: str | None


async def examine(checks: Sequence[Check], seconds: float = PATIENCE) -> list[Finding]:
    """Look at everything side by side, for at most ``seconds``."""
    return list(await asyncio.gather(*(_look(check, seconds) for check in checks)))


def router(checks: Sequence[Check]) -> APIRouter:
    """Return the route of the health page."""
    routes = APIRouter()

    @routes.api_route("/health", methods=["GET", "HEAD"])
    async def health(accept: Annotated[str, Header()] = "") -> Response:
        findings = await examine(checks)
        wrong = [finding for finding in findings if finding.wrong is not None]
        status = 503 if wrong else 200
        if "application/json" in accept.lower():
            content = {
                "status": "wrong" if wrong else "ok",
                "checks": [{"name": finding.name, "wrong": finding.wrong} for finding in findings],
            }
            return JSONResponse(content, status)
        lines = [f"wrong: {finding.name}: {finding.wrong}" for finding in wrong]
        lines += [f"ok: {finding.name}" for finding in findings if finding.wrong is None]
        return PlainTextResponse("\n".join(lines) + "\n", status)

    return routes


async def _look(check: Check, seconds: float) -> Finding:
    try:
        async with asyncio.timeout(seconds):
            return Finding(check.name, await check.look())
    except TimeoutError:
        return Finding(check.name, f"it did not answer within {seconds:g} seconds")
    except Exception:
        log.exception("a health check failed", check=check.name)
        return Finding(check.name, "it could not be looked at; the log tells why")
