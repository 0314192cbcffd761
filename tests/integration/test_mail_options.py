"""What a mail asks for, from the mail to the fax: a cover, a time, a code for the bill, whom to tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest

from relay.operations import Operations
from relay.store import lanes, routes
from relay.store.tables import document
from relay.testing import PlainConverter

from .holding import TO, House, house_of, text_of
from .intake.conftest import letter, settings  # noqa: F401  fixtures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import sqlalchemy as sa

    from relay.mail_settings import Smtp

POLICY = """
domains: [{name: fax.example.com, default_region: IL}]
numbers:
  - number: +97231234567
    features: [mail_to_fax]
    senders: [{match: "@example.com", proof: none}]
    body: cover
    header: Example Ltd
    time_zone: Asia/Jerusalem
    mail_options: [cover, schedule, billing, notify, priority]
    schedule_within: 7d
  - number: +97237654321
    features: [mail_to_fax]
    senders: [{match: "@example.org", proof: none}]
"""


@pytest.fixture
async def house(tmp_path: Path, settings: Smtp) -> AsyncIterator[House]:  # noqa: F811
    """A house whose number allows everything."""
    async with house_of(tmp_path, settings, POLICY) as made:
        yield made


def converter(house: House) -> PlainConverter:
    """Return the converter that the house's faxes are made with."""
    return cast("PlainConverter", house.preparing._converter)


async def test_the_text_of_a_mail_is_on_the_cover_of_each_recipient(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a recipient reads another's number on the cover, or the text is faxed as a page of its own."""
    await house.relay.send(letter(Subject="חוזה ::priority=9"), TO, "+12025550124@fax.example.com")
    await house.work()
    assert [fax.state for fax in house.relay.faxes] == ["queued", "queued"]
    assert len(house.relay.rows(document)) == 2
    covers = converter(house).covers
    assert [cover.to for cover in covers if cover] == ["+1 202-555-0123", "+1 202-555-0124"]
    for cover, (sources, _) in zip(covers, converter(house).made, strict=True):
        assert cover is not None
        assert cover.has_text
        assert cover.sender == ("Example Ltd", "+972 3-123-4567", "alice@example.com")
        assert (cover.title, cover.date, cover.language) == ("חוזה", "2026-09-21 17:13", "en")
        assert [source.media_type.partition(";")[0] for source in sources] == ["text/plain", "application/pdf"]
    assert house.relay.files[0][1].startswith(b"Please see the attachment.")


async def test_the_look_is_the_numbers_unless_a_mail_names_one(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: the house's letterhead is missing, or a logo that was moved away holds every fax."""
    holder = house.relay.policy
    (holder.folder / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01")
    section = "cover: {look: letter, company: Northwind, phone: '*2700', logo: logo.png}\n"
    for file in holder.folder.glob("*.yaml"):
        file.write_text(file.read_text() + section)
    await holder.reload()
    assert holder.errors is None
    await house.relay.send(letter(Subject="one"), TO)
    await house.work()
    await house.relay.send(letter(Subject="two ::cover=office", Message_ID="<2@example.com>"), TO)
    (holder.folder / "logo.png").unlink()
    await house.work()
    first, second = converter(house).covers
    assert first is not None
    assert second is not None
    assert (first.look, first.company, first.phone) == ("letter", "Northwind", "*2700")
    assert first.sender == ("Northwind", "+972 3-123-4567", "alice@example.com")
    assert first.logo == holder.folder / "logo.png"
    assert (second.look, second.title, second.logo) == ("office", "two", None)


async def test_a_mail_can_do_without_the_cover(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a form that must be one page is two."""
    await house.relay.send(letter(X_Fax_Cover="no"), TO)
    await house.work()
    assert converter(house).covers == [None]
    assert [name for name, _ in house.relay.files] == ["contract.pdf"]


async def test_a_fax_is_dialled_at_the_time_that_its_mail_asked_for(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: it rings at once, or its sender does not know when it will."""
    await house.relay.send(letter(Subject="Offer ::schedule=22:30"), TO)
    await house.work()
    (fax,) = house.relay.faxes
    at = datetime(2026, 9, 21, 19, 30, tzinfo=UTC).timestamp()
    assert (fax.state, fax.not_before) == ("queued", at)
    assert fax.reason.endswith("it waits for the time that was asked for, Monday 2026-09-21 22:30 (Asia/Jerusalem)")
    (mail,) = house.mails()
    assert mail["Subject"] == "Fax to +1 202-555-0123 is scheduled"
    assert "at the time that you asked for: Monday 2026-09-21 22:30 (Asia/Jerusalem)" in text_of(mail)

    def due(connection: sa.Connection, now: float) -> bool:
        return any(
            lanes.head(connection, lane, now, routes.may_go(connection, {"simulated"}))
            for lane in lanes.due_lanes(connection, now)
        )

    assert not house.relay.store.read_now(due, at - 1)
    assert house.relay.store.read_now(due, at)


async def test_a_time_that_cannot_be_refuses_the_mail(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: a fax with a mistyped time goes at once."""
    reply = await house.relay.send(letter(X_Fax_Schedule="2026-10-21T08:00"), TO)
    assert reply == "550 5.6.0 X-Fax-Schedule may be no later than 2026-09-28 17:13 IDT."
    assert house.relay.faxes == []


async def test_a_code_for_the_bill_stays_with_the_fax_and_is_on_the_receipt(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
) -> None:
    """Lost otherwise: nobody knows which client a fax was for."""
    await house.relay.send(letter(X_Fax_Billing="4711/A"), TO)
    assert house.relay.faxes == []
    await house.relay.send(letter(X_Fax_Billing="A-4711"), TO)
    await house.work()
    relay = house.relay
    asked = Operations(relay.store, relay.blobs, relay.policy, relay.committer._ids, house.clock)
    (fax,) = relay.faxes
    await asked.fax_cancel(fax.id)
    await house.work()
    (receipt,) = house.mails()
    assert "Billing:     A-4711\n" in text_of(receipt)
    html = receipt.get_body(("html",))
    assert html is not None
    assert "A-4711" in html.get_content()
    drawn = house.lane._enclosures._converter.sheets[0]  # type: ignore[attr-defined]  # the stand-in
    assert drawn["billing"] == "A-4711"
    assert (await asked.fax_show(fax.id))["settings"]["billing"] == "A-4711"


@pytest.mark.parametrize(("wish", "mails"), [("all", 2), ("failure", 1), ("none", 0)])
async def test_a_sender_hears_what_it_asked_to_hear(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
    wish: str,
    mails: int,
) -> None:
    """Lost otherwise: a robot's mailbox fills up, or a failure is hidden."""
    await house.relay.send(letter(X_Fax_Notify=wish, X_Fax_Schedule="23:59"), TO)
    await house.work()
    relay = house.relay
    (fax,) = relay.faxes
    await Operations(relay.store, relay.blobs, relay.policy, relay.committer._ids, house.clock).fax_cancel(fax.id)
    await house.work()
    assert len(house.mails()) == mails


@pytest.mark.parametrize("header", ["X_Fax_Cover", "X_Fax_Schedule", "X_Fax_Billing", "X_Fax_Notify"])
async def test_each_is_off_unless_the_number_allows_it(
    house: House,
    letter: Callable[..., bytes],  # noqa: F811
    header: str,
) -> None:
    """Lost otherwise: any sender schedules, hides failures, or writes on the bill of others."""
    reply = await house.relay.send(letter(sender="bob@example.org", **{header: "yes"}), TO)
    assert reply.startswith("550 5.7.1 X-Fax-")
