"""The mailboxes of the settings, ready to be served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.intake.imap.mailbox import Limits, Mailbox
from relay.intake.imap.oauth import Tokens
from relay.intake.imap.outcome import Judge, Rule
from relay.intake.imap.proof import Either, OwnProof, TrustedResults

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from relay import settings as configuration
    from relay.ids import IdSource
    from relay.intake.desk import Desk
    from relay.intake.imap.proof import Prover
    from relay.intake.proving import Prover as Signatures
    from relay.intake.reports import Reports
    from relay.mail_settings import Mailbox as Account
    from relay.policy import PolicyHolder
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store


def build(
    settings: configuration.Settings,
    desk: Desk,
    reports: Reports | None,
    signatures: Signatures,
    store: Store,
    blobs: LocalBlobs,
    policy: PolicyHolder,
    ids: IdSource,
    clock: Callable[[], float],
    spread: random.Random,
) -> list[Mailbox]:
    """Return a server of each mailbox; nothing is connected yet."""
    limits = Limits(settings.smtp.message_bytes, settings.smtp.disk_reserve_bytes)
    return [
        Mailbox(
            account,
            Judge(
                desk,
                store,
                policy,
                _prover(account, signatures),
                Rule(account.domain, settings.smtp.recipients),
                ids,
                clock,
                reports,
            ),
            blobs,
            limits,
            clock,
            spread,
            tokens=None
            if account.oauth is None
            else Tokens(account.oauth, settings.data / "mailboxes" / f"{account.name}.json", clock),
        )
        for account in settings.mailboxes
    ]


def _prover(account: Account, signatures: Signatures) -> Prover:
    """Return what proves a mailbox's senders: the word of its server where that is trusted, else their signatures."""
    own = OwnProof(signatures)
    return own if account.authserv_id is None else Either(TrustedResults(account.authserv_id), own)
