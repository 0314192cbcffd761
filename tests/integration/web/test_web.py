"""The HTTP listener as its visitors see it: links, downloads, health, metrics, on a real store and over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa

from converters import Broken, ocr
from relay.callbacks.dialects import interfax_soap
from relay.fax import Outbound
from relay.ledger import submit
from relay.mailer.language import Languages
from relay.policy import PolicyHolder
from relay.store import erasure, faxes
from relay.store.tables import delivery, event, fax, link_use
from relay.submission import File, Recipient, Submission
from relay.web import checks
from relay.web.application import Services, build
from relay.web.health import Check
from relay.web.links import Action, Links
from relay.web.server import serve
from transport.seam import Cause

from ..mailer.desk import NOW, OFFICE_A, OFFICE_B, Desk, confirmed, ended

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


@pytest.fixture
def web(desk: Desk) -> Browser:
    """A browser on the desk's pages."""
    return Browser(desk)


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


def test_downloads_are_attachments_under_names_of_ours(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a document from outside runs in a browser in our name."""
    received = desk.received(confirmed())
    sent = desk.sent(confirmed(), subject='"; filename="evil.html')
    answers = {
        f"fax_{received}_20260921.pdf": web.get(link(Action.FAX, received)),
        f"fax_{sent}_20260921.pdf": web.get(link(Action.FAX, sent)),
        f"receipt_{sent}.pdf": web.get(link(Action.RECEIPT, sent)),
    }
    for name, answer in answers.items():
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.content.startswith(b"%PDF")
    assert web.get(link(Action.FAX, received)).status_code == 200, "a download works as often as wanted"


def test_downloads_of_what_is_not_there_say_so(desk: Desk, web: Browser) -> None:
    """Lost otherwise: an error page where there is a plain answer."""
    assert "There is no receipt yet" in web.get(link(Action.RECEIPT, waiting(desk))).text
    missed = desk.received(ended(Cause.TRAINING), pages=0)
    assert "This fax has no pages" in web.get(link(Action.FAX, missed)).text
    assert web.get(link(Action.FAX, missed)).status_code == 404
    desk.drawing.fault = Broken("no fonts")
    assert web.get(link(Action.RECEIPT, desk.sent(confirmed()))).status_code == 503


def test_the_download_of_an_erased_fax_says_so(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a program that comes late cannot tell an erased fax from a wrong address."""
    fax_id = desk.sent(confirmed())
    path = link(Action.FAX, fax_id)
    assert web.get(path).status_code == 200
    for erase in (erasure.documents, erasure.rows):
        desk.store.write_now(erase, desk.ids, fax_id, NOW, "the policy")
        gone = web.get(path)
        assert (gone.status_code, "This fax was erased" in gone.text) == (410, True)


def test_a_look_at_a_download_brings_its_headers_and_no_pages(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a program that asks first (HEAD) is told nothing, or gets the fax."""
    path = link(Action.FAX, desk.received(confirmed()))
    asked, fetched = web.request("HEAD", path), web.get(path)
    assert (asked.status_code, asked.content) == (200, b"")
    for header in ("content-type", "content-disposition", "content-length", "cache-control", "x-content-type-options"):
        assert asked.headers[header] == fetched.headers[header]


def test_a_download_that_cannot_be_made_now_says_so(desk: Desk, web: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: an error of ours where a program could try again."""

    async def broken(*_: Any, **__: Any) -> None:
        raise Broken("no child could be started")

    monkeypatch.setattr(desk.drawing, "to_pdf", broken)
    answer = web.get(link(Action.FAX, desk.sent(confirmed())))
    assert (answer.status_code, "The fax cannot be shown now" in answer.text) == (503, True)


def opening(desk: Desk) -> tuple[int, str]:
    """Receive a fax that is mailed to two mailboxes; return it, and the path of the first one's link."""
    settings = {"deliver_to": ["bob@example.com", "alice@example.com"], "language": "en", "opened_by": ["link"]}
    fax_id = desk.received(confirmed(), settings=settings)
    desk.mail_all()
    first = next(row.id for row in desk.rows(delivery) if row.target == "bob@example.com")
    return fax_id, LINKS.url("", Action.OPEN, first, NOW)[0]


def mails_opened(desk: Desk) -> list[Any]:
    """Return what was noted of mails that were opened."""
    return [row.detail for row in desk.rows(event) if row.kind == "mail.opened"]


def test_the_mail_of_a_fax_is_opened_by_its_button_and_not_by_a_look(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a scanner that follows links has read every fax; or a reader has not, who has."""
    fax_id, path = opening(desk)
    before = everything(desk.store)
    for method in ("GET", "HEAD", "GET"):
        page = web.request(method, path)
        assert page.status_code == 200
    assert '<form method="post"><button type="submit">Open the fax</button></form>' in page.text
    assert f"Fax {fax_id}" in page.text
    assert everything(desk.store) == before
    for _ in range(3):
        given = web.post(path)
        assert (given.status_code, given.content) == (200, b"%PDF received")
        assert given.headers["content-disposition"] == f'attachment; filename="fax_{fax_id}_20260921.pdf"'
    (noted,) = mails_opened(desk)
    assert (noted["recipient"], noted["answer"]) == ("bob@example.com", "its link was opened")


async def test_two_readers_of_one_mailbox_at_once_open_its_mail_once(desk: Desk) -> None:
    """Lost otherwise: a program hears twice of one opening."""
    _, path = await asyncio.to_thread(opening, desk)
    browser = Browser(desk)
    answers = await asyncio.gather(*(asyncio.to_thread(browser.post, path) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(mails_opened(desk)) == 1


def test_a_link_that_does_not_give_the_fax_opens_nothing(desk: Desk, web: Browser) -> None:
    """Lost otherwise: a mail is told as opened whose fax nobody saw."""
    fax_id, path = opening(desk)
    root, name, _, one, until, signature = path.split("/")
    other = next(row.id for row in desk.rows(delivery) if str(row.id) != one)
    for forged in (
        "/".join((root, name, "open", str(other), until, signature)),
        "/".join((root, name, "open", str(fax_id), until, signature)),
        f"{root}/{name}/fax/{one}/{until}/{signature}",
        link(Action.OPEN, fax_id),
    ):
        assert web.post(forged).status_code in {404, 405}
        assert web.get(forged).status_code == 404
    desk.store.write_now(erasure.documents, desk.ids, fax_id, NOW, "the policy")
    assert web.post(path).status_code == 410
    desk.store.write_now(erasure.rows, desk.ids, fax_id, NOW, "the policy")
    assert web.post(path).status_code == 404
    desk.clock.now = NOW + LIFE
    assert web.post(path).status_code == 410
    assert mails_opened(desk) == []


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
