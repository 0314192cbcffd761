"""Callbacks of a running relay: a fax goes out and comes in, and a program on this machine is told of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import re
import smtplib
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .service import OFFICE_A, OFFICE_B, POLICY, QUICK_RETRIES, Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"k" * 32
_CALLBACKS = """
callbacks:
  networks:
    - {{name: here, ranges: [127.0.0.0/8]}}
  endpoints:
    - name: crm
      url: http://127.0.0.1:{port}/faxes
      networks: [here]
      trigger: step
      secrets: ['file:{secret}']
      delays: [1s, 1s, 1s]
      suspend_after: 2
      tell: admin@example.com
    - name: outside
      url: http://127.0.0.1:{port}/outside
      secrets: ['file:{secret}']
      suspend_after: 0
"""


class Heard(http.server.ThreadingHTTPServer):
    """A receiver. ``status``: how it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.calls: list[tuple[str, dict[str, str], bytes]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    """Notes a call."""

    server: Heard

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name
        """Be quiet."""


_REGISTERED = """
    - name: signer
      url: http://127.0.0.1:{port}/documents
      inbound_url: http://127.0.0.1:{port}/mails
      dialect: assinaturas
      networks: [here]
      suspend_after: 0
"""
SAMPLES = Path(__file__).parents[1] / "data" / "reports"


@pytest.fixture
def heard() -> Iterator[Heard]:
    """A receiver on a port of loopback."""
    server = Heard()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def telling(tmp_path: Path, heard: Heard) -> Iterator[Relay]:
    """A relay that tells the receiver."""
    secret = tmp_path / "secret"
    secret.write_text(f"whsec_{base64.b64encode(KEY).decode()}\n")
    policy = POLICY.format(a=OFFICE_A, b=OFFICE_B, retries=QUICK_RETRIES)
    running = Relay(tmp_path, policy=policy + _CALLBACKS.format(port=heard.server_port, secret=secret))
    running.start()
    yield running
    running.stop()


@pytest.fixture(params=[0, 1])
def registering(tmp_path: Path, heard: Heard, request: pytest.FixtureRequest) -> Iterator[Relay]:
    """A relay that follows the mails of received faxes, with main or another process at the door."""
    secret = tmp_path / "secret"
    secret.write_text(f"whsec_{base64.b64encode(KEY).decode()}\n")
    policy = POLICY.format(a=OFFICE_A, b=OFFICE_B, retries=QUICK_RETRIES)
    policy = policy.replace(
        "deliver_to: [bob@example.com]", "deliver_to: [bob@example.com]\n    opened_by: [link, receipt]"
    )
    endpoints = (_CALLBACKS + _REGISTERED).format(port=heard.server_port, secret=secret)
    running = Relay(
        tmp_path, policy=policy + endpoints, base_url="https://fax.example.com", processes=request.param,
        mail="  reports_domain: fax.example.com\n",
    )  # fmt: skip
    running.start()
    yield running
    running.stop()


def wait(found: Any, seconds: float = 30) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_fax_is_told_signed_and_in_order(telling: Relay, heard: Heard) -> None:
    """Lost otherwise: no program knows what became of a fax."""
    telling.mail(f"{OFFICE_B}@fax.example.com")
    telling.wait_for("sent")
    telling.wait_for("delivered")
    wait(lambda: len(heard.calls) >= 4)
    told = [json.loads(body) for _, _, body in heard.calls]
    assert {one["type"] for one in told} == {"fax.sent", "submission.completed", "fax.received", "mail.delivered"}
    types = [one["type"] for one in told]
    assert types.index("fax.sent") < types.index("submission.completed")
    assert types.index("fax.received") < types.index("mail.delivered")
    for path, headers, body in heard.calls:
        assert path == "/faxes"  # an endpoint that names no range of loopback gets no packet
        signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert f"v1,{expected}" in headers["webhook-signature"].split(" ")
    (line, *_) = telling.ask("callback", "log", "--endpoint", "outside")
    assert "may not be called: the address is loopback" in line["reason"]


def test_what_becomes_of_a_registered_mail_is_told_in_the_end(registering: Relay, heard: Heard) -> None:
    """Lost otherwise: nobody who needs a proof hears that the fax's mail was opened, or that it came back."""
    relay = registering

    def told(path: str) -> list[dict[str, Any]]:
        return [json.loads(body) for at, _, body in list(heard.calls) if at == path]

    def actions() -> list[str]:
        return [one["action"] for one in told("/mails")]

    def fetch(url: str, method: str) -> Any:
        here = url.replace("https://fax.example.com", f"http://127.0.0.1:{relay.web[1]}")
        return urllib.request.urlopen(urllib.request.Request(here, method=method))

    def report(name: str, address: str) -> None:
        text = (SAMPLES / f"{name}.eml").read_text("utf-8").replace("@@TO@@", address)
        with smtplib.SMTP(*relay.smtp, timeout=30) as client:
            client.sendmail("", [address], text.replace("\n", "\r\n").encode())

    relay.mail(f"{OFFICE_B}@fax.example.com")
    (mail,) = relay.until_mailed("bob@example.com")
    wait(lambda: actions() == ["DELIVERED"])
    address = str(mail["Return-Path"]).strip("<>")
    assert mail["Disposition-Notification-To"] == f"<{address}>"
    body = mail.get_body(("plain",))
    assert body is not None
    (link,) = re.findall(r"https://fax\.example\.com/link/open/\S+", body.get_content())
    for method in ("GET", "HEAD"):  # a scanner
        assert fetch(link, method).status == 200
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        report("displayed-thunderbird", address.replace("-", "-2", 1))
    report("vacation", address)
    time.sleep(1)
    assert actions() == ["DELIVERED"]

    assert fetch(link, "POST").read().startswith(b"%PDF")
    wait(lambda: actions() == ["DELIVERED", "OPENED"])
    report("displayed-thunderbird", address)
    report("returned-postfix", address)
    wait(lambda: actions() == ["DELIVERED", "OPENED", "NOT-DELIVERED"])
    opened, returned = told("/mails")[1:]
    assert (opened["type"], opened["recipient"]) == ("REGISTERED-MAIL", "bob@example.com")
    assert opened["registeredMailId"] == returned["registeredMailId"]
    assert opened["info"] == {"message": "its link was opened"}
    assert returned["info"] == {"message": "552 5.2.2 <bob@example.com>: Mailbox is over quota"}

    (sent,) = [one for one in told("/documents") if one["action"] == "SIGNATURE-SERVER"]
    downloaded = fetch(sent["apiDownload"], "GET")
    assert downloaded.headers["Content-Type"] == "application/pdf"
    assert downloaded.headers["Cache-Control"] == "no-store"
    assert downloaded.read().startswith(b"%PDF")
    assert fetch(sent["apiDownload"], "HEAD").headers["Content-Disposition"].startswith("attachment; filename=")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(sent["apiDownload"][:-1] + "!", "GET")
    wait(lambda: {"mail.delivered", "mail.opened", "mail.bounced"} <= {one["type"] for one in told("/faxes")})
    received = [one for one in told("/faxes") if one["type"] == "fax.received"]
    assert fetch(received[0]["data"]["download_url"], "GET").read().startswith(b"%PDF")


@pytest.mark.timeout(300)  # some thirty commands, each a process of its own
def test_the_commands_suspend_hold_resume_and_replay(telling: Relay, heard: Heard) -> None:
    """Lost otherwise: an operator cannot see or mend what a receiver missed."""
    tried = telling.ask("callback", "test", "crm")
    assert (tried["ok"], tried["status"]) == (True, 200)
    assert json.loads(heard.calls[0][2])["data"]["test"] is True
    heard.status, heard.calls = 503, []
    assert telling.command("callback", "test", "crm").returncode == 1
    telling.mail(f"{OFFICE_B}@fax.example.com")
    telling.wait_for("delivered")
    wait(lambda: telling.ask("callback", "list")[0]["state"] == "suspended")
    (letter,) = telling.until_mailed("admin@example.com")
    assert letter["Subject"] == "Callbacks to crm are suspended"
    with pytest.raises(urllib.error.HTTPError) as health:
        urllib.request.urlopen(f"http://127.0.0.1:{telling.web[1]}/health")
    assert "crm is suspended" in health.value.read().decode()
    heard.status, heard.calls = 200, []
    assert "callbacks go out" in telling.command("callback", "resume", "crm").stdout
    wait(lambda: len(heard.calls) >= 4)
    wait(lambda: telling.ask("callback", "list")[0]["held"] == 0)
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{telling.web[1]}/metrics").read().decode()
    assert 'faxrelay_callbacks_sent_total{endpoint="crm"} 4.0' in metrics
    done = telling.ask("callback", "log", "--endpoint", "crm", "--result", "done")[0]
    assert telling.command("callback", "replay", done["delivery"]).returncode == 0
    wait(lambda: len(heard.calls) >= 5)
    assert telling.command("callback", "suspend", "crm").returncode == 0
    assert telling.command("callback", "suspend", "nobody").returncode == 3
    assert "crm,fax.sent" in telling.command("callback", "log", "--csv").stdout
    report = telling.ask("callback", "report")
    assert {row["endpoint"] for row in report["rows"]} == {"crm", "outside"}
    for arguments in (("list",), ("log",), ("report",)):  # as people read them
        assert "crm" in telling.command("callback", *arguments).stdout
    telling.stop()
    assert telling.ask("callback", "list")[0]["state"] == "suspended"  # and where no service runs
