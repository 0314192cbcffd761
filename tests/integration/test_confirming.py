"""Proof confirm, from the mail to the click: whoever a mail claims to be from decides whether it is faxed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from relay.errors import IllegalMove
from relay.intake import confirming
from relay.operations import Operations
from relay.store import usage
from relay.store.tables import attachment, audit, confirmation, delivery, document, event, hold, submission

from .holding import TO, House, house_of, links_of, text_of
from .intake.conftest import letter, settings  # noqa: F401  fixtures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from relay.mail_settings import Smtp

POLICY = """
domains: [{name: fax.example.com, default_region: IL}]
numbers:
  - number: +97231234567
    features: [mail_to_fax]
    senders:
      - {match: "@example.com", proof: confirm}
      - {match: "@example.com", proof: network, networks: [192.0.2.0/24]}
      - {match: "@trusted.example", proof: none}
      - {match: "@trusted.example", proof: confirm}
    confirm_within: 2h
    limits: {faxes_per_hour: 2}
  - number: +97237654321
    features: [mail_to_fax]
    senders: [{match: "@example.org", proof: confirm}]
    approval: {by: [boss@example.org]}
destinations:
  rules: [{deny: {prefix: "+1900"}}]
"""
HELD = r"250 2\.0\.0 Accepted as \d+; 1 fax, held until the link in a mail to the sender is followed"


@pytest.fixture
async def house(tmp_path: Path, settings: Smtp) -> AsyncIterator[House]:  # noqa: F811
    """A house whose senders prove nothing but by a click."""
    async with house_of(tmp_path, settings, POLICY) as made:
        yield made


async def test_the_click_of_the_claimed_sender_lets_the_fax_go(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: who cannot sign mail cannot fax, or anybody faxes in anybody's name."""
    mail = letter(Subject="Buy http://spam.example now", Reply_To="eve@elsewhere.example")
    assert re.fullmatch(HELD, await house.relay.send(mail, TO, sender="eve@elsewhere.example"))
    await house.work()
    (fax,) = house.relay.faxes
    assert (fax.state, fax.reason) == ("held", "it waits for its sender to confirm it")
    assert house.relay.rows(document)[0].blob is None, "nobody has answered for it: nothing is parsed"
    (asked,) = house.mails()
    assert asked["To"] == "alice@example.com"
    assert asked["Subject"] == "Confirm your fax to +1 202-555-0123"
    assert asked["In-Reply-To"] is None
    assert "spam" not in asked.as_string()
    assert not list(asked.iter_attachments())
    path = links_of(asked)["confirm"]
    for method in ("GET", "HEAD"):
        assert (await house.press(path, method)).status_code == 200
    assert await house.states() == ["held"]
    assert "The fax will be sent" in (await house.press(path)).text
    await house.work()
    (fax,) = house.relay.faxes
    assert (fax.state, house.relay.submissions[0].proof) == ("queued", "confirm")
    assert ("fax.released", "confirmed by alice@example.com") in await house.history(fax.id)
    again = await house.press(path)
    assert again.status_code == 409
    assert "It was confirmed by alice@example.com on 2026-09-21 14:13 UTC." in again.text
    await Operations(
        house.relay.store, house.relay.blobs, house.relay.policy, house.relay.committer._ids, house.clock
    ).fax_cancel(fax.id)
    await house.work()
    assert [mail["To"] for mail in house.mails()] == ["alice@example.com"] * 2


async def test_without_a_click_nothing_is_left_and_nobody_hears_of_it(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a stranger's mail stays for ever, or its supposed sender gets mail after mail."""
    await house.relay.send(letter(), TO, "+12025550124@fax.example.com")
    await house.work()
    path = links_of(house.mails()[0])["confirm"]
    house.clock.now += 7200
    assert (await house.press(path)).status_code == 410
    await house.work()
    await house.expire()
    await house.work()
    for table in (submission, attachment, document, delivery, hold, event):
        assert house.relay.rows(table) == [], table.name
    assert house.relay.faxes == []
    assert [(row.outcome, row.erased_by) for row in house.relay.rows(audit)] == [
        ("cancelled", "the end of its sender's time")
    ] * 2
    assert len(house.mails()) == 1
    assert (await house.press(path)).status_code == 410
    assert re.fullmatch(HELD, await house.relay.send(letter(), TO)), "the same mail may ask once more"


async def test_a_mail_with_another_proof_is_not_asked(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: everybody clicks for every fax."""
    reply = await house.relay.send(letter(sender="bob@trusted.example"), TO)
    assert "held" not in reply
    assert await house.states() == ["accepted"]


@pytest.mark.parametrize(
    ("return_path", "headers"),
    [
        ("", {}),
        ("alice@example.com", {"Auto-Submitted": "auto-replied"}),
        ("alice@example.com", {"List-Id": "<a.b>"}),
        ("alice@example.com", {"Precedence": "bulk"}),
    ],
)
async def test_automatic_mail_is_never_asked(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
    return_path: str,
    headers: dict[str, str],
) -> None:
    """Lost otherwise: two robots, or a mailing list and we, write to each other for ever."""
    reply = await house.relay.send(letter(**headers), TO, sender=return_path)
    assert reply.startswith("550 5.7.1 ")
    assert house.relay.faxes == []


async def test_nobody_can_have_an_address_mailed_often(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: the relay is the gun of whoever wants to fill a stranger's mailbox."""
    replies = []
    for number in range(5):
        sender = "alice@example.com" if number % 2 else f"alice+{number}@example.com"
        mail = letter(sender=sender, Message_ID=f"<{number}@example.com>")
        replies.append(await house.relay.send(mail, TO))
    assert [reply[:9] for reply in replies] == ["250 2.0.0"] * 3 + ["450 4.7.1"] * 2
    assert len(house.relay.faxes) == 3
    house.clock.now += 7200
    await house.expire()
    for number in range(5, 12):
        await house.relay.send(letter(Message_ID=f"<{number}@example.com>"), TO)
        house.clock.now += 1300
    house.clock.now += 3600
    assert len(house.relay.rows(confirmation)) == 2 * confirming.PER_SENDER_DAY


async def test_one_client_cannot_have_many_addresses_mailed(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: every address of a domain is mailed by one stranger in a minute."""
    replies = [
        await house.relay.send(letter(sender=f"user{number}@example.com"), TO)
        for number in range(confirming.PER_CLIENT_HOUR + 2)
    ]
    assert [reply[:3] for reply in replies] == ["250"] * confirming.PER_CLIENT_HOUR + ["450"] * 2


async def test_strangers_do_not_use_up_what_a_number_may_send(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: two forged mails stop an office's faxes for an hour."""
    for sender in ("eve@example.com", "mallory@example.com", "trent@example.com"):
        assert (await house.relay.send(letter(sender=sender), TO)).startswith("250 ")
    used = await house.relay.store.read(usage.of_number, "+97231234567", house.clock())
    assert used.last_hour == 0
    assert (await house.relay.send(letter(sender="bob@trusted.example"), TO)).startswith("250 ")


async def test_a_confirmed_fax_may_still_need_an_approval(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a click of the sender is taken for the approver's."""
    await house.relay.send(letter(sender="carol@example.org"), TO)
    await house.work()
    confirm = links_of(house.mails()[0])["confirm"]
    await house.press(confirm)
    await house.work()
    assert await house.states() == ["held"]
    assert "It was confirmed by carol@example.org" in (await house.press(confirm)).text
    await house.press(links_of(house.mail_to("boss@example.org"))["approve"])
    assert await house.states() == ["queued"]


async def test_only_the_sender_can_confirm_and_an_administrator_can_end_it_without_a_mail(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a receipt goes to an address that proved nothing."""
    await house.relay.send(letter(), TO)
    await house.work()
    relay = house.relay
    asked = Operations(relay.store, relay.blobs, relay.policy, relay.committer._ids, house.clock)
    (fax,) = relay.faxes
    with pytest.raises(IllegalMove, match="nobody else can"):
        await asked.fax_approve(fax.id)
    await asked.fax_cancel(fax.id)
    await house.work()
    assert len(house.mails()) == 1
    await house.expire()
    assert relay.faxes == []


async def test_a_number_that_is_refused_meanwhile_is_told_after_the_click(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a refusal is mailed to an unproven sender, or never."""
    client = await house.relay.client()
    await client.begin(TO, "+12025550124@fax.example.com")
    path = house.folder / "policies" / "test.yaml"
    path.write_text(path.read_text().replace('"+1900"', '"+12025550123"'))
    await house.relay.policy.reload()
    assert (await client.content(letter())).startswith("250 ")
    await house.work()
    assert await house.states() == ["held", "held"]
    (asked,) = house.mails()
    await house.press(links_of(asked)["confirm"])
    await house.work()
    assert await house.states() == ["failed", "queued"]
    assert "Faxes to this number are not allowed here." in text_of(house.mails()[-1])


async def test_what_a_proof_lets_through_does_not_wait_for_an_unconfirmed_copy(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a mail that proves its sender is taken for the copy that nobody confirmed, and never goes."""
    await house.relay.send(letter(), TO)
    text = (house.folder / "policies" / "test.yaml").read_text()
    (house.folder / "policies" / "test.yaml").write_text(text.replace("192.0.2.0/24", "127.0.0.0/8"))
    await house.relay.policy.reload()
    assert (await house.relay.send(letter(), TO)).endswith("; 1 fax")
    rows = house.relay.store.read_now(lambda c: list(c.execute(sa.select(submission.c.proof))))
    assert sorted(row.proof for row in rows) == ["confirm", "network"]
