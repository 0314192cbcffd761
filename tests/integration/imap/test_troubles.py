"""What goes wrong with real servers: nothing is lost, nothing is faxed twice, and the health page says what it is."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from relay.intake.imap.mailbox import Mailbox
from relay.intake.imap.outcome import PATIENCE
from relay.store.tables import mailbox_message

from .conftest import Office, letter, until
from .dovecot import Dovecot


async def test_a_server_that_is_killed_is_found_again(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: after a crash of the mail server nothing is faxed until somebody restarts the relay."""
    dovecot.put(*(letter(number) for number in range(20)))
    box = office.serve(idle=True)
    await until(lambda: len(office.faxes) >= 3)
    dovecot.kill()
    await until(lambda: box.trouble is not None)
    assert "cannot be reached" in str(box.trouble) or "lost" in str(box.trouble)
    dovecot.start()
    await until(lambda: dovecot.count("INBOX") == 0, 40)
    assert sorted(office.taken) == sorted(f"<{number}@example.com>" for number in range(20))
    assert dovecot.count("Processed") in {20, 21}  # killed within a MOVE, Dovecot itself may leave one in both folders
    await until(lambda: box.trouble is None)


async def test_a_bye_in_idle_is_heard(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a server's restart leaves the poller waiting for ever for news."""
    box = office.serve(idle=True, poll_seconds=3000)
    dovecot.put(letter(1))
    await until(lambda: dovecot.count("Processed") == 1)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(dovecot.stop)
    dovecot.start()
    dovecot.put(letter(2))
    await until(lambda: dovecot.count("Processed") == 2, 10)
    assert len(office.faxes) == 2
    assert box.trouble is None


async def test_a_folder_that_is_made_anew_is_no_second_fax(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a restored mailbox is faxed a second time, or its new mail is taken for old."""
    with dovecot.client() as client:
        client.create("Faxes")
    without_id = letter(2, Message_ID="")
    dovecot.put(letter(1), without_id, folder="Faxes")
    office.serve(folder="Faxes", processed="flag", rejected="flag")
    await until(lambda: len(office.faxes) == 2)
    await until(lambda: office.fates == ["accepted"] * 2)
    with dovecot.client() as client:
        client.delete("Faxes")
        await asyncio.sleep(1.2)  # UIDVALIDITY is made of the time
        client.create("Faxes")
    dovecot.put(letter(3), letter(1), without_id, folder="Faxes")
    await until(lambda: len(office.fates) == 5)
    assert office.fates == ["accepted"] * 5
    assert len(office.faxes) == 3
    assert len({row.validity for row in office.rows(mailbox_message)}) == 2


async def test_another_message_under_a_known_uid_is_taken(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a server that gives a UID away twice makes new mail disappear as done."""
    dovecot.put(letter(1))
    office.serve(processed="flag", rejected="flag")
    await until(lambda: office.fates == ["accepted"])
    await office.halt()
    dovecot.kill()
    folder = dovecot.folder / "mail" / "fax"
    uidlist = (folder / "dovecot-uidlist").read_text()
    first = re.sub(r" N\d+ ", " N1 ", uidlist.splitlines()[0])
    (folder / "dovecot-uidlist").write_text(first + "\n")
    for file in (*folder.glob("dovecot.index*"), *folder.glob("cur/*"), *folder.glob("new/*")):
        file.unlink()
    dovecot.start()
    await asyncio.sleep(1.1)  # INTERNALDATE counts seconds
    dovecot.put(letter(2))
    office.serve(processed="flag", rejected="flag")
    await until(lambda: len(office.faxes) == 2)
    assert [(row.uid, row.fate) for row in office.rows(mailbox_message)] == [(1, "accepted")]


@pytest.mark.parametrize("capability", ["", "imap_capability = IMAP4rev1 SASL-IR UIDPLUS LITERAL+ IDLE\n"])
async def test_a_full_folder_keeps_what_is_done_and_says_so(office: Office, dovecot: Dovecot, capability: str) -> None:
    """Lost otherwise: no room in Processed, and the same mail is faxed at every poll."""
    with (dovecot.folder / "dovecot.conf").open("a") as config:
        config.write(capability)
    dovecot.stop()
    dovecot.start()
    dovecot.put(letter(1), letter(2, result=None))
    box = office.serve(processed="Full/Processed")
    await until(lambda: box.trouble is not None)
    assert "cannot be filed" in str(box.trouble)
    assert "quota" in str(box.trouble).lower()
    await asyncio.sleep(2.0)
    assert len(office.faxes) == 1
    assert (dovecot.count("INBOX"), dovecot.count("Rejected")) == (1, 1)
    await office.halt()
    office.serve()
    await until(lambda: dovecot.count("Processed") == 1)
    assert len(office.faxes) == 1
    assert dovecot.count("INBOX") == 0


async def test_a_poller_without_move_expunges_nothing_else(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: what a person has marked as deleted in the same folder is gone for good."""
    with (dovecot.folder / "dovecot.conf").open("a") as config:
        config.write("imap_capability = IMAP4rev1 SASL-IR UIDPLUS LITERAL+ IDLE\n")
    dovecot.stop()
    dovecot.start()
    dovecot.put(letter(1), letter(2))
    with dovecot.client() as client:
        client.store("1", "+FLAGS", r"(\Deleted)")
    office.serve()
    await until(lambda: dovecot.count("Processed") == 1)
    await asyncio.sleep(0.5)
    with dovecot.client() as client:
        assert client.search(None, "DELETED")[1] == [b"1"]
    assert office.taken == ["<2@example.com>"]


async def test_what_was_done_before_a_crash_is_only_filed(
    office: Office, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a power failure between the commit and the move sends a fax twice."""
    without_id = letter(1, Message_ID="")
    dovecot.put(without_id, letter(2, to="+19005550123@fax.example.com"))

    async def dies(*_: object) -> None:
        raise OSError("the plug was pulled")

    monkeypatch.setattr(Mailbox, "_file", dies)
    office.serve()
    await until(lambda: office.fates == ["accepted"])
    await office.halt()
    monkeypatch.undo()
    office.serve()
    await until(lambda: dovecot.count("Processed") == 1 and dovecot.count("Rejected") == 1)
    assert len(office.faxes) == 1
    assert len(office.answers) == 1


async def test_a_refused_message_that_is_put_back_is_judged_again(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: after the policy was mended a mail cannot be faxed but by sending it anew."""
    dovecot.put(letter(1, to="+442071234567@fax.example.com"))
    office.serve()
    await until(lambda: dovecot.count("Rejected") == 1)
    policy = office.folder / "policies" / "test.yaml"
    policy.write_text(policy.read_text().replace("+44", "+45"))
    await office.policy.reload()
    with dovecot.client(folder="Rejected") as client:
        client.copy("1", "INBOX")
    await until(lambda: dovecot.count("Processed") == 1)
    assert office.faxes == ["+442071234567"]
    assert len(office.answers) == 1


async def test_a_message_that_cannot_be_taken_for_days_is_refused(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: a mail that is over its quota for ever stays for ever, and nobody is told."""
    now = [1_800_000_000.0]
    result = "dmarc=pass header.from=example.net"
    dovecot.put(*(letter(number, sender="quota@example.net", result=result) for number in (1, 2)))
    began = time.monotonic()
    office.serve(
        clock=lambda: now[0] + time.monotonic() - began
    )  # it goes on: the next look may be put off after the leap
    await until(lambda: office.fates == ["accepted", "waiting"])
    assert office.answers == []
    now[0] += PATIENCE + 10
    await until(lambda: dovecot.count("Rejected") == 1)
    assert [to for to, _ in office.answers] == ["quota@example.net"]


async def test_nothing_is_fetched_onto_a_full_disk(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: mail fills the disk that the database needs, and the service stops."""
    dovecot.put(letter(1))
    box = office.serve(reserve=1 << 60)
    await until(lambda: box.trouble is not None)
    assert "no room" in str(box.trouble)
    assert dovecot.count("INBOX") == 1
    await office.halt()
    office.serve()
    await until(lambda: dovecot.count("Processed") == 1)


async def test_two_pollers_of_one_mailbox_make_one_fax(office: Office, dovecot: Dovecot) -> None:
    """Lost otherwise: two nodes with the same settings send everything twice."""
    dovecot.put(*(letter(number, Message_ID="" if number % 2 else f"<{number}@example.com>") for number in range(12)))
    office.serve()
    office.tasks["other"] = asyncio.create_task(office.mailbox().run())
    await until(lambda: dovecot.count("INBOX") == 0, 40)
    assert len(office.faxes) == 12


async def test_a_missing_folder_is_told(office: Office) -> None:
    """Lost otherwise: a slip in the settings looks like an empty mailbox."""
    box = office.serve(folder="Missing")
    await until(lambda: box.trouble is not None)
    assert "does not open the folder" in str(box.trouble)
