"""Why a mail or one of its recipients is refused, as SMTP says it.

Source: RFC 5321 section 4.2 (reply codes), RFC 3463 (enhanced codes). Invariants: the sentences are ASCII, one line,
and tell an outsider what to do next, never which rule of whom said no; the rules stand in a decision's reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class RefusalKind(Enum):
    """The closed list of refusals with the codes that each is answered with."""

    BAD_NUMBER = "bad_number", 553, "5.1.3"
    DESTINATION = "destination", 550, "5.7.1"
    SENDER = "sender", 550, "5.7.1"
    NO_ATTACHMENT = "no_attachment", 550, "5.6.0"
    FORMAT = "format", 550, "5.6.1"
    TOO_LARGE = "too_large", 552, "5.3.4"
    TOO_MANY_PAGES = "too_many_pages", 552, "5.3.4"
    TOO_MANY_RECIPIENTS = "too_many_recipients", 550, "5.5.3"
    OVER_QUOTA = "over_quota", 452, "4.2.2"
    DNS_TROUBLE = "dns_trouble", 451, "4.4.3"
    OUR_FAULT = "our_fault", 451, "4.3.0"

    def __init__(self, label: str, smtp_code: int, enhanced_code: str) -> None:
        self.label = label
        self.smtp_code = smtp_code
        self.enhanced_code = enhanced_code

    @property
    def permanent(self) -> bool:
        """Whether sending the same mail again cannot help."""
        return self.smtp_code >= 500  # noqa: PLR2004 -- RFC 5321 section 4.2.1: the first digit


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal and the sentence that the sender reads."""

    kind: RefusalKind
    sentence: str

    @property
    def reply(self) -> str:
        """The SMTP reply line, without CRLF.

        >>> Refusal(RefusalKind.SENDER, "No.").reply
        '550 5.7.1 No.'
        """
        return f"{self.kind.smtp_code} {self.kind.enhanced_code} {self.sentence}"
