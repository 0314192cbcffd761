"""What docs/callbacks.md lets a reader copy and run does what it says."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from relay.callbacks.dialects import DIALECTS, standard, token

from ...conftest import need
from .events import AES_KEY, DOCS, ENDPOINTS, NOW, PRIVATE, SENT, SHARED, page_with_what_is_made, rendered

PAGE = DOCS.read_text("utf-8")
Start = Callable[[str, str], httpx.Client]


def block(mark: str) -> str:
    """Return the block of code behind a mark."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```[a-z]*\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def command(script: Path) -> list[str]:
    """Return how a reader starts a script."""
    if script.suffix == ".mjs":
        need("node")
        return ["node", str(script)]
    return [sys.executable, str(script)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a receiver of the page with a secret; give a client of it. What it prints is in `said`."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(name: str, secret: str) -> httpx.Client:
        script = tmp_path / name
        script.write_text(block(name))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with (tmp_path / "said").open("wb") as said:
            environment = {**os.environ, "PORT": str(port), "SECRET": secret}
            running.append(subprocess.Popen(command(script), env=environment, stdout=said))
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    yield begin
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("given", "held"), [(SHARED, SHARED), (PRIVATE, standard.public_key(PRIVATE))], ids=["v1", "v1a"]
)
@pytest.mark.parametrize("name", ["receiver.py", "receiver.mjs"])
def test_a_receiver_takes_our_calls_once_and_no_others(
    start: Start, tmp_path: Path, name: str, given: str, held: str
) -> None:
    """Lost otherwise: whoever copies the page takes forged calls, or none, or each twice."""
    with start(name, held) as client:

        def post(now: float, *, spoil: bytes = b"", secret: str = given) -> int:
            endpoint = replace(ENDPOINTS["standard"], secrets=(secret,))
            request = standard.render(SENT, endpoint, now)
            assert request is not None
            return client.post("/", content=request.body + spoil, headers=dict(request.headers)).status_code

        now = time.time()
        assert post(now) == 204
        assert post(now + 1) == 204
        assert post(now, spoil=b" ") == 400
        assert post(now - 600) == 400
        assert post(now, secret="whsec_" + "A" * 40) == 400
        assert post(now, secret="whsk_" + "A" * 43 + "=") == 400
        assert client.post("/", content=b"{}").status_code == 400
    lines = (tmp_path / "said").read_text().splitlines()
    assert lines == [f"fax.sent 2150102030405000001 +442079460000 {SENT.reason}"]


@pytest.mark.parametrize("iv", ["", "0123456789abcdef"])
def test_the_verifier_of_the_token_reads_it(tmp_path: Path, iv: str) -> None:
    """Lost otherwise: whoever copies the page cannot tell our calls from anybody's."""
    script = tmp_path / "verify.py"
    script.write_text(block("verify.py"))
    base = ENDPOINTS["sfax"]
    request = DIALECTS["sfax"].render(SENT, replace(base, options={**base.options, "iv": iv}), NOW)
    assert request is not None
    (sealed,) = parse_qs(urlsplit(request.url).query)["token"]

    def verify(text: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SECRET": AES_KEY, "IV": iv}
        return subprocess.run(
            [sys.executable, script, text], env=environment, capture_output=True, text=True, check=False
        )

    told = verify(sealed)
    assert told.stdout == "Username=master&ApiKey=5787A4E0BCDE46F986D2E067&GenDT=2026-09-21T14:13:20Z&\n"
    assert verify(token.encrypt(token.Claim("a", "b", 1), AES_KEY[::-1], iv)).returncode != 0


@pytest.fixture
def heard() -> Iterator[tuple[int, list[tuple[str, str, dict[str, str], bytes]]]]:
    """Give the port of a server and what it heard."""
    calls: list[tuple[str, str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def _hear(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            calls.append((self.command, self.path, dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        do_GET = do_POST = _hear  # noqa: N815  the library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, calls
        server.shutdown()


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - {"standard"}))
def test_a_command_of_the_page_is_a_call_of_the_relay(
    dialect: str, heard: tuple[int, list[tuple[str, str, dict[str, str], bytes]]]
) -> None:
    """Lost otherwise: a receiver is tried with calls that the relay never makes."""
    need("curl")
    port, calls = heard
    words = [word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in shlex.split(block(f"curl {dialect}"))]
    subprocess.run([*words, "--noproxy", "*"], check=True)
    request = rendered(dialect, SENT)
    assert request is not None
    ((method, path, headers, body),) = calls
    assert (method, f"https://receiver.example.com{path}", body) == (request.method, request.url, request.body)
    assert dict(request.headers).items() <= headers.items()


def test_what_is_made_is_up_to_date() -> None:
    """Lost otherwise: a code on the page means something else than the relay says."""
    assert page_with_what_is_made(PAGE) == PAGE


def test_every_option_is_told() -> None:
    """Lost otherwise: an option that nobody finds."""
    for name, dialect in DIALECTS.items():
        part = PAGE.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        assert all(f"`{option}`" in part for option in dialect.OPTIONS), name
