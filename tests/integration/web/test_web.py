"""The HTTP listener as its visitors see it: links, downloads, health, metrics, on a real store and over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

from converters import ocr
from relay.callbacks.dialects import interfax_soap
from relay.fax import Outbound
from relay.policy import PolicyHolder
from relay.store import faxes
from relay.store.tables import fax, link_use
from relay.web import checks
from relay.web.application import build
from relay.web.health import Check
from relay.web.links import Action, Links
from relay.web.server import serve
from transport.seam import Cause

from ..mailer.desk import NOW, Desk, confirmed, ended
from .browser import LIFE, Browser, everything, link, services, waiting


def test_looking_at_a_link_changes_nothing_however_often(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a mail scanner that follows links sends a fax again, or cancels one."""
    uncertain, queued = desk.sent(ended(Cause.LOST_CALL, 1, offered=True)), waiting(desk)
    before = everything(desk.store)
    for path, asks in (
        (link(Action.RESEND, uncertain), "Send the fax to"),
        (link(Action.CANCEL, queued), "Cancel the fax"),
    ):
        for method in ("GET", "HEAD", "GET"):
            answer = web.request(method, path)
            assert answer.status_code == 200
        assert asks in answer.text
        assert '<form method="post"><button type="submit">' in answer.text
        for method in ("PUT", "DELETE", "PATCH"):
            assert web.request(method, path).status_code == 405
    assert "it may arrive twice" in web.get(link(Action.RESEND, uncertain)).text
    assert everything(desk.store) == before


def test_a_resend_link_makes_one_new_fax_and_works_once(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a double click, or a second reader of the mail, sends a fax twice."""
    old = desk.sent(ended(Cause.BUSY))
    path = link(Action.RESEND, old)
    answer = web.post(path)
    assert answer.status_code == 200
    assert "The fax will be sent again" in answer.text
    rows = desk.rows(fax)
    assert [row.resend_of for row in rows] == [None, old]
    assert rows[1].state == "queued"
    for method in ("POST", "GET"):
        again = web.request(method, path)
        assert again.status_code == 410
        assert "It works once, and was used at 2026-09-21 14:18:20 UTC." in again.text
    assert len(desk.rows(fax)) == 2


async def test_two_presses_at_the_same_moment_make_one_fax(desk: Desk) -> None:
    """Lost otherwise: two people who open the same mail send a fax twice."""
    path = link(Action.RESEND, await asyncio.to_thread(desk.sent, ended(Cause.BUSY)))
    browser = Browser(desk)
    answers = await asyncio.gather(*(asyncio.to_thread(browser.post, path) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410]
    assert len(desk.rows(fax)) == 2


def test_a_cancel_link_cancels(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a sender cannot stop a mistake."""
    fax_id = waiting(desk)
    answer = web.post(link(Action.CANCEL, fax_id))
    assert "The fax is cancelled" in answer.text
    (row,) = desk.rows(fax)
    assert (row.state, row.reason) == ("cancelled", "cancelled by a link in a mail")


def test_an_act_that_is_not_possible_says_why_and_leaves_the_link_good(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a link is used up by an act that never happened."""
    fax_id = waiting(desk)
    resend, cancel = link(Action.RESEND, fax_id), link(Action.CANCEL, fax_id)
    answer = web.post(resend)
    assert answer.status_code == 409
    assert "it can be sent again when it has ended" in answer.text
    assert desk.rows(link_use) == []
    desk.store.write_now(faxes.move, desk.ids, fax_id, Outbound.FAILED, at=NOW, reason="no")
    assert web.post(resend).status_code == 200
    assert web.get(cancel).status_code == 409
    assert web.post(cancel).status_code == 409


def test_a_link_that_is_not_ours_or_has_ended_does_nothing(desk: Desk, web: Browser) -> None:
    """Lost otherwise: anybody can cancel, resend and download by guessing."""
    busy, other = desk.sent(ended(Cause.BUSY)), desk.sent(ended(Cause.BUSY), message_id="<2@example.com>")
    good = link(Action.RESEND, busy)
    root, name, action, _, until, signature = good.split("/")
    forged = [
        "/".join((root, name, action, str(other), until, signature)),
        "/".join((root, name, "cancel", str(busy), until, signature)),
        "/".join((root, name, "fax", str(busy), until, signature)),
        "/".join((root, name, action, str(busy), str(int(until) + 1), signature)),
        "/".join((root, name, action, str(busy), until, signature[:-1] + ("A" if signature[-1] != "A" else "B"))),
        "/".join((root, name, action, f"0{busy}", until, signature)),
        "/".join((root, name, action, f"+{busy}", until, signature)),
        "/".join((root, name, action, str(busy), until, "é")),
        "/".join((root, name, "evil", str(busy), until, signature)),
        Links(b"other key" * 4, life=LIFE).url("", Action.RESEND, busy, NOW)[0],
    ]
    before = everything(desk.store)
    for path in forged:
        for method in ("GET", "POST"):
            assert web.request(method, path).status_code in {404, 405}, path
    desk.clock.now = NOW + LIFE
    for method in ("GET", "POST"):
        assert web.request(method, good).status_code == 410
    assert everything(desk.store) == before


def test_a_link_to_a_fax_that_is_gone_says_so(web: Browser) -> None:
    """Lost otherwise: an old link ends in an error page of ours."""
    for action in Action:
        assert web.get(link(action, 1234567890123456789)).status_code == 404


def test_every_answer_has_strict_headers_and_no_cookie(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a page is framed, stored by a proxy, or its link leaks to another site."""
    paths = [link(Action.RESEND, desk.sent(ended(Cause.BUSY))), "/health", "/metrics", "/nothing", link(Action.FAX, 1)]
    for path in paths:
        answer = web.get(path, headers={"Host": "evil.example.com"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers
        assert "evil.example.com" not in answer.text


def test_pages_load_nothing_and_are_readable_by_everybody(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a page that a screen reader cannot read, or that calls home."""
    page = web.get(link(Action.RESEND, desk.sent(ended(Cause.BUSY)))).text
    assert '<html lang="en">' in page
    assert page.count("<h1>") == 1
    assert re.search(r"<title>[^<]+</title>", page)
    assert not re.search(r"<script|<img|<link|@import|url\(|https?://", page)
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert web.get(path).status_code == 404


def test_health_says_what_is_wrong_in_words(desk: Desk) -> None:
    """Lost otherwise: an administrator learns that something is wrong, and not what."""
    desk.sent(confirmed())
    outbox = checks.deliveries(desk.store, desk.clock)

    async def broken() -> str | None:
        raise ZeroDivisionError

    looks = (checks.database(desk.store), checks.disk(desk.blobs, 0), outbox)
    browser = Browser(desk, *looks)
    well = browser.get("/health")
    assert (well.status_code, well.text) == (200, "ok: database\nok: disk\nok: outbox\n")
    desk.clock.now += 3600
    stale = browser.get("/health")
    assert stale.status_code == 503
    assert re.search(r"wrong: outbox: \d+ events could not be routed; the log tells why", stale.text)
    full = checks.disk(desk.blobs, 1 << 62)
    told = Browser(desk, full, Check("line", broken)).get("/health", headers={"Accept": "application/json"})
    assert told.status_code == 503
    found = {check["name"]: check["wrong"] for check in told.json()["checks"]}
    assert told.json()["status"] == "wrong"
    assert "make room, or lower smtp.disk_reserve_bytes" in found["disk"]
    assert found["line"] == "it could not be looked at; the log tells why"


def test_health_tells_of_faxes_that_cannot_be_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a language that was never installed is noticed by whoever searches in vain."""
    monkeypatch.setattr(ocr, "missing", lambda _: "tesseract-ocr-heb")
    folder = desk.folder / "read"
    folder.mkdir()
    (folder / "p.yaml").write_text("numbers: [{number: +97235550177, deliver_to: [a@example.com], ocr: true}]\n")
    holder = PolicyHolder(folder)
    health = Browser(desk, checks.readers(holder, "eng+heb")).get("/health")
    assert health.status_code == 503
    assert "wrong: ocr: received faxes are not searchable as `ocr: true` says; `apt-get install" in health.text
    (folder / "p.yaml").write_text("numbers: [{number: +97235550177, deliver_to: [a@example.com]}]\n")
    health = Browser(desk, checks.readers(PolicyHolder(folder), "eng+heb")).get("/health")
    assert health.text == "ok: ocr\n"


def test_health_tells_of_mail_that_does_not_go_out(desk: Desk) -> None:
    """Lost otherwise: receipts pile up and nobody notices."""
    desk.sent(confirmed())
    (desk.folder / "mail").write_text("in the way")
    desk.mail_all()
    desk.clock.now += 7200
    health = Browser(desk, checks.deliveries(desk.store, desk.clock)).get("/health")
    assert "mail: 1 wait, the oldest for 120 min" in health.text


def test_metrics_show_stages_causes_and_ages(desk: Desk, web: Browser) -> None:
    """Lost otherwise: dashboards and alarms stand still."""
    desk.sent(ended(Cause.BUSY), confirmed())
    desk.received(confirmed())
    waiting(desk)
    desk.clock.now += 60
    answer = web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = set(answer.text.splitlines())
    assert {
        'faxrelay_faxes{direction="outbound",state="sent"} 1.0',
        'faxrelay_faxes{direction="outbound",state="accepted"} 1.0',
        'faxrelay_faxes{direction="inbound",state="received"} 1.0',
        'faxrelay_fax_oldest_seconds{direction="outbound",state="accepted"} 60.0',
        'faxrelay_calls_total{cause="busy",trunk="simulated"} 1.0',
        'faxrelay_calls_total{cause="confirmed",trunk="simulated"} 1.0',
        'faxrelay_pages_confirmed_total{direction="outbound"} 2.0',
    } <= lines
    assert "faxrelay_events_unrouted 0.0" not in lines
    (desk.folder / "mail").write_text("in the way")
    desk.mail_all()
    desk.clock.now += 5
    assert {
        'faxrelay_outbox_due{lane="mail"} 2.0', 'faxrelay_outbox_oldest_seconds{lane="mail"} 5.0',
        "faxrelay_events_unrouted 0.0",
    } <= set(web.get("/metrics").text.splitlines())  # fmt: skip


async def test_the_server_runs_in_the_services_loop_and_gives_its_port_back(desk: Desk) -> None:
    """Lost otherwise: the service cannot tell where it listens, or swallows the signal that should stop it."""
    server = await serve(build(services(desk)), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nserver:" not in answer.lower()
    with pytest.raises(OSError, match="in use"):
        await serve(build(services(desk)), "127.0.0.1", server.port)
    async with asyncio.timeout(5):
        await server.close()
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", server.port)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /health HTTP/1.1\r\nHost:",
        b"POST /link/confirm/1-0/2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nreason",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea",
    ],
    ids=["nothing", "half a header", "half a form", "half a second request"],
)
async def test_a_request_that_never_ends_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    """Lost otherwise: two hundred visitors who say nothing keep out all others, and the health page with them."""
    monkeypatch.setattr("relay.web.server._REQUEST", 0.2)
    server = await serve(build(services(desk)), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(begun)
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 3)
    writer.close()
    await server.close()


def test_the_description_of_soap_callbacks_is_there_for_everybody(web: Browser) -> None:
    """Lost otherwise: whoever wants a receiver made from our WSDL has to look for it in the source."""
    answer = web.get("/callbacks/interfax.wsdl")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.content == interfax_soap.wsdl()
