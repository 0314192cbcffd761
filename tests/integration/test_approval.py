"""Approval, from the mail to the decision: nothing is dialled before somebody who was asked has said yes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from relay.errors import Decided, IllegalMove
from relay.operations import Operations
from relay.store.tables import hold

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
    senders: [{match: "@example.com", proof: none}]
    approval: {by: [boss@example.com, deputy@example.com], within: 1d}
  - number: +97237654321
    features: [mail_to_fax]
    senders: [{match: "@example.org", proof: none}]
    receipt_pages: all
    approval: {by: [boss@example.org], over_pages: 2, destinations: {country: FR}}
"""


@pytest.fixture
async def house(tmp_path: Path, settings: Smtp) -> AsyncIterator[House]:  # noqa: F811
    """A house whose faxes wait for approval."""
    async with house_of(tmp_path, settings, POLICY) as made:
        yield made


def operations(house: House) -> Operations:
    """Return what the command line calls."""
    relay = house.relay
    return Operations(relay.store, relay.blobs, relay.policy, relay.committer._ids, house.clock)


async def test_a_fax_waits_until_an_approver_has_pressed_the_button(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a fax is dialled that nobody approved, or a mail scanner approves it."""
    assert (await house.relay.send(letter(), TO)).startswith("250 ")
    await house.work()
    (fax,) = house.relay.faxes
    assert (fax.state, fax.reason) == ("held", "it waits for approval by boss@example.com or deputy@example.com")
    assert sorted(str(mail["To"]) for mail in house.mails()) == [
        "alice@example.com", "boss@example.com", "deputy@example.com",
    ]  # fmt: skip
    assert "waits for approval by boss@example.com, deputy@example.com" in text_of(house.mail_to("alice@example.com"))
    asked = house.mail_to("deputy@example.com")
    assert asked["Subject"] == "Approve the fax to +1 202-555-0123?"
    assert asked["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in asked.iter_attachments()] == ["image/png"]
    for fact in ("alice@example.com", "The contract", "+972 3-123-4567", "Pages:"):
        assert fact in text_of(asked)
    links = links_of(asked)
    assert sorted(links) == ["approve", "deny"]
    for method in ("GET", "HEAD", "GET"):
        assert (await house.press(links["approve"], method)).status_code == 200
    assert await house.states() == ["held"]
    assert "is approved" in (await house.press(links["approve"])).text
    (fax,) = house.relay.faxes
    assert (fax.state, fax.reason) == ("queued", "approved by deputy@example.com")
    assert (await house.history(fax.id))[-1] == ("fax.released", "approved by deputy@example.com")
    late = await house.press(links_of(house.mail_to("boss@example.com"))["deny"], reason="No.")
    assert late.status_code == 409
    assert "It was approved by deputy@example.com on 2026-09-21 14:13 UTC." in late.text
    assert await house.states() == ["queued"]


async def test_a_refused_fax_tells_its_sender_why_and_who_decided(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: the sender waits for ever, or believes that it went."""
    await house.relay.send(letter(), TO, "+12025550124@fax.example.com")
    await house.work()
    asked = house.mail_to("boss@example.com")
    assert asked["Subject"] == "Approve the fax to +1 202-555-0123 and 1 more number?"
    deny = links_of(asked)["deny"]
    page = await house.press(deny, "GET")
    assert 'name="reason"' in page.text
    assert "The faxes are refused" in (await house.press(deny, reason="Call <b>them</b>\r\ninstead")).text
    await house.work()
    assert await house.states() == ["failed", "failed"]
    reason = "it was not approved by boss@example.com: Call <b>them</b> instead"
    assert [row.reason for row in house.relay.faxes] == [reason] * 2
    told = [mail for mail in house.mails() if str(mail["Subject"]).startswith("Fax not sent")]
    assert [mail["To"] for mail in told] == ["alice@example.com"] * 2
    for mail in told:
        assert "It was not approved by boss@example.com: Call <b>them</b> instead." in text_of(mail)
        assert "/link/resend/" not in text_of(mail)
        html = mail.get_body(("html",))
        assert html is not None
        assert "<b>them" not in html.get_content()
    again = await house.press(deny, reason="again")
    assert "It was refused by boss@example.com on 2026-09-21 14:13 UTC: Call &lt;b&gt;them" in again.text


async def test_without_an_answer_the_fax_is_refused_in_time(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a fax waits for somebody who is on holiday, and nobody hears of it."""
    await house.relay.send(letter(), TO)
    await house.work()
    await house.expire()
    assert await house.states() == ["held"]
    approve = links_of(house.mail_to("boss@example.com"))["approve"]
    house.clock.now += 86_400
    assert (await house.press(approve)).status_code == 410
    with pytest.raises(IllegalMove, match="the time to answer"):
        await operations(house).fax_approve(house.relay.faxes[0].id)
    await house.expire()
    await house.work()
    assert await house.states() == ["failed"]
    receipt = next(mail for mail in house.mails() if str(mail["Subject"]).startswith("Fax not sent"))
    assert "It was not approved in time by boss@example.com or deputy@example.com." in text_of(receipt)
    with pytest.raises(Decided, match="nobody had answered in time"):
        await operations(house).fax_approve(house.relay.faxes[0].id)


async def test_only_what_the_policy_names_waits(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: every page asks the boss, or a fax abroad asks nobody."""
    short = ("a.txt", b"%PDF-1.4 one\ntwo", "application/pdf")
    long = ("a.txt", b"%PDF-1.4 one\ntwo\nthree", "application/pdf")
    for number, (file, to) in enumerate(((short, "+12025550123"), (long, "+12025550123"), (short, "+33142685300"))):
        mail = letter(file, sender="bob@example.org", Message_ID=f"<{number}@example.org>")
        assert (await house.relay.send(mail, f"{to}@fax.example.com")).startswith("250 ")
    await house.work()
    assert await house.states() == ["queued", "held", "held"]
    enclosed = [
        [part.get_content_type() for part in mail.iter_attachments()]
        for mail in house.mails()
        if mail["To"] == "boss@example.org"
    ]
    assert enclosed == [["application/pdf"]] * 2


async def test_the_command_line_decides_too_and_only_once(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: the administrator cannot help when the approver is away, or overrules what was decided."""
    await house.relay.send(letter(), TO)
    await house.work()
    (fax,) = house.relay.faxes
    done = await asyncio.gather(
        operations(house).fax_approve(fax.id),
        operations(house).fax_deny(fax.id, reason="no"),
        return_exceptions=True,
    )
    assert done[0] == {"id": str(fax.id), "verdict": "approve", "faxes": [str(fax.id)]}
    assert isinstance(done[1], Decided)
    shown = await operations(house).fax_show(fax.id)
    assert [(one["kind"], one["verdict"], one["decided_by"]) for one in shown["holds"]] == [
        ("approval", "approve", "the command line")
    ]


async def test_a_cancelled_fax_cannot_be_approved(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a fax that its sender withdrew is dialled after all."""
    await house.relay.send(letter(), TO)
    await house.work()
    (fax,) = house.relay.faxes
    await operations(house).fax_cancel(fax.id)
    answer = await house.press(links_of(house.mail_to("boss@example.com"))["approve"])
    assert answer.status_code == 409
    await house.expire()
    assert await house.states() == ["cancelled"]
    assert [row.verdict for row in house.relay.rows(hold)] == ["moot"]


async def test_one_cancelled_fax_does_not_take_the_others_answer_away(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: nobody can approve the rest of a mail whose first fax was cancelled."""
    await house.relay.send(letter(), TO, "+12025550124@fax.example.com")
    await house.work()
    first, second = (fax.id for fax in house.relay.faxes)
    await operations(house).fax_cancel(first)
    await house.expire()
    with pytest.raises(IllegalMove, match=f"fax {second} of the same mail does"):
        await operations(house).fax_approve(first)
    page = await house.press(links_of(house.mail_to("boss@example.com"))["approve"])
    assert "The fax is approved" in page.text
    assert await house.states() == ["cancelled", "queued"]


async def test_an_administrator_needs_nobodys_approval(house: House, tmp_path: Path) -> None:
    """Lost otherwise: `faxrelay fax send` waits for a mail that its user cannot answer."""
    (tmp_path / "a.txt").write_text("page")
    await operations(house).fax_send([str(tmp_path / "a.txt")], ["+12025550123"], number="+97231234567")
    await house.work()
    assert await house.states() == ["queued"]
    with pytest.raises(IllegalMove, match="waits for nobody: it is queued"):
        await operations(house).fax_approve(house.relay.faxes[0].id)


async def test_a_link_decides_for_its_own_holder_and_its_own_fax_alone(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: whoever was sent one link approves everything, or in another's name."""
    await house.relay.send(letter(), TO)
    await house.work()
    approve = links_of(house.mail_to("boss@example.com"))["approve"]
    _, _, action, fax, until, signature = approve.split("/")
    for forged in (
        f"/link/deny/{fax}/{until}/{signature}",
        f"/link/{action}/{fax.replace('-0', '-1')}/{until}/{signature}",
        f"/link/{action}/{fax.replace('-0', '')}/{until}/{signature}",
        f"/link/{action}/{fax}/{int(until) + 1}/{signature}",
    ):
        assert (await house.press(forged)).status_code == 404
    assert await house.states() == ["held"]


async def test_a_resend_of_a_refused_fax_waits_again_and_of_an_approved_one_does_not(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a refused fax goes out by sending it again."""
    await house.relay.send(letter(), TO)
    await house.work()
    asked = operations(house)
    first = house.relay.faxes[0].id
    await asked.fax_deny(first)
    again = int((await asked.fax_resend(first))["id"])
    assert await house.states() == ["failed", "held"]
    await asked.fax_approve(again)
    await asked.fax_cancel(again)
    await asked.fax_resend(again)
    assert await house.states() == ["failed", "cancelled", "queued"]
