"""What a mail's sender wants to be told of, joined to each recipient of its submission. Pure.

RFC 3461 (DSN), RFC 8098 (disposition notifications). Invariant: nothing is ever owed to an address that the mail's
proof does not vouch for, so that no stranger is bounced at: a return path counts where it is the proven sender, or,
where the proof is one of the client or of a whole domain, where it lies in the sender's domain. Any other return path
gives way to the proven sender.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from policies import BadAddress, Proof, normalise_address
from relay.notification import ORIGINAL, WISHES, MailWishes, RecipientWishes, Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.intake.desk import Envelope
    from relay.intake.message import ParsedMessage
    from relay.submission import Recipient

NO_WISHES: Final = MailWishes()
#: Proofs that speak for one address alone.
_OF_ONE: Final = frozenset({Proof.AUTH.value, Proof.CONFIRM.value})
_HOST = re.compile(r"\[[0-9A-Fa-f:.]{3,45}\]|[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)


def wished(
    recipients: Sequence[Recipient], envelope: Envelope, mail: ParsedMessage, sender: str, proof: str
) -> tuple[list[Recipient], dict[str, Any]]:
    """Return the recipients with what is wished for each, and the submission's settings that this needs."""
    answerable = bool(envelope.return_path) and not mail.automatic
    shared = Wishes(
        full=envelope.wishes.full,
        envid=envelope.wishes.envid,
        address=vouched(envelope.return_path, sender, proof) if answerable else "",
        heard_from=envelope.heard_from if _HOST.fullmatch(envelope.heard_from) else "",
        read_receipt=sender if answerable and _reads(mail.read_receipt, envelope.return_path, sender) else "",
    )
    told = envelope.recipient_wishes or (RecipientWishes(),) * len(recipients)
    found = []
    for recipient, wish in zip(recipients, told, strict=True):
        wishes = replace(shared, notify=wish.notify, original=wish.original)
        silent = wishes.notify is None and not wishes.read_receipt
        settings = {**recipient.settings, WISHES: wishes.as_settings()}
        found.append(recipient if silent else replace(recipient, settings=settings))
    reported = any(wish.notify for wish in told) or bool(shared.read_receipt)
    return found, {ORIGINAL: mail.header} if reported else {}


def vouched(return_path: str, sender: str, proof: str) -> str:
    """Return the return path where the proof of ``sender`` speaks for it, otherwise the sender.

    >>> vouched("bounces@mail.example.com", "user@example.com", "network")
    'bounces@mail.example.com'
    >>> vouched("bounces@mail.example.com", "user@example.com", "auth")
    'user@example.com'
    """
    try:
        path = normalise_address(return_path)
    except BadAddress:
        return sender
    domain, own = path.rpartition("@")[2], sender.rpartition("@")[2]
    of_the_domain = proof not in _OF_ONE and (domain == own or domain.endswith(f".{own}"))
    # The path as it was written: local parts may mind their case (RFC 5321 section 2.4).
    return return_path if path == sender or of_the_domain else sender


def _reads(wanted: str, return_path: str, sender: str) -> bool:
    """Whether a disposition notification may be sent without asking: RFC 8098 section 2.1 compares the Return-Path."""
    try:
        return bool(wanted) and normalise_address(wanted) == sender == normalise_address(return_path)
    except BadAddress:
        return False
