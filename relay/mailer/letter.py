"""A mail on its way out, and who carries it.

The envelope stands apart from the message (RFC 5321 section 2.3.1): nothing that a header says decides where a mail
goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.policy import SMTP, EmailPolicy
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from email.message import EmailMessage

    from relay.outbox import Outcome


class _MailPolicy(EmailPolicy):
    """RFC 5322 lines; identifiers are folded between, never within: the library encodes those that are over-long."""

    def fold(self, name: str, value: str) -> str:
        """Return a header's lines."""
        if name.lower() in {"references", "in-reply-to"}:
            return f"{name}: {f'{self.linesep} '.join(str(value).split())}{self.linesep}"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return a header's lines as bytes."""
        if name.lower() in {"references", "in-reply-to"}:
            return self.fold(name, value).encode("ascii")
        return bytes(super().fold_binary(name, value))


#: How the relay's mails are written.
MAIL: Final = _MailPolicy(linesep=SMTP.linesep)
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

    def content(self, linesep: str) -> bytes:
        """Return the message's bytes."""
        return self.message.as_bytes(policy=self.message.policy.clone(linesep=linesep))


class Carrier(Protocol):
    """Takes letters: a smarthost, a Maildir."""

    async def send(self, letter: Letter) -> Outcome:
        """Hand a letter over; harmless, and recognisable by its Message-ID, when it was handed over before."""
