"""A poller before a real Dovecot: policy, SQLite, blobs, confined readers, pauses that a test can wait for."""

from __future__ import annotations

import asyncio
import contextlib
import email.policy
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from relay.confine import Confinement, Sandbox
from relay.ids import IdSource
from relay.intake.committer import Committer
from relay.intake.desk import Desk
from relay.intake.imap.mailbox import Limits, Mailbox, Pace
from relay.intake.imap.oauth import Tokens
from relay.intake.imap.outcome import Judge, Rule
from relay.intake.imap.proof import Either, TrustedResults
from relay.intake.message import MailReader
from relay.intake.reports import Reports
from relay.mail_settings import Mailbox as Account
from relay.policy import PolicyHolder
from relay.reports import ReportAddresses
from relay.store import schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.store.tables import delivery, fax, mailbox_message, submission

from ...conftest import need
from .dovecot import PASSWORD, Dovecot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

POLICY = """
domains:
  - name: fax.example.com
    default_region: IL
  - name: fax.example.net
    default_region: IL
    language: he
numbers:
  - number: +97231234567
    deliver_to: [alice@example.com]
    senders:
      - match: "@example.com"
        proof: dmarc
    limits: {faxes_per_hour: 500}
  - number: +97237654321
    features: [mail_to_fax]
    senders:
      - match: quota@example.net
        proof: dmarc
    limits: {faxes_per_hour: 1}
destinations:
  rules:
    - deny: {prefix: "+1900"}
    - deny: {prefix: "+44"}
"""
REPORTS = ReportAddresses(b"k" * 32, "fax.example.com")
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 8 + b"\n%%EOF\n"
MESSAGE_BYTES = 2 * 1024 * 1024
QUICK = Pace(first=0.1, longest=1.0, locked_out=0.2, put_off=0.3, longest_put_off=1.0)


def letter(
    number: int = 1,
    *,
    to: str = "+12025550123@fax.example.com",
    sender: str = "alice@example.com",
    result: str | None = "dmarc=pass header.from=example.com",
    **headers: str,
) -> bytes:
    """Make a mail as a mail server leaves it in a mailbox; ``result`` None: nobody looked at it."""
    message = EmailMessage(policy=email.policy.SMTP)
    if result is not None:
        message["Authentication-Results"] = f"mx.example.com; {result}"
    message["From"] = f"Alice <{sender}>"
    message["To"] = to
    for name, value in {"Subject": f"Contract {number}", "Message_ID": f"<{number}@example.com>", **headers}.items():
        if value:
            message[name.replace("_", "-")] = value
    message.set_content("Please see the attachment.\n")
    message.add_attachment(PDF + str(number).encode(), maintype="application", subtype="pdf", filename="contract.pdf")
    return message.as_bytes()


@dataclass
class Office:
    """The relay's side: what it made, and the mailboxes that it serves."""

    store: Store
    blobs: LocalBlobs
    policy: PolicyHolder
    desk: Desk
    reports: Reports
    folder: Path
    secret: Path
    server: Dovecot | None = None
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def account(self, **changes: Any) -> Account:
        """Return the settings of a mailbox on the server."""
        settings = {
            "name": "box", "host": "127.0.0.1", "port": self.server.port if self.server else 1, "tls": "none",
            "user": "fax", "password": f"file:{self.secret}", "poll_seconds": 1, "idle": False, "timeout_seconds": 10,
            "authserv_id": "mx.example.com", **changes,
        }  # fmt: skip
        return Account.model_validate({key: value for key, value in settings.items() if value is not None})

    def mailbox(self, *, reserve: int = 0, clock: Callable[[], float] = time.time, **changes: Any) -> Mailbox:
        """Return a mailbox that is not served yet."""
        account = self.account(**changes)
        prover = TrustedResults(account.authserv_id) if account.authserv_id else Either()
        judge = Judge(self.desk, self.store, self.policy, prover, Rule(account.domain), IdSource(), clock, self.reports)
        tokens = Tokens(account.oauth, self.folder / "token.json", clock) if account.oauth else None
        return Mailbox(
            account, judge, self.blobs, Limits(MESSAGE_BYTES, reserve), clock, random.Random(1), tokens=tokens,
            pace=QUICK,
        )  # fmt: skip

    def serve(self, **changes: Any) -> Mailbox:
        """Serve a mailbox."""
        box = self.mailbox(**changes)
        self.tasks[box.name] = asyncio.create_task(box.run())
        return box

    async def halt(self, name: str = "box") -> None:
        """Stop serving it."""
        task = self.tasks.pop(name)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def rows(self, table: sa.Table) -> list[sa.Row[Any]]:
        """Return a table's rows."""
        return self.store.read_now(lambda c: list(c.execute(sa.select(table).order_by(*table.primary_key.columns))))

    @property
    def faxes(self) -> list[str]:
        """The numbers faxed to, in the order in which they were asked for."""
        return [row.peer for row in self.rows(fax)]

    @property
    def taken(self) -> list[str]:
        """The Message-IDs that became submissions."""
        return [row.message_id for row in self.rows(submission)]

    @property
    def answers(self) -> list[tuple[str, list[str]]]:
        """The refusals on their way: to whom, and why."""
        return [(row.target, row.payload["reasons"]) for row in self.rows(delivery)]

    @property
    def fates(self) -> list[str]:
        """What became of each message."""
        return [row.fate for row in self.rows(mailbox_message)]


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    """A server of one test's own, empty."""
    with running_dovecot() as server:
        yield server


@contextlib.contextmanager
def running_dovecot(introspection: str = "") -> Iterator[Dovecot]:
    """Run a server whose folder its users can reach, as pytest's own cannot be."""
    need("doveconf", "openssl")
    folder = Path(tempfile.mkdtemp(prefix="fr-imap-"))
    folder.chmod(0o755)
    server = Dovecot(folder, introspection)
    try:
        server.prepare()
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def bare_office(tmp_path: Path) -> AsyncIterator[Office]:
    """A relay without a server."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "test.yaml").write_text(POLICY)
    store = Store(f"sqlite:///{tmp_path / 'faxrelay.db'}")
    schema.upgrade(store.engine)
    blobs = LocalBlobs(tmp_path / "blobs")
    confinement = Confinement(Sandbox.BUBBLEWRAP, ["relay.intake.mime_worker"])
    reader = MailReader(confinement, message_bytes=MESSAGE_BYTES)
    policy = PolicyHolder(folder)
    committer = Committer(store, policy, IdSource(), time.time)
    desk = Desk(committer, blobs, reader, policy, time.time, attachment_bytes=1024 * 1024)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    office = Office(store, blobs, policy, desk, Reports(REPORTS, reader, blobs, committer), tmp_path, secret)
    yield office
    for name in list(office.tasks):
        await office.halt(name)
    assert not list((tmp_path / "blobs" / "tmp").iterdir()), "work files were left behind"
    await reader.close()
    await confinement.close()
    store.close()


@pytest.fixture
def office(bare_office: Office, dovecot: Dovecot) -> Office:
    """A relay before an empty server."""
    bare_office.server = dovecot
    return bare_office
