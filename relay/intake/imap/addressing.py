"""Whom a fetched message is to be faxed to: there is no envelope, so the message itself has to say.

Pure. RFC 5322 section 3.6.3 (To, Cc); Delivered-To and X-Original-To are what mail servers write of the envelope. All
of them count: one copy of a mail for two numbers may reach a mailbox with either alone in its Delivered-To.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from policies import resolve_domain
from relay.errors import Refusal
from relay.intake.address import BadFaxAddress, FaxAddress, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from policies import Policy

#: A telephone number as people write it. Whether such a one exists is the policy's question.
_NUMBER = re.compile(r"(?<![\w+])\+?\(?\d(?:[ ()./-]{0,3}\d){2,19}(?!\w)", re.ASCII)
_NO_RECIPIENT: Final = "The mail names no fax number: address it to NUMBER@DOMAIN, such as +12025550199@{domain}."


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom a message is for: at least one recipient; ``refused``: those that it cannot go to, each with why."""

    recipients: tuple[FaxAddress, ...]
    refused: tuple[tuple[str, Refusal], ...] = ()


def by_addresses(
    policy: Policy, written: Sequence[str], check: Callable[[str, Sequence[FaxAddress]], FaxAddress]
) -> Addressed:
    """Return the recipients among a message's addresses; raise :class:`Refusal` where none can be faxed to.

    ``check`` is :meth:`relay.intake.desk.Desk.at_recipient`. An address of a fax domain that is no number (the
    mailbox's own may be such) is passed over.
    """
    found: list[FaxAddress] = []
    refused: list[tuple[str, Refusal]] = []
    for text in written:
        if not _is_number(policy, text):
            continue
        try:
            address = check(text, found)
        except Refusal as refusal:
            refused.append((text, refusal))
        else:
            if address not in found:
                found.append(address)
    if found:
        return Addressed(tuple(found), tuple(refused))
    if refused:
        raise refused[0][1]
    domain = next(iter(policy.domains), "your fax domain")
    raise Refusal(550, "5.1.3", _NO_RECIPIENT.format(domain=domain))


def by_subject(subject: str, domain: str, check: Callable[[str, Sequence[FaxAddress]], FaxAddress]) -> Addressed:
    """Return the recipient that a subject names; raise :class:`Refusal` for none, and for other digits beside it.

    Which of two numbers is meant is not guessed: a document would go to a stranger.

    >>> by_subject("Fax to 03-123 45 67", "fax.example.com", lambda text, _: parse_address(text)).recipients[0].number
    '031234567'
    """
    numbers = [_digits(one[0]) for one in _NUMBER.finditer(subject)]
    if len(set(numbers)) != 1 or re.search(r"\d", _NUMBER.sub("", subject)):
        told = "names more than one number" if numbers else "names no fax number"
        raise Refusal(550, "5.1.3", f"The subject {told}: write the one number to fax to, such as +12025550199.")
    return Addressed((check(f"{numbers[0]}@{domain}", ()),))


def _is_number(policy: Policy, text: str) -> bool:
    """Whether an address is at a fax domain, and of a number, be it a bad one."""
    try:
        address = parse_address(text)
    except BadFaxAddress:
        local, _, domain = text.rpartition("@")
        return bool(re.match(r'"?(?:fax=)?\+?\d', local, re.IGNORECASE)) and _known(policy, domain)
    return _known(policy, address.domain)


def _known(policy: Policy, domain: str) -> bool:
    return resolve_domain(policy, domain.lower()) is not None


def _digits(text: str) -> str:
    digits = re.sub(r"\D", "", text)
    if text.startswith("+"):
        return f"+{digits}"
    return digits
