"""A real way in: a policy folder, SQLite, blobs, confined readers, an SMTP listener on a port that the system picks."""

from __future__ import annotations

import asyncio
import contextlib
import email.policy
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from relay.confine import Confinement, Sandbox
from relay.ids import IdSource
from relay.intake.committer import Committer
from relay.intake.desk import Desk
from relay.intake.logins import Logins
from relay.intake.message import MailReader
from relay.intake.proving import Prover
from relay.intake.reports import Reports
from relay.intake.smtp import SmtpServer
from relay.mail_settings import Smtp
from relay.policy import PolicyHolder
from relay.reports import ReportAddresses
from relay.store import schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.store.tables import attachment, fax, submission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from relay.auth.resolver import Resolver

REPORTS = ReportAddresses(b"k" * 32, "fax.example.com")
POLICY = """
domains:
  - name: fax.example.com
    default_region: IL
  - name: fax.example.net
    default_region: US
numbers:
  - number: +97231234567
    deliver_to: [alice@example.com]
    senders:
      - match: "@example.com"
        proof: none
      - match: "@example.org"
        proof: network
        networks: [127.0.0.0/8]
      - match: "@far.example"
        proof: network
        networks: [192.0.2.0/24]
    default_for: ["@example.com"]
  - number: +97237654321
    features: [mail_to_fax]
    senders:
      - match: quota@example.net
        proof: none
    limits: {faxes_per_hour: 2, attachment_bytes: 100000}
destinations:
  rules:
    - deny: {prefix: "+1900"}
    - deny: {country: FR}
"""


@dataclass
class Relay:
    """The way in, and what it left in the store."""

    store: Store
    blobs: LocalBlobs
    policy: PolicyHolder
    reader: MailReader
    committer: Committer
    desk: Desk
    settings: Smtp
    server: SmtpServer
    folder: Path
    clients: list[Client] = field(default_factory=list)

    async def client(self, hello: str | None = "EHLO client.example") -> Client:
        """Connect and greet; ``None`` leaves the greeting unread."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.server.ports[0]))
        self.clients.append(client)
        if hello is not None:
            assert (await client.reply()).startswith("220 ")
            await client.say(hello)
        return client

    async def send(self, message: bytes, *recipients: str, sender: str = "alice@example.com") -> str:
        """Send one mail; return the first reply that refuses, or the reply to the message."""
        client = await self.client()
        try:
            return await client.send(message, *recipients, sender=sender)
        finally:
            client.writer.close()

    def rows(self, table: sa.Table) -> list[sa.Row[Any]]:
        """Return a table's rows."""
        return self.store.read_now(lambda c: list(c.execute(sa.select(table).order_by(*table.primary_key.columns))))

    @property
    def submissions(self) -> list[sa.Row[Any]]:
        """The submissions."""
        return self.rows(submission)

    @property
    def faxes(self) -> list[sa.Row[Any]]:
        """The faxes."""
        return self.rows(fax)

    @property
    def files(self) -> list[tuple[str, bytes]]:
        """The attachments, each with the bytes of its blob."""
        return [(row.name, self.blobs.read(row.blob)) for row in self.rows(attachment)]

    @property
    def leftovers(self) -> list[str]:
        """Work files that nobody cleaned up."""
        return [path.name for path in (self.folder / "blobs" / "tmp").iterdir()]


class Client:
    """A client that says exactly what a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        """Return one reply, its lines joined by newlines; '' when the server has gone."""
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 30)).decode()
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        """Send a line and return its reply."""
        self.write(line)
        return await self.reply()

    def write(self, line: str | bytes) -> None:
        """Send a line."""
        self.writer.write((line.encode() if isinstance(line, str) else line) + b"\r\n")

    async def send(self, message: bytes, *recipients: str, sender: str = "alice@example.com") -> str:
        """Send one mail; return the first reply that refuses, or the reply to the message."""
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{to}>" for to in recipients), "DATA"]
        for command in commands:
            reply = await self.say(command)
            if not reply.startswith(("250 ", "354 ")):
                return reply
        return await self.content(message)

    async def content(self, message: bytes) -> str:
        """Send the content of DATA and return the reply."""
        self.put(message)
        return await self.reply()

    def put(self, message: bytes) -> None:
        """Send the content of DATA, its dots stuffed, and its end."""
        stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
        self.writer.write(stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"))

    async def begin(self, *recipients: str, sender: str = "alice@example.com") -> None:
        """Go as far as DATA."""
        for command in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{to}>" for to in recipients), "DATA"):
            assert (await self.say(command))[:3] in {"250", "354"}


PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 8 + b"\n.\n..\n%%EOF\n"


@pytest.fixture
def letter() -> Callable[..., bytes]:
    """Make a mail as it goes over the wire: attachments (name, bytes, media type), headers as keywords."""

    def letter(*files: tuple[str, bytes, str], sender: str = "Alice <alice@example.com>", **headers: str) -> bytes:
        message = EmailMessage(policy=email.policy.SMTP)
        message["From"] = sender
        message["To"] = "+12025550123@fax.example.com"
        for name, value in {"Subject": "The contract", "Message_ID": "<one@example.com>", **headers}.items():
            message[name.replace("_", "-")] = value
        message.set_content("Please see the attachment.\n.\n..\n")
        for name, data, media_type in files or (("contract.pdf", PDF, "application/pdf"),):
            maintype, subtype = media_type.split("/")
            message.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
        return message.as_bytes()

    return letter


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Smtp:
    """The listener's settings: a port that the system picks, and what a test gives by indirect parameters."""
    changes = getattr(request, "param", {})
    return Smtp.model_validate({"listeners": [{"port": 0}], "disk_reserve_bytes": 0, **changes})


@pytest.fixture
async def relay(tmp_path: Path, settings: Smtp) -> AsyncIterator[Relay]:
    """A way in that listens."""
    async with listening(tmp_path, settings) as way_in:
        yield way_in


@contextlib.asynccontextmanager
async def listening(
    tmp_path: Path, settings: Smtp, text: str = POLICY, resolver: Resolver | None = None
) -> AsyncIterator[Relay]:
    """Open a way in. ``resolver``: the DNS, for listeners that examine mails."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "test.yaml").write_text(text)
    store = Store(f"sqlite:///{tmp_path / 'faxrelay.db'}")
    schema.upgrade(store.engine)
    blobs = LocalBlobs(tmp_path / "blobs")
    confinement = Confinement(Sandbox.BUBBLEWRAP, ["relay.intake.mime_worker", "relay.intake.proof_worker"])
    reader = MailReader(confinement, message_bytes=settings.message_bytes)
    policy = PolicyHolder(folder)
    committer = Committer(store, policy, IdSource(), time.time)
    desk = Desk(committer, blobs, reader, policy, time.time, attachment_bytes=settings.attachment_bytes)
    logins = Logins(store, time.monotonic, lambda: policy.current.users)
    prover = Prover(confinement, resolver, time.time, message_bytes=settings.message_bytes) if resolver else None
    reports = Reports(REPORTS, reader, blobs, committer)
    server = SmtpServer(settings, desk, blobs, logins, prover, reports)
    await server.start()
    way_in = Relay(store, blobs, policy, reader, committer, desk, settings, server, tmp_path)
    yield way_in
    logins.close()
    if prover is not None:
        await prover.close()
    for client in way_in.clients:
        client.writer.close()
    await server.close()
    await reader.close()
    await confinement.close()
    store.close()
