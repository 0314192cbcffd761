"""Reports on mails of ours by SMTP: what a server returned, what a reader opened, and what proves nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from relay.errors import Refusal
from relay.fax import Inbound
from relay.ids import IdSource
from relay.intake import remote
from relay.intake.remote import CommitterGone, RemoteCommitter
from relay.outbox import RECEIVED_FAX
from relay.outbox.mails import MailReport
from relay.reports import ReportAddresses
from relay.store import faxes
from relay.store.tables import delivery, event, fax
from transport.link import Link

from .conftest import REPORTS, Relay

SAMPLES = Path(__file__).parents[2] / "data" / "reports"
NOW = 1_790_000_000.0
Letter = Callable[..., bytes]


def mailed(relay: Relay, *addresses: str, state: str = "done") -> list[int]:
    """Make a received fax whose mails went to some addresses; return their deliveries."""
    ids = IdSource()

    def work(connection: sa.Connection) -> list[int]:
        values = {
            "direction": "inbound", "number": "+97231234567", "peer": "+12025550123", "line_call": str(ids()),
            "settings": {"deliver_to": list(addresses)}, "created_at": NOW,
        }  # fmt: skip
        fax_id = faxes.create(connection, ids, values, reason="it rings")
        faxes.move(connection, ids, fax_id, Inbound.RECEIVED, at=NOW, reason="1 page")
        made = [ids() for _ in addresses]
        for one, address in zip(made, addresses, strict=True):
            connection.execute(
                delivery.insert().values(
                    id=one, lane="mail", target=address, order_key=f"{fax_id}:{address}", kind=RECEIVED_FAX,
                    fax_id=fax_id, payload={}, state=state, not_before=NOW, created_at=NOW, answer="250 Ok",
                )
            )  # fmt: skip
        faxes.move(connection, ids, fax_id, Inbound.DELIVERED, at=NOW, reason=f"mailed to {addresses[0]}")
        return made

    return relay.store.write_now(work)


def sample(name: str, address: str) -> bytes:
    """Return a sample report to an address, as it goes over the wire."""
    text = (SAMPLES / f"{name}.eml").read_text("utf-8").replace("@@TO@@", address)
    return text.replace("\n", "\r\n").encode()


def told(relay: Relay) -> list[tuple[str, dict[str, Any]]]:
    """Return what was noted of mails."""
    return [(row.kind, row.detail) for row in relay.rows(event) if row.kind.startswith("mail.")]


async def report(relay: Relay, name: str, address: str, to: str | None = None) -> str:
    """Send a sample report as a server does, from the null path."""
    return await relay.send(sample(name, address), to or address, sender="")


async def test_a_mail_that_comes_back_later_is_told_once(relay: Relay) -> None:
    """Lost otherwise: a fax that reached no mailbox is told as delivered for ever."""
    (one,) = mailed(relay, "bob@example.com")
    for name in ("returned-postfix", "returned-postfix", "returned-exchange"):
        assert await report(relay, name, REPORTS.of(one)) == "250 2.0.0 The report is read."
    words = "552 5.2.2 <bob@example.com>: Mailbox is over quota"
    assert told(relay) == [("mail.bounced", {"recipient": "bob@example.com", "answer": words, "delivery": str(one)})]
    assert [(row.state, row.answer) for row in relay.rows(delivery)] == [("failed", words)]
    (row,) = relay.faxes
    assert (row.state, row.reason) == ("delivered", f"the mail to bob@example.com came back: {words}")
    assert not next(row.routed for row in relay.rows(event) if row.kind == "mail.bounced")


async def test_a_fax_that_another_mailbox_has_keeps_its_reason(relay: Relay) -> None:
    """Lost otherwise: an administrator reads that a fax came back which somebody has."""
    first, _ = mailed(relay, "bob@example.com", "alice@example.com")
    await report(relay, "returned-exchange", REPORTS.of(first))
    assert [row.reason for row in relay.faxes] == ["mailed to bob@example.com"]


async def test_a_receipt_of_the_reader_is_told_once_for_each_mailbox(relay: Relay) -> None:
    """Lost otherwise: nobody hears that the mail was opened, or hears it with each receipt."""
    first, second = mailed(relay, "bob@example.com", "alice@example.com")
    for one in (first, first, second):
        address = REPORTS.of(one).upper()
        assert (await report(relay, "displayed-thunderbird", address)).startswith("250 ")
    words = "its reader's mail program sent a receipt"
    assert told(relay) == [
        ("mail.opened", {"recipient": name, "answer": words, "delivery": str(one)})
        for name, one in (("bob@example.com", first), ("alice@example.com", second))
    ]
    assert relay.submissions == []
    assert relay.leftovers == []


async def test_two_receipts_at_once_are_one(relay: Relay) -> None:
    """Lost otherwise: two mail programs of one reader have the mail told as opened twice."""
    (one,) = mailed(relay, "bob@example.com")
    await asyncio.gather(*(report(relay, "displayed-thunderbird", REPORTS.of(one)) for _ in range(4)))
    assert [kind for kind, _ in told(relay)] == ["mail.opened"]


@pytest.mark.parametrize("name", ["delayed-postfix", "deleted-unread", "vacation"])
async def test_what_says_neither_changes_nothing(relay: Relay, name: str) -> None:
    """Lost otherwise: an absent reader has opened the mail, or a slow server has returned it."""
    (one,) = mailed(relay, "bob@example.com")
    before = relay.rows(fax), relay.rows(delivery), relay.rows(event)
    assert (await report(relay, name, REPORTS.of(one))).startswith("250 ")
    assert (relay.rows(fax), relay.rows(delivery), relay.rows(event)) == before


async def test_a_report_without_its_proof_changes_nothing(relay: Relay) -> None:
    """Lost otherwise: whoever knows of a mail has it told as opened or as returned."""
    one, other = mailed(relay, "bob@example.com", "alice@example.com")
    good = REPORTS.of(one)
    stolen = good.replace(str(one), str(other))
    forged = ReportAddresses(b"x" * 32, "fax.example.com").of(one)
    before = relay.rows(fax), relay.rows(delivery), relay.rows(event)
    for address in (stolen, forged, f"report-{one}@fax.example.com", good.replace("fax.example", "evil.example")):
        for name in ("displayed-thunderbird", "returned-postfix"):
            assert (await report(relay, name, good, to=address))[:3] in {"550", "553"}
    number = "+12025550123@fax.example.com"
    reply = await relay.send(sample("displayed-thunderbird", good), number, sender="")  # the envelope decides
    assert reply[:3] == "550"
    assert (relay.rows(fax), relay.rows(delivery), relay.rows(event)) == before


async def test_a_report_is_alone_in_its_mail(relay: Relay, letter: Letter) -> None:
    """Lost otherwise: a document that was sent beside a report is faxed by nobody, or the report is lost."""
    (one,) = mailed(relay, "bob@example.com")
    client = await relay.client()
    assert (await client.say("MAIL FROM:<alice@example.com>")).startswith("250 ")
    assert (await client.say("RCPT TO:<+12025550123@fax.example.com>")).startswith("250 ")
    assert (await client.say(f"RCPT TO:<{REPORTS.of(one)}>")).startswith("452 4.5.3 ")
    assert (await client.say("DATA")).startswith("354 ")
    assert (await client.content(letter())).startswith("250 2.0.0 Accepted as ")
    assert (await client.say("MAIL FROM:<>")).startswith("250 ")
    assert (await client.say(f"RCPT TO:<{REPORTS.of(one)}>")).startswith("250 ")
    assert (await client.say("RCPT TO:<+12025550123@fax.example.com>")).startswith("452 4.5.3 ")


async def test_a_mail_that_is_still_tried_or_is_no_received_fax_is_not_told_as_returned(relay: Relay) -> None:
    """Lost otherwise: a mail that will arrive is told as returned; a receipt's fate as that of a fax."""
    (due,) = mailed(relay, "bob@example.com", state="due")
    assert (await report(relay, "returned-postfix", REPORTS.of(due))).startswith("250 ")
    assert (await report(relay, "displayed-thunderbird", REPORTS.of(4711))).startswith("250 ")
    assert told(relay) == []


async def test_a_mail_that_comes_back_before_its_delivery_is_written_is_asked_for_again(relay: Relay) -> None:
    """Lost otherwise: a server that returns a mail at once is told 250, and nobody hears that the mail came back."""
    (one,) = mailed(relay, "bob@example.com", state="due")
    here = delivery.update().where(delivery.c.id == one)
    relay.store.write_now(lambda c: c.execute(here.values(attempts=1)))  # its connection is still being ended
    assert (await report(relay, "returned-postfix", REPORTS.of(one))).startswith("451 4.3.0 ")
    assert [row.state for row in relay.rows(delivery)] == ["due"]
    assert told(relay) == []
    relay.store.write_now(lambda c: c.execute(here.values(state="done")))
    assert (await report(relay, "returned-postfix", REPORTS.of(one))).startswith("250 ")
    assert [kind for kind, _ in told(relay)] == ["mail.bounced"]


async def test_a_report_out_of_bounds_is_refused(relay: Relay) -> None:
    """Lost otherwise: a report that no parser should see ends the child that reads mail."""
    (one,) = mailed(relay, "bob@example.com")
    nested = (
        b"Content-Type: multipart/report; boundary=x\r\nFrom: a@b\r\n\r\n"
        + b"--x\r\nContent-Type: text/plain\r\n\r\na\r\n" * 999
    )
    assert (await relay.send(nested + b"--x--\r\n", REPORTS.of(one), sender="")).startswith("550 ")
    assert told(relay) == []


async def test_an_accepting_process_has_main_note_a_report(relay: Relay) -> None:
    """Lost otherwise: with several accepting processes no report counts; or one is taken that nobody noted."""
    (one,) = mailed(relay, "bob@example.com")
    (early,) = mailed(relay, "alice@example.com", state="due")
    relay.store.write_now(lambda c: c.execute(delivery.update().where(delivery.c.id == early).values(attempts=1)))
    ours, theirs = (Link(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    away = RemoteCommitter(ours)

    async def main() -> None:
        for _ in range(3):
            received = await theirs.receive()
            assert received is not None
            await remote.answer(relay.committer, theirs, received[0], received[1][0])

    async def hear() -> None:
        for _ in range(3):
            answer = await ours.receive()
            assert answer is not None
            away.answered(answer[0])

    running = [asyncio.create_task(main()), asyncio.create_task(hear())]
    said = MailReport(one, opened=True, words="its link was opened")
    assert await asyncio.wait_for(away.note(said), 5) is True
    assert await asyncio.wait_for(away.note(said), 5) is False
    with pytest.raises(Refusal, match=r"451 4\.3\.0"):
        await asyncio.wait_for(away.note(MailReport(early, opened=False, words="no such user")), 5)
    await asyncio.gather(*running)
    assert [kind for kind, _ in told(relay)] == ["mail.opened"]
    away.gone()
    with pytest.raises(CommitterGone):
        await away.note(said)
    ours.close()
    theirs.close()
