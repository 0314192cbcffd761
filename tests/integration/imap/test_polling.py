"""Mail out of a real mailbox: what becomes a fax, what is refused, where each message ends."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path

import sqlalchemy as sa

from relay.ids import IdSource
from relay.outbox import RECEIVED_FAX
from relay.reports import ReportAddresses
from relay.store import faxes
from relay.store.tables import delivery, event

from .conftest import MESSAGE_BYTES, REPORTS, Office, letter, until
from .dovecot import Dovecot


async def test_a_message_becomes_a_fax_and_is_filed(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: mail that a provider keeps for us is never faxed."""
    dovecot.put(letter())
    box = office.serve()
    await until(lambda: dovecot.count("Processed") == 1)
    assert office.faxes == ["+12025550123"]
    assert dovecot.count("INBOX") == 0
    assert box.trouble is None
    assert office.fates == ["accepted"]
    assert office.answers == []


def arrived(office: Office, count: int) -> bool:
    """Whether so many faxes were made."""
    return len(office.faxes) == count


async def test_idle_takes_a_message_at_once(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a fax waits for the next poll though the server told of its mail."""
    box = office.serve(idle=True, poll_seconds=3000)
    await asyncio.sleep(1.0)
    for number in range(1, 4):
        dovecot.put(letter(number))
        await until(functools.partial(arrived, office, number), 5)
    assert box.trouble is None


async def test_both_recipients_of_a_message_are_faxed(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: the second recipient of a mail gets nothing, and nobody is told."""
    both = "+12025550123@fax.example.com, Bob <bob@example.org>, FAX=+12025550124@fax.example.com"
    dovecot.put(letter(to=both, Delivered_To="faxes@fax.example.com", X_Original_To="+12025550123@fax.example.com"))
    office.serve()
    await until(lambda: dovecot.count("Processed") == 1)
    assert sorted(office.faxes) == ["+12025550123", "+12025550124"]


async def test_the_envelope_names_a_recipient_that_the_sender_did_not(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: blind copies are not faxed."""
    dovecot.put(letter(to="bob@example.org", Delivered_To="+12025550125@fax.example.com"))
    office.serve()
    await until(lambda: office.faxes == ["+12025550125"])


async def test_the_subject_names_the_number_where_the_mailbox_says_so(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: who cannot write fax addresses cannot fax."""
    dovecot.put(letter(1, to="faxes@example.com", Subject="Fax to +1 (202) 555-0126"))
    dovecot.put(letter(2, to="faxes@example.com", Subject="Call me"))
    dovecot.put(letter(3, to="faxes@example.com", Subject="+12025550126 or +12025550127"))
    office.serve(recipient="subject", domain="fax.example.com")
    await until(lambda: dovecot.count("Rejected") == 2)
    assert office.faxes == ["+12025550126"]
    assert [reasons[0].split(":")[0] for _, reasons in office.answers] == [
        "The subject names no fax number", "The subject names more than one number",
    ]  # fmt: skip


async def test_several_mailboxes_are_served_side_by_side(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: one mailbox with a wrong password stops all the others."""
    dovecot.put(letter(1))
    dovecot.put(letter(2), user="second")
    wrong = office.folder / "wrong"
    wrong.write_text("guess")
    office.serve()
    office.serve(name="two", user="second", idle=True)
    locked = office.serve(name="three", password=f"file:{wrong}")
    await until(lambda: len(office.faxes) == 2)
    await until(lambda: locked.trouble is not None)
    assert "refuses the login" in str(locked.trouble)
    wrong.write_text(office.secret.read_text())
    await until(lambda: locked.trouble is None)


async def test_a_refusal_is_in_the_language_of_the_fax_domain(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: an office reads why its mail was refused in a language that it does not know."""
    dovecot.put(letter(to="+442079460000@fax.example.net"))
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 1)
    assert [row.payload["language"] for row in office.rows(delivery)] == ["he"]


async def test_an_unproven_sender_is_refused_without_an_answer(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: anybody faxes under our customers' names, and forged senders get our mail."""
    for number, result in enumerate((None, "dmarc=fail header.from=example.com", "dmarc=pass header.from=example.org")):
        dovecot.put(letter(number, result=result))
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 3)
    assert office.faxes == []
    assert office.answers == []


async def test_a_forged_result_below_the_servers_own_counts_for_nothing(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a line that the attacker wrote proves the attacker."""
    forged = letter(result="dmarc=pass header.from=example.com")
    dovecot.put(b"Authentication-Results: mx.example.com; dmarc=fail header.from=example.com\r\n" + forged)
    dovecot.put(b"Authentication-Results: mx.example.com.evil.example; dmarc=pass header.from=example.com\r\n" + forged)
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 2)
    assert office.faxes == []


async def test_a_proven_sender_reads_why(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a mail disappears into Rejected and its sender believes it was faxed."""
    dovecot.put(letter(1, to="+19005550123@fax.example.com"))
    dovecot.put(letter(2, to="+12025550123@fax.example.com, +12025550124/T33S=7@fax.example.com"))
    dovecot.put(letter(3, to="+19005550123@fax.example.com", Auto_Submitted="auto-replied"))
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 2 and dovecot.count("Processed") == 1)
    assert [to for to, _ in office.answers] == ["alice@example.com", "alice@example.com"]
    assert "T33S" in office.answers[1][1][0]
    assert office.faxes == ["+12025550123"]


async def test_a_huge_message_is_refused_without_fetching_it(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: one mail of 100 MB fills the memory or the disk of the relay."""
    huge = letter(1) + b"x" * 76 + b"\r\n"
    huge += (b"y" * 76 + b"\r\n") * (100 * 1024 * 1024 // 78)
    await asyncio.to_thread(dovecot.put, huge, letter(2))
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 1 and dovecot.count("Processed") == 1, 60)
    assert office.taken == ["<2@example.com>"]
    assert office.answers == [("alice@example.com", [f"The message is larger than {MESSAGE_BYTES // 1048576} MB."])]


async def test_a_malformed_message_does_not_stop_the_others(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: one broken mail, and no fax leaves any more."""
    dovecot.put(b"\xff\xfe nonsense\r\n\r\n" + b"\x80" * 2000 + b"\r\n")
    dovecot.put(b"From: a@example.com, b@example.com\r\nTo: +12025550123@fax.example.com\r\n\r\nhello\r\n")
    dovecot.put(b"\r\n", letter(7))
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 3 and dovecot.count("Processed") == 1)
    assert office.taken == ["<7@example.com>"]
    assert office.answers == []


async def test_flags_mark_what_stays(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a mailbox whose mail must stay is faxed again and again."""
    dovecot.put(letter(1), letter(2, result=None))
    office.serve(processed="flag", rejected="flag")
    await until(lambda: office.fates == ["accepted", "rejected"])
    await asyncio.sleep(1.5)
    with dovecot.client() as client:
        assert client.search(None, "KEYWORD", "$FaxProcessed")[1] == [b"1"]
        assert client.search(None, "KEYWORD", "$FaxRejected")[1] == [b"2"]
    assert dovecot.count("INBOX") == 2
    assert len(office.faxes) == 1


async def test_what_is_over_quota_waits(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a mail beyond this hour's quota is refused for good, or faxed twice."""
    result = "dmarc=pass header.from=example.net"
    for number in (1, 2):
        dovecot.put(letter(number, sender="quota@example.net", result=result))
    box = office.serve()
    await until(lambda: office.fates == ["accepted", "waiting"])
    await asyncio.sleep(1.0)
    assert (dovecot.count("INBOX"), dovecot.count("Processed"), len(office.faxes)) == (1, 1, 1)
    assert box.trouble is None


async def test_tls_and_starttls_check_the_server(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: the password goes to whoever stands in between."""
    dovecot.put(letter(1))
    dovecot.put(letter(2), user="second")
    authority = str(dovecot.folder / "server.pem")
    office.serve(tls="tls", port=dovecot.tls_port, ca=authority)
    office.serve(name="two", user="second", tls="starttls", ca=authority)
    stranger = office.serve(name="three", tls="starttls")
    await until(lambda: len(office.faxes) == 2)
    await until(lambda: stranger.trouble is not None)
    assert "certificate" in str(stranger.trouble).lower()


async def test_more_addresses_than_are_read_are_refused(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: the fax number behind five hundred other addresses is passed over in silence."""
    many = ",\r\n ".join(f"user{number}@example.org" for number in range(600))
    dovecot.put(f"Cc: {many}\r\n".encode() + letter(1))
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 1)
    assert office.answers == [("alice@example.com", ["The mail names 500 addresses or more: name fewer."])]


async def test_stopping_lets_a_message_end(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a stop in the middle of a message leaves its files behind, or its judgement half done."""
    dovecot.put(*(letter(number) for number in range(10)))
    for moment in (0.05, 0.08, 0.11, 0.14):
        office.serve()
        await asyncio.sleep(moment)
        await office.halt()
    office.serve()
    await until(lambda: dovecot.count("Processed") == 10)
    assert len(office.faxes) == 10


async def test_a_report_in_a_mailbox_is_noted_and_answered_by_nobody(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: what comes back to a relay that only polls is refused as a mail without a fax number."""
    ids = IdSource()

    def work(connection: sa.Connection) -> int:
        values = {
            "direction": "inbound", "number": "+97231234567", "peer": "", "line_call": "in", "settings": {},
            "created_at": 1.0,
        }  # fmt: skip
        fax_id, one = faxes.create(connection, ids, values, reason="it rings"), ids()
        row = {"id": one, "lane": "mail", "target": "bob@example.com", "order_key": "x", "kind": RECEIVED_FAX}
        row |= {"fax_id": fax_id, "payload": {}, "state": "done", "not_before": 1.0, "created_at": 1.0}
        connection.execute(delivery.insert().values(row))
        return one

    address = REPORTS.of(await office.store.write(work))
    forged = ReportAddresses(b"x" * 32, "fax.example.com").of(1)
    for name, to in (("displayed-thunderbird", address), ("returned-postfix", forged), ("vacation", address)):
        text = (Path(__file__).parents[2] / "data" / "reports" / f"{name}.eml").read_text("utf-8")
        dovecot.put(text.replace("@@TO@@", to).replace("\n", "\r\n").encode())
    box = office.serve()
    await until(lambda: (dovecot.count("Processed"), dovecot.count("Rejected")) == (2, 1))
    assert [row.kind for row in office.rows(event) if row.kind.startswith("mail.")] == ["mail.opened"]
    assert (len(office.rows(delivery)), len(office.faxes), box.trouble) == (1, 1, None)  # no answer, no fax


async def test_a_mail_that_came_back_early_is_looked_at_again(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: what comes back before its delivery is written is put away, and nobody hears of it."""
    ids = IdSource()

    def work(connection: sa.Connection) -> int:
        values = {
            "direction": "inbound", "number": "+97231234567", "peer": "", "line_call": "in", "settings": {},
            "created_at": 1.0,
        }  # fmt: skip
        fax_id, one = faxes.create(connection, ids, values, reason="it rings"), ids()
        row = {"id": one, "lane": "mail", "target": "bob@example.com", "order_key": "x", "kind": RECEIVED_FAX}
        row |= {"fax_id": fax_id, "payload": {}, "state": "due", "attempts": 1, "not_before": 1.0, "created_at": 1.0}
        connection.execute(delivery.insert().values(row))
        return one

    one = await office.store.write(work)
    text = (Path(__file__).parents[2] / "data" / "reports" / "returned-postfix.eml").read_text("utf-8")
    dovecot.put(text.replace("@@TO@@", REPORTS.of(one)).replace("\n", "\r\n").encode())
    office.serve()
    await until(lambda: office.fates == ["waiting"])
    assert [row.kind for row in office.rows(event) if row.kind.startswith("mail.")] == []
    await office.store.write(lambda c: c.execute(delivery.update().values(state="done")))
    await until(lambda: dovecot.count("Processed") == 1)
    assert [row.kind for row in office.rows(event) if row.kind.startswith("mail.")] == ["mail.bounced"]
