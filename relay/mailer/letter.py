"""A mail on its way out, and who carries it.

The envelope stands apart from the message (RFC 5321 section 2.3.1): nothing that a header says decides where a mail
goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.policy import SMTP, EmailPolicy
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

    from relay.outbox import Outcome

    #: Puts signatures above a message whose lines end with CRLF.
    Signing = Callable[[bytes], bytes]

_IDENTIFIERS: Final = frozenset({"references", "in-reply-to"})
#: The fields of reports (RFC 3464, RFC 8098), which are written as they are: one line, which their makers keep short.
_FOR_MACHINES: Final = frozenset(
    {"original-envelope-id", "reporting-mta", "received-from-mta", "arrival-date", "original-recipient"}
    | {"final-recipient", "action", "status", "diagnostic-code", "last-attempt-date", "final-log-id"}
    | {"will-retry-until", "x-fax-simulated", "reporting-ua", "original-message-id", "disposition"}
    | {"disposition-notification-to"}
)


def plain(text: str) -> str:
    """Return text in which the library sees no encoded word (RFC 2047).

    >>> plain("=?utf-8?q?a=0D=0ABcc:_victim@example.com?=")
    '= ?utf-8?q?a=0D=0ABcc:_victim@example.com?='
    """
    return text.replace("=?", "= ?")


class _MailPolicy(EmailPolicy):
    """RFC 5322 lines; identifiers are folded between, never within: the library encodes those that are over-long.

    Identifiers and fields for machines stay as they were written: the library would decode what looks like an encoded
    word in them, and what it decodes may be anything: line ends, and with them headers and a text that we never wrote.
    In all others such a word is broken up.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """Return a header as it is kept; raises :class:`ValueError` for one that is not one line."""
        if name.lower() not in _IDENTIFIERS | _FOR_MACHINES:
            return super().header_store_parse(name, plain(value) if isinstance(value, str) else value)
        if len(str(value).splitlines()) > 1:
            raise ValueError(f"{name} is not one line")
        return name, str(value)

    def fold(self, name: str, value: str) -> str:
        """Return a header's lines."""
        if name.lower() in _IDENTIFIERS:
            return f"{name}: {f'{self.linesep} '.join(str(value).split())}{self.linesep}"
        if name.lower() in _FOR_MACHINES:
            return f"{name}: {value}{self.linesep}"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return a header's lines as bytes."""
        if name.lower() in _IDENTIFIERS | _FOR_MACHINES:
            return self.fold(name, value).encode("ascii")
        return bytes(super().fold_binary(name, value))


#: How the relay's mails are written: every server takes seven bits, and none changes them under a signature.
MAIL: Final = _MailPolicy(linesep=SMTP.linesep, cte_type="7bit")
MAIL_UTF8: Final = MAIL.clone(utf8=True)


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to one recipient.

    ``name``: letters, digits and dots; the same whenever the same delivery is repeated. ``sender``: the return path,
    empty for the null one.
    """

    name: str
    sender: str
    recipient: str
    message: EmailMessage

    @property
    def international(self) -> bool:
        """Whether its addresses need SMTPUTF8 (RFC 6531)."""
        return not (self.sender + self.recipient).isascii()

    def content(self, linesep: str, sign: Signing | None = None) -> bytes:
        """Return the message's bytes, signed by ``sign`` as they go over a wire."""
        message = self.message.as_bytes(policy=self.message.policy.clone(linesep="\r\n"))
        signed = message if sign is None else sign(message)
        return signed if linesep == "\r\n" else signed.replace(b"\r\n", linesep.encode())


class Carrier(Protocol):
    """Takes letters: a smarthost, a Maildir."""

    async def send(self, letter: Letter) -> Outcome:
        """Hand a letter over; harmless, and recognisable by its Message-ID, when it was handed over before."""
