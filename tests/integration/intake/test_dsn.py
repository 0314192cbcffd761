"""DSN in the dialogue (RFC 3461): what is asked for travels with the fax, what is asked wrongly is refused."""

from __future__ import annotations

import asyncio
import smtplib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from relay.notification import ORIGINAL, WISHES, Notify, Wishes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.intake.conftest import Relay

TO = "+12025550123@fax.example.com"


async def mailed(relay: Relay, content: bytes, mail: str, *recipients: str) -> list[str]:
    """Send a mail with parameters; return the replies."""
    client = await relay.client()
    replies = [await client.say(f"MAIL FROM:{mail}")]
    replies += [await client.say(f"RCPT TO:{one}") for one in recipients]
    replies.append(await client.say("DATA"))
    if replies[-1].startswith("354"):
        replies.append(await client.content(content))
    return replies


async def test_wishes_travel_with_each_fax(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: the sender's server asks for a report and hears nothing, or of another recipient."""
    replies = await mailed(
        relay, letter(),
        "<alice@example.com> RET=FULL ENVID=Ab+2Bc BODY=8BITMIME",
        f"<{TO}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@Example.com",
        "<+12025550124@fax.example.com> NOTIFY=NEVER",
        "<+12025550125@fax.example.com>",
    )  # fmt: skip
    assert replies[-1].startswith("250 2.0.0 "), replies
    first, second, third = (Wishes.of_settings(fax.settings) for fax in relay.faxes)
    shared = Wishes(full=True, envid="Ab+c", address="alice@example.com", heard_from="client.example")
    both = frozenset({Notify.SUCCESS, Notify.FAILURE})
    assert first == replace(shared, notify=both, original="rfc822;Bob@Example.com")
    assert second == replace(shared, notify=frozenset())
    assert third == Wishes()
    (row,) = relay.submissions
    assert "\nSubject: The contract\n" in row.settings[ORIGINAL]
    assert all(ORIGINAL not in fax.settings for fax in relay.faxes)


async def test_without_wishes_nothing_is_kept(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: every mail's header is kept, though nobody asked for it."""
    assert (await relay.send(letter(), TO)).startswith("250 ")
    assert ORIGINAL not in relay.submissions[0].settings
    assert WISHES not in relay.faxes[0].settings


async def test_what_is_wrong_is_refused_and_the_session_goes_on(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a client's fault makes a report that nobody asked for, or ends the session."""
    client = await relay.client()
    for wrong in ("RET=ALL", "ENVID=a=b", "RET=HDRS RET=HDRS", "ENVID=" + "a" * 101):
        assert (await client.say(f"MAIL FROM:<alice@example.com> {wrong}")).startswith("501 5.5.4 "), wrong
    assert (await client.say("MAIL FROM:<alice@example.com> FOO=1")).startswith("555 5.5.4 ")
    assert (await client.say("MAIL FROM:<alice@example.com> RET=HDRS")).startswith("250 ")
    for wrong in ("NOTIFY=NEVER,DELAY", "NOTIFY=SUCCESS NOTIFY=SUCCESS", "ORCPT=nothing", "ORCPT=rfc822;+0A"):
        assert (await client.say(f"RCPT TO:<{TO}> {wrong}")).startswith("501 5.5.4 "), wrong
    assert await client.say(f"RCPT TO:<{TO}> NOTIFY=NEVER,DELAY") == "501 5.5.4 NOTIFY=NEVER stands alone."
    assert (await client.say(f"RCPT TO:<{TO}> NOTIFY=DELAY")).startswith("250 ")
    await client.say("DATA")
    assert (await client.content(letter())).startswith("250 2.0.0 ")
    assert [Wishes.of_settings(fax.settings).notify for fax in relay.faxes] == [frozenset({Notify.DELAY})]


async def test_parameters_need_ehlo(relay: Relay) -> None:
    """Lost otherwise: an extension is used that was never offered."""
    client = await relay.client("HELO client.example")
    assert (await client.say("MAIL FROM:<alice@example.com> RET=FULL")).startswith("501 5.5.4 ")


async def test_wishes_end_with_their_mail(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: one mail's envelope id stands in the report of the next."""
    client = await relay.client()
    await client.say("MAIL FROM:<alice@example.com> ENVID=first")
    await client.say(f"RCPT TO:<{TO}> NOTIFY=SUCCESS")
    await client.say("RSET")
    assert (await client.send(letter(), TO)).startswith("250 ")
    assert WISHES not in relay.faxes[0].settings


async def test_smtplib_can_ask(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: real programs' way of asking is not understood."""

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", relay.server.ports[0]) as client:
            client.ehlo("client.example")
            assert client.has_extn("dsn")
            client.sendmail(
                "alice@example.com", [TO], letter(), mail_options=["ENVID=X1", "RET=HDRS"],
                rcpt_options=["NOTIFY=SUCCESS,FAILURE,DELAY", f"ORCPT=rfc822;{TO.replace('+', '+2B')}"],
            )  # fmt: skip

    await asyncio.to_thread(send)
    wishes = Wishes.of_settings(relay.faxes[0].settings)
    assert wishes.notify == frozenset(Notify)
    assert (wishes.envid, wishes.original, wishes.full) == ("X1", f"rfc822;{TO}", False)


@pytest.mark.parametrize(
    ("headers", "path", "asked"),
    [
        ({"Disposition_Notification_To": "Alice <alice@example.com>"}, "alice@example.com", "alice@example.com"),
        ({"Disposition_Notification_To": "bob@example.com"}, "alice@example.com", ""),
        ({"Disposition_Notification_To": "alice@example.com"}, "bounces@example.com", ""),
        ({"Disposition_Notification_To": "alice@example.com, bob@example.com"}, "alice@example.com", ""),
        (
            {"Disposition_Notification_To": "alice@example.com", "Auto_Submitted": "auto-generated"},
            "alice@example.com",
            "",
        ),
        (
            {
                "Disposition_Notification_To": "alice@example.com",
                "Disposition_Notification_Options": "signed-receipt-protocol=required,pkcs7",
            },
            "alice@example.com",
            "",
        ),
    ],
)
async def test_a_read_receipt_is_for_the_proven_sender(
    relay: Relay, letter: Callable[..., bytes], headers: dict[str, str], path: str, asked: str
) -> None:
    """Lost otherwise: a header of a mail makes the relay write to anybody."""
    assert (await relay.send(letter(**headers), TO, sender=path)).startswith("250 ")
    assert Wishes.of_settings(relay.faxes[0].settings).read_receipt == asked


async def test_a_long_header_is_given_back_in_whole_fields(relay: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: a report ends within a line, or a mail with a long header is refused for asking."""
    content = b"".join(b"X-Long-%d: %s\r\n" % (n, b"a" * 900) for n in range(20)) + letter()
    replies = await mailed(relay, content, "<alice@example.com>", f"<{TO}> NOTIFY=FAILURE")
    assert replies[-1].startswith("250 ")
    kept = relay.submissions[0].settings[ORIGINAL]
    assert kept.startswith("From: Alice")
    assert "X-Long" not in kept
