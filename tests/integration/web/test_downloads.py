"""Links that give a file: downloads, and the button that opens a received fax."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from converters import Broken
from relay.store import erasure
from relay.store.tables import delivery, event
from relay.web.links import Action
from transport.seam import Cause

from ..mailer.desk import NOW, Desk, confirmed, ended
from .browser import LIFE, LINKS, Browser, everything, link, waiting


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
