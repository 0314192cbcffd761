"""The ways in, built out of settings: desks with readers of their own, the SMTP server, the mailboxes that are polled.

What is built is closed with ``stack``; ``checks`` grows by what the health page can look at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay import mailboxes
from relay.acceptors import Acceptors
from relay.auth.resolver import DnsResolver
from relay.intake.committer import Committer
from relay.intake.desk import Desk
from relay.intake.logins import Logins
from relay.intake.message import MailReader
from relay.intake.proving import Prover
from relay.intake.reports import Reports
from relay.intake.smtp import SmtpServer
from relay.intake.tls import Certificate
from relay.keys import secret_key
from relay.reports import ReportAddresses
from relay.web import checks as checking
from relay.web.health import Check

if TYPE_CHECKING:
    import contextlib
    import random
    from collections.abc import Callable

    from relay.confine import Confinement
    from relay.ids import IdSource
    from relay.intake.desk import Commits
    from relay.intake.imap.mailbox import Mailbox
    from relay.mail_settings import Smtp
    from relay.policy import PolicyHolder
    from relay.settings import Settings
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store


@dataclass(frozen=True, slots=True)
class Doors:
    """Builds the ways in. ``confinement`` gives a sandbox whose children know the named modules."""

    settings: Settings
    store: Store
    blobs: LocalBlobs
    policy: PolicyHolder
    ids: IdSource
    clock: Callable[[], float]
    stack: contextlib.AsyncExitStack
    checks: list[Check]
    confinement: Callable[[str], Confinement]

    async def smtp(self) -> tuple[tuple[str, int], ...]:
        """Listen, and return where: address and port, or the path of a Unix socket and 0."""
        settings = self.settings.smtp
        committer = Committer(self.store, self.policy, self.ids, self.clock)
        if settings.processes:
            acceptors = Acceptors(self.settings, committer)
            server: SmtpServer | Acceptors = acceptors
            self.checks.append(Check("smtp processes", acceptors.trouble))
        else:
            server = smtp_server(
                self.settings, self.blobs, self.store, self.policy, committer, self.confinement, self.clock, self.stack
            )
        await server.start()
        self.stack.push_async_callback(server.close)
        found = [Certificate.of_listener(one, time.time) for one in settings.listeners]
        self.checks.append(checking.certificates([one for one in found if one is not None]))
        places = (str(one.path) if one.path is not None else one.address for one in settings.listeners)
        return tuple(zip(places, server.ports, strict=True))

    def mailboxes(self, spread: random.Random) -> list[Mailbox]:
        """Return the mailboxes, not connected yet."""
        settings = self.settings.smtp
        committer = Committer(self.store, self.policy, self.ids, self.clock)
        reading = reader(settings, self.confinement, self.stack)
        boxes = mailboxes.build(
            self.settings,
            desk(settings, self.blobs, self.policy, committer, reading),
            reports(self.settings, self.blobs, committer, reading),
            prover(settings, self.confinement, self.clock, self.stack),
            self.store,
            self.blobs,
            self.policy,
            self.ids,
            self.clock,
            spread,
        )
        self.checks.extend(checking.mailbox(one) for one in boxes)
        return boxes


def smtp_server(
    settings: Settings,
    blobs: LocalBlobs,
    store: Store,
    policy: PolicyHolder,
    committer: Commits,
    confinement: Callable[[str], Confinement],
    clock: Callable[[], float],
    stack: contextlib.AsyncExitStack,
) -> SmtpServer:
    """Return the SMTP server of this process, not listening yet; what it needs is closed with ``stack``."""
    logins = Logins(store, time.monotonic, lambda: policy.current.users)
    stack.callback(logins.close)
    reading = reader(settings.smtp, confinement, stack)
    return SmtpServer(
        settings.smtp, desk(settings.smtp, blobs, policy, committer, reading), blobs, logins,
        prover(settings.smtp, confinement, clock, stack), reports(settings, blobs, committer, reading),
    )  # fmt: skip


def desk(settings: Smtp, blobs: LocalBlobs, policy: PolicyHolder, committer: Commits, reading: MailReader) -> Desk:
    """Return a desk; ``reading``: who reads its mails."""
    return Desk(committer, blobs, reading, policy, time.time, attachment_bytes=settings.attachment_bytes)


def reader(settings: Smtp, confinement: Callable[[str], Confinement], stack: contextlib.AsyncExitStack) -> MailReader:
    """Return readers of mail for one way in, so that it does not wait for another."""
    made = MailReader(confinement("relay.intake.mime_worker"), message_bytes=settings.message_bytes)
    stack.push_async_callback(made.close)
    return made


def reports(settings: Settings, blobs: LocalBlobs, commits: Commits, reading: MailReader) -> Reports | None:
    """Return who takes reports on mails of ours, ``None`` where none are asked for."""
    domain = settings.mail.reports_domain
    if domain is None:
        return None
    return Reports(ReportAddresses(secret_key(settings.data), domain), reading, blobs, commits)


def prover(
    settings: Smtp,
    confinement: Callable[[str], Confinement],
    clock: Callable[[], float],
    stack: contextlib.AsyncExitStack,
) -> Prover:
    """Return what examines mails by the DNS."""
    made = Prover(
        confinement("relay.intake.proof_worker"), DnsResolver(settings.nameservers), clock,
        message_bytes=settings.message_bytes, sealers=frozenset(settings.trusted_sealers),
    )  # fmt: skip
    stack.push_async_callback(made.close)
    return made
