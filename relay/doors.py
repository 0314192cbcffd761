"""The ways in, built out of settings: desks with readers of their own, the SMTP server, the mailboxes that are polled.

What is built is closed with ``stack``; ``checks`` grows by what the health page can look at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay import mailboxes
from relay.auth.resolver import DnsResolver
from relay.intake.desk import Desk
from relay.intake.logins import Logins
from relay.intake.message import MailReader
from relay.intake.proving import Prover
from relay.intake.smtp import SmtpServer
from relay.web import checks as checking

if TYPE_CHECKING:
    import contextlib
    import random
    from collections.abc import Callable

    from relay.confine import Confinement
    from relay.ids import IdSource
    from relay.intake.imap.mailbox import Mailbox
    from relay.policy import PolicyHolder
    from relay.settings import Settings
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store
    from relay.web.health import Check


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
        logins = Logins(self.store, time.monotonic, lambda: self.policy.current.users)
        self.stack.callback(logins.close)
        server = SmtpServer(settings, self._desk(), self.blobs, logins, self._prover())
        await server.start()
        self.stack.push_async_callback(server.close)
        self.checks.append(checking.certificates(server.certificates))
        places = (str(one.path) if one.path is not None else one.address for one in settings.listeners)
        return tuple(zip(places, server.ports, strict=True))

    def mailboxes(self, spread: random.Random) -> list[Mailbox]:
        """Return the mailboxes, not connected yet."""
        boxes = mailboxes.build(
            self.settings,
            self._desk(),
            self._prover(),
            self.store,
            self.blobs,
            self.policy,
            self.ids,
            self.clock,
            spread,
        )
        self.checks.extend(checking.mailbox(one) for one in boxes)
        return boxes

    def _prover(self) -> Prover:
        """Return what examines mails by the DNS."""
        settings = self.settings.smtp
        prover = Prover(
            self.confinement("relay.intake.proof_worker"), DnsResolver(), self.clock,
            message_bytes=settings.message_bytes, sealers=frozenset(settings.trusted_sealers),
        )  # fmt: skip
        self.stack.callback(prover.close)
        return prover

    def _desk(self) -> Desk:
        """Return a desk with readers of its own, so that one way in does not wait for another."""
        settings = self.settings.smtp
        reader = MailReader(self.confinement("relay.intake.mime_worker"), message_bytes=settings.message_bytes)
        self.stack.push_async_callback(reader.close)
        return Desk(
            self.store,
            self.blobs,
            reader,
            self.policy,
            self.ids,
            self.clock,
            attachment_bytes=settings.attachment_bytes,
        )
