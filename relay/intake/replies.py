"""Replies of the SMTP dialogue as they go out: an enhanced code (RFC 2034, RFC 3463), one line of 512 octets. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.errors import Refusal
    from relay.intake.desk import Accepted

OUR_FAULT: Final = "451 4.3.0 Something went wrong here; nothing was kept. Try again later."

_LONGEST: Final = 510  # RFC 5321 section 4.5.3.1.5, without CRLF
_UNCODED = re.compile(r"(?!220)([245])\d\d (?!\1\.\d{1,3}\.\d{1,3} )")
#: RFC 3463, for what the library answers by itself.
_CODES: Final = {
    "250": "2.0.0", "221": "2.0.0", "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1",
    "504": "5.5.4", "530": "5.7.0", "552": "5.3.4", "553": "5.1.3", "555": "5.5.4",
}  # fmt: skip


def coded(status: str) -> str:
    """Return a reply as it may go out. The greeting (220) has no enhanced code (RFC 2034 section 3)."""
    matched = _UNCODED.match(status)
    code = f"{matched[0]}{_CODES.get(matched[0][:3], f'{matched[1]}.0.0')} {status[4:]}" if matched else status
    plain = "".join(c if c.isprintable() else "?" for c in code)
    return plain.encode()[:_LONGEST].decode(errors="ignore")


def of_refusal(refusal: Refusal) -> str:
    """Return the reply that says no."""
    return f"{refusal.code} {refusal.enhanced} {refusal.sentence}"


def of_acceptance(accepted: Accepted) -> str:
    """Return the reply that names what was made; ``refused`` faxes fail at once and are told of by mail."""
    count = len(accepted.faxes)
    faxes = f"{count} fax{'es' * (count != 1)}"
    if accepted.repeated:
        return f"250 2.0.0 Accepted before as {accepted.submission}; no second fax is made"
    if accepted.unconfirmed:
        faxes += ", held until the link in a mail to the sender is followed"
    elif accepted.refused:
        faxes += f", {accepted.refused} of them refused: a mail tells why"
    return f"250 2.0.0 Accepted as {accepted.submission}; {faxes}"
