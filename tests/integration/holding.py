"""The whole way of a fax that waits for a person: SMTP, the pages, the mails out, the links; nothing is dialled."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from dataclasses import dataclass
from datetime import UTC
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any, cast

import httpx

from relay import waiting
from relay.mailer.compose import Identity
from relay.mailer.enclosures import Enclosures
from relay.mailer.lane import MailLane
from relay.mailer.language import Languages
from relay.mailer.maildir import Maildir
from relay.outbound.prepare import Preparing
from relay.outbox import Outbox
from relay.policy import PolicyHolder
from relay.store import faxes, queue
from relay.testing import PlainConverter
from relay.web.application import Services, build
from relay.web.links import Action, Links

from .intake.conftest import Relay, listening
from .mailer.desk import Drawing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from email.message import EmailMessage
    from pathlib import Path

    from converters import Converter
    from relay.mail_settings import Smtp

TO = "+12025550123@fax.example.com"
_BASE = "http://fax.example.com"


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@dataclass
class House:
    """A way in, and what follows it up to the telephone."""

    relay: Relay
    clock: Clock
    lane: MailLane
    outbox: Outbox
    preparing: Preparing
    links: Links
    folder: Path

    async def work(self) -> None:
        """Make every document, mail everything."""
        busy = True
        while busy:
            busy = await self.preparing.step() or bool(await self.outbox.route()) or await self.outbox.step(self.lane)

    async def expire(self) -> None:
        """End what has waited too long."""
        relay = self.relay
        while await waiting.step(relay.store, relay.blobs, relay.committer._ids, self.clock()):
            pass

    def mails(self) -> list[EmailMessage]:
        """Return the mails that went out, oldest first."""
        return [
            message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in sorted((self.folder / "mail" / "new").glob("*"))
        ]

    def mail_to(self, address: str) -> EmailMessage:
        """Return the one mail to an address."""
        (mail,) = [mail for mail in self.mails() if mail["To"] == address]
        return mail

    async def press(self, path: str, method: str = "POST", **form: str) -> httpx.Response:
        """Press the button of a page, or look at it."""
        services = Services(
            self.relay.store, self.relay.committer._ids, self.clock, self.links, self.lane._enclosures, Languages(),
            PolicyHolder(self.folder / "policies").trunks_again,
        )  # fmt: skip
        transport = httpx.ASGITransport(build(services))
        async with httpx.AsyncClient(transport=transport, base_url=_BASE) as client:
            return await client.request(method, path, data=form or None)

    async def states(self) -> list[str]:
        """Return the state of each fax."""
        return [row.state for row in self.relay.faxes]

    async def history(self, fax_id: int) -> list[tuple[str, str]]:
        """Return the kinds and the reasons of a fax's events."""
        return [(row.kind, row.reason) for row in await self.relay.store.read(faxes.history, fax_id)]


def text_of(mail: EmailMessage) -> str:
    """Return a mail's plain text."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def links_of(mail: EmailMessage) -> dict[str, str]:
    """Return the paths of a mail's links by what they do."""
    return {found[2]: found[1] for found in re.finditer(rf"{_BASE}(/link/([a-z]+)/\S+)", text_of(mail))}


@contextlib.asynccontextmanager
async def house_of(folder: Path, settings: Smtp, text: str, **more: Any) -> AsyncIterator[House]:
    """Open a house whose policy is ``text``."""
    async with listening(folder, settings, text, **more) as relay:
        clock = relay.desk._clock = relay.committer._clock = Clock()
        links = Links(b"k" * 32, life=604_800.0)
        enclosures = Enclosures(cast("Converter", Drawing()), relay.blobs)
        lane = MailLane(
            relay.store, Maildir(folder / "mail"), enclosures, Languages(), Identity("fax@fax.example.com", "Fax"),
            lambda fax_id, at: links.url(_BASE, Action.RESEND, fax_id, at),
            lambda answer, fax_id, position, until: links.answer(_BASE, Action(answer), fax_id, position, until),
            hostname="fax.example.com", zone=UTC,
        )  # fmt: skip
        lease = queue.Lease("node-test")
        ids = relay.committer._ids
        outbox = Outbox(relay.store, ids, clock, [lane], lease=lease, spread=random.Random(1))
        converter = cast("Converter", PlainConverter())
        preparing = Preparing(relay.store, relay.blobs, converter, ids, clock, lease=lease)
        yield House(relay, clock, lane, outbox, preparing, links, folder)
        await asyncio.sleep(0)
