"""Access tokens for XOAUTH2: asked for at the token endpoint, kept until they end, asked for again.

Source: RFC 6749 sections 4.4 (client credentials) and 6 (refresh), RFC 9700. Invariants:

* a token endpoint is reached by https, or on loopback; no redirect is followed: it would carry the secret along;
* a new refresh token (Microsoft gives one each time) is on the disk before the access token beside it is used, readable
  by its owner alone, and counts only for as long as the configured one stays the same;
* nothing secret stands in an exception.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from relay.errors import SettingsError
from relay.intake.imap.session import Lost, WrongCredentials
from relay.settings import secret
from relay.store.blobs import sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay.mail_settings import OAuth

#: Seconds for one question, seconds by which a token is renewed before its end, and bytes of an answer.
_PATIENCE: Final = 30.0
_EARLY: Final = 120.0
_MAX_ANSWER: Final = 64 * 1024
#: RFC 6749 section 4.2.2: what counts where the answer does not say how long.
_USUAL_LIFE: Final = 3600.0
#: RFC 6749 section 5.2: 400 and 401 are the answers to a wrong grant or client.
_OK: Final = 200
_WRONG: Final = frozenset({400, 401, 403})


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until: float


class Tokens:
    """The access tokens of one mailbox. ``keep``: the file that a new refresh token is kept in."""

    def __init__(self, settings: OAuth, keep: Path, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._keep = keep
        self._clock = clock
        self._token: _Token | None = None

    async def get(self) -> str:
        """Return a token that counts now; raises :class:`Lost` and :class:`WrongCredentials`."""
        if self._token is None or self._clock() >= self._token.until - _EARLY:
            self._token = await asyncio.to_thread(self._ask)
        return self._token.text

    def forget(self) -> None:
        """Ask for a new one next time: the server did not take this one."""
        self._token = None

    def _ask(self) -> _Token:
        settings = self._settings
        form = {"client_id": settings.client_id, "grant_type": "client_credentials"}
        if settings.client_secret is not None:
            form["client_secret"] = secret(settings.client_secret)
        configured = None
        if settings.refresh_token is not None:
            configured = secret(settings.refresh_token)
            form |= {"grant_type": "refresh_token", "refresh_token": self._kept(configured) or configured}
        if settings.scope is not None:
            form["scope"] = settings.scope
        answer = _post(settings.token_endpoint, form)
        text, life, renewed = answer.get("access_token"), answer.get("expires_in"), answer.get("refresh_token")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise Lost("the token endpoint gave no access token")
        if configured is not None and isinstance(renewed, str) and renewed != form.get("refresh_token"):
            self._write(configured, renewed)
        return _Token(text, self._clock() + _seconds(life))

    def _kept(self, configured: str) -> str | None:
        """Return the refresh token that followed the configured one."""
        try:
            kept = json.loads(self._keep.read_text(encoding="utf-8"))
            return str(kept["token"]) if kept["follows"] == _name(configured) else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _write(self, configured: str, renewed: str) -> None:
        self._keep.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = self._keep.with_suffix(".tmp")
        descriptor = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"follows": _name(configured), "token": renewed}, file)
            file.flush()
            os.fsync(file.fileno())
        work.replace(self._keep)
        sync_folder(self._keep.parent)


def _post(url: str, form: dict[str, str]) -> dict[str, Any]:
    """Post a form and return the JSON object of the answer. Blocking."""
    parts = urlsplit(url)
    if parts.hostname is None:
        raise SettingsError(f"the token endpoint {url} names no host")
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_PATIENCE, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=_PATIENCE)
    )
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        connection.request("POST", path, urlencode(form), headers)
        response = connection.getresponse()
        content = response.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as fault:
        raise Lost(f"the token endpoint {parts.hostname} does not answer: {type(fault).__name__}") from None
    finally:
        connection.close()
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    told = answer if isinstance(answer, dict) else {}
    if response.status == _OK and told:
        return told
    error = told.get("error")
    why = error if isinstance(error, str) and error.isascii() and error.isprintable() else "no reason given"
    if response.status in _WRONG:
        raise WrongCredentials(
            f"the token endpoint refuses ({response.status}, {why[:60]}); renew the consent or secret"
        )
    raise Lost(f"the token endpoint answers {response.status} ({why[:60]})")


def _seconds(life: object) -> float:
    try:
        return max(0.0, float(str(life)))
    except ValueError:
        return _USUAL_LIFE


def _name(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
