"""Mails whose sender is asked to confirm them: who may be asked, and how often.

The link goes to the one From address and to nobody else. Invariants: automatic mail is never asked (RFC 3834 section
2), nor is a mail that another proof lets through; nobody can make the relay mail an address, or mail for a client, more
often than the limits here say, whatever becomes of the mails.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from policies import Proof, decide, once_confirmed
from relay.errors import Refusal
from relay.store import confirmations, holds

if TYPE_CHECKING:
    import sqlalchemy as sa

    from policies import Facts, Policy
    from relay.ids import IdSource
    from relay.submission import Submission

HOUR: Final = 3600.0
DAY: Final = confirmations.MEMORY
#: So many mails of one claimed sender are asked about in an hour and in a day, and of one client in an hour.
PER_SENDER_HOUR: Final = 3
PER_SENDER_DAY: Final = 10
PER_CLIENT_HOUR: Final = 20
#: So many faxes of one number may wait for their senders at once: bounds what strangers can have us keep.
OPEN_PER_NUMBER: Final = 100
_LATER: Final = "Too many mails wait to be confirmed by their senders. Try again later."


def asking(policy: Policy, facts: Facts) -> Facts | None:
    """Return the facts as they will be when the sender has confirmed the mail; None where there is nothing to ask."""
    if once_confirmed(policy, facts, decide(policy, facts)) is None:
        return None
    return replace(facts, proofs=facts.proofs | {Proof.CONFIRM})


def check(
    connection: sa.Connection,
    ids: IdSource,
    asked: Submission,
    *,
    now: float,
) -> None:
    """Count one question to a submission's sender; raises :class:`relay.errors.Refusal` where there were too many.

    In the transaction that makes the faxes, before they are made.
    """
    of_sender, of_client = f"from {_untagged(asked.sender or '')}", f"by {_network(_client(asked))}"
    for whom, span, most in (
        (of_sender, HOUR, PER_SENDER_HOUR),
        (of_sender, DAY, PER_SENDER_DAY),
        (of_client, HOUR, PER_CLIENT_HOUR),
    ):
        if confirmations.count(connection, whom, now - span) >= most:
            raise Refusal(450, "4.7.1", _LATER)
    if holds.unconfirmed_of(connection, asked.number) >= OPEN_PER_NUMBER:
        raise Refusal(450, "4.7.1", _LATER)
    for whom in (of_sender, of_client):
        confirmations.note(connection, ids, whom, now)


def _client(asked: Submission) -> str | None:
    return (asked.facts or {}).get("client")


def _untagged(address: str) -> str:
    """Return an address without its sub-address (RFC 5233): its tags all reach one mailbox."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def _network(client: str | None) -> str:
    """Return what counts as one client: an IPv6 host has a /64 to itself."""
    if client is None:
        return "nobody known"
    address = ip_address(client)
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
