"""XOAUTH2 before a real Dovecot, whose tokens a token endpoint on loopback gives out: refresh, rotation, refusals."""

from __future__ import annotations

import http.server
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from relay.intake.imap.oauth import Tokens
from relay.intake.imap.session import Lost, WrongCredentials
from relay.mail_settings import OAuth

from .conftest import Office, letter, running_dovecot, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Endpoint:
    """A token endpoint, and what Dovecot asks it of a token. ``status`` and ``said`` replace its answer."""

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    life: object = 3600
    rotates: bool = False
    status: int = 200
    said: bytes | None = None

    def answer(self, form: dict[str, str]) -> dict[str, Any]:
        """Return the answer to a question for a token."""
        self.asked.append(form)
        self.given.append(f"access-{len(self.asked)}")
        answer = {"access_token": self.given[-1], "token_type": "Bearer", "expires_in": self.life}
        return answer | ({"refresh_token": f"refresh-{len(self.asked)}"} if self.rotates else {})

    def introspect(self, token: str) -> dict[str, Any]:
        """Return what a mail server is told of a token."""
        good = token in self.given and token not in self.revoked
        return {"active": good, "username": "fax"} if good else {"active": False}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A token endpoint on loopback."""
    state = Endpoint()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = {k: v[0] for k, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
            asks = self.path == "/token"
            content = json.dumps(state.answer(form) if asks else state.introspect(form.get("token", ""))).encode()
            status = 200
            if asks and state.said is not None:
                content, status = state.said, state.status
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()


def settings(endpoint: Endpoint, folder: Path, **changes: Any) -> OAuth:
    """Return the settings of a mailbox's tokens."""
    (folder / "secret").write_text("s3cret\n")
    (folder / "refresh").write_text("first\n")
    values = {
        "token_endpoint": f"{endpoint.url}/token", "client_id": "relay", "client_secret": f"file:{folder / 'secret'}",
        "refresh_token": f"file:{folder / 'refresh'}", "scope": "mail", **changes,
    }  # fmt: skip
    return OAuth.model_validate(values)


async def test_a_mailbox_is_polled_with_tokens(bare_office: Office, endpoint: Endpoint) -> None:
    """Lost otherwise: no mailbox of Microsoft 365 or Google can be polled."""
    with running_dovecot(f"{endpoint.url}/introspect") as dovecot:
        bare_office.server = dovecot
        dovecot.put(letter(1))
        box = bare_office.serve(password=None, oauth=settings(endpoint, bare_office.folder).model_dump())
        await until(lambda: dovecot.count("Processed") == 1)
        assert endpoint.asked == [{
            "client_id": "relay", "client_secret": "s3cret", "grant_type": "refresh_token", "refresh_token": "first",
            "scope": "mail",
        }]  # fmt: skip
        endpoint.revoked.update(endpoint.given)
        dovecot.kill()
        dovecot.start()
        dovecot.put(letter(2))
        await until(lambda: dovecot.count("Processed") == 2)
        assert len(endpoint.asked) == 2
        await until(lambda: box.trouble is None)
        await bare_office.halt()


async def test_a_server_that_takes_no_token_is_told_of(bare_office: Office, endpoint: Endpoint) -> None:
    """Lost otherwise: a refused token hangs the poller: the server waits for an empty line."""
    with running_dovecot(f"{endpoint.url}/introspect") as dovecot:
        bare_office.server = dovecot
        endpoint.revoked.update(f"access-{number}" for number in range(100))
        box = bare_office.serve(password=None, oauth=settings(endpoint, bare_office.folder).model_dump())
        await until(lambda: box.trouble is not None)
        assert "refuses the login" in str(box.trouble)
        await bare_office.halt()


async def test_a_token_is_renewed_before_its_end(tmp_path: Path, endpoint: Endpoint) -> None:
    """Lost otherwise: each hour the mailbox is refused once, or each login costs a token."""
    now = [1000.0]
    tokens = Tokens(settings(endpoint, tmp_path), tmp_path / "keep.json", lambda: now[0])
    assert [await tokens.get(), await tokens.get()] == ["access-1", "access-1"]
    now[0] += 3600 - 60
    assert await tokens.get() == "access-2"
    tokens.forget()
    assert await tokens.get() == "access-3"


async def test_a_new_refresh_token_outlives_a_restart(tmp_path: Path, endpoint: Endpoint) -> None:
    """Lost otherwise: after 90 days Microsoft lets nobody in, for the first refresh token has ended."""
    endpoint.rotates = True
    keep = tmp_path / "mailboxes" / "keep.json"
    await Tokens(settings(endpoint, tmp_path), keep, lambda: 0.0).get()
    assert keep.stat().st_mode & 0o777 == 0o600
    await Tokens(settings(endpoint, tmp_path), keep, lambda: 0.0).get()
    assert [one["refresh_token"] for one in endpoint.asked] == ["first", "refresh-1"]
    changed = settings(endpoint, tmp_path)
    (tmp_path / "refresh").write_text("second")
    await Tokens(changed, keep, lambda: 0.0).get()
    assert endpoint.asked[-1]["refresh_token"] == "second"


async def test_an_application_asks_in_its_own_right(tmp_path: Path, endpoint: Endpoint) -> None:
    """Lost otherwise: a mailbox without a person to consent cannot be polled."""
    await Tokens(settings(endpoint, tmp_path, refresh_token=None), tmp_path / "keep.json", lambda: 0.0).get()
    assert endpoint.asked[0]["grant_type"] == "client_credentials"
    assert "refresh_token" not in endpoint.asked[0]


@pytest.mark.parametrize(
    ("status", "said", "fault"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "first s3cret"}', WrongCredentials),
        (401, b"no", WrongCredentials),
        (503, b"<html>later</html>", Lost),
        (200, b"<html>hello</html>", Lost),
        (200, b'{"access_token": 5}', Lost),
        (200, b'{"access_token": "a\\r\\nA1 LOGOUT"}', Lost),
        (302, b"", Lost),
    ],
)
async def test_what_the_endpoint_refuses_is_told_without_secrets(
    tmp_path: Path, endpoint: Endpoint, status: int, said: bytes, fault: type[Exception]
) -> None:
    """Lost otherwise: secrets stand in the log, or an endpoint's outage is taken for a wrong password."""
    endpoint.status, endpoint.said = status, said
    with pytest.raises(fault) as raised:
        await Tokens(settings(endpoint, tmp_path), tmp_path / "keep.json", lambda: 0.0).get()
    assert "s3cret" not in str(raised.value)
    assert "first" not in str(raised.value)
