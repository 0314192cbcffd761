"""What a report on a mail of ours says. Runs in the confined child; pure.

Source: RFC 6522 (``multipart/report``), RFC 3464 (delivery status), RFC 8098 (disposition). Only its part for programs
counts: what stands in the text, or in the mail that is given back, is anybody's. An answering machine's mail, a report
of another kind, or one that cannot be read says nothing.
"""

from __future__ import annotations

import re
from email import errors
from email.message import Message
from email.parser import BytesParser, HeaderParser
from typing import TYPE_CHECKING, Any, Final

from relay.intake.bounds import MAX_PARSED
from relay.intake.parts import text

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.policy import Policy

#: Characters of what a server said.
MAX_WORDS: Final = 400
#: RFC 3464 section 2.3.4: a status code.
_STATUS: Final = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_BLANK: Final = re.compile(r"\r?\n\r?\n")
#: How the standard library's parsers say that they are lost.
_LOST: Final = (AttributeError, LookupError, TypeError, ValueError, errors.MessageError)
_NOTHING: Final = {"kind": "", "words": ""}


def report(data: bytes, policy: Policy, count: Callable[[], None]) -> dict[str, Any]:
    """Return ``kind`` (``returned``, ``opened`` or empty) and ``words``: what a server gave as the reason.

    ``data``: a message in bounds. Each of its parts is counted first. It is parsed as it is, not by its skeleton
    (:mod:`relay.intake.skeleton`), which leaves the insides of messages out.
    """

    def counted(**named: Any) -> Message:
        count()
        return Message(**named)

    message = BytesParser(counted, policy=policy).parsebytes(data)
    if message.get_content_type() != "multipart/report" or not message.is_multipart():
        return _NOTHING
    for part in _parts(message):
        try:
            match part.get_content_type():
                case "message/delivery-status" | "message/global-delivery-status":
                    return _delivery(part)
                case "message/disposition-notification" | "message/global-disposition-notification":
                    return _disposition(part)
        except _LOST:
            return _NOTHING
    return _NOTHING


def _delivery(part: Message) -> dict[str, Any]:
    """Return what a delivery status says: of several recipients, whether one failed (RFC 3464 section 2.3.3)."""
    for group in _recipients(part):
        if _field(group, "action").lower() == "failed":
            status = _field(group, "status").partition(" ")[0]
            code = status if _STATUS.fullmatch(status) else ""
            said = _field(group, "diagnostic-code").partition(";")[2].strip()
            return {"kind": "returned", "words": " ".join(filter(None, (said or code,)))[:MAX_WORDS]}
    return _NOTHING


def _disposition(part: Message) -> dict[str, Any]:
    """Return what a disposition says: only what was displayed was opened (RFC 8098 section 3.2.6.2)."""
    for group in _parts(part):
        kind, _, _ = _field(group, "disposition").partition(";")[2].strip().partition("/")
        if kind.strip().lower() == "displayed":
            return {"kind": "opened", "words": ""}
    return _NOTHING


def _recipients(part: Message) -> list[Message]:
    """Return the groups of fields; of a kind that the library does not know (RFC 6533) all but the first are text."""
    groups = _parts(part)
    rest = groups[0].get_payload() if len(groups) == 1 else None
    if isinstance(rest, str):
        groups += [HeaderParser(policy=part.policy).parsestr(group.strip()) for group in _BLANK.split(rest)]
    return groups


def _parts(part: Message) -> list[Message]:
    found: Any = part.get_payload()
    return [one for one in found if hasattr(one, "get_payload")] if isinstance(found, list) else []


def _field(group: Message, name: str) -> str:
    values = group.get_all(name, [])
    return text(str(values[0])[:MAX_PARSED], MAX_WORDS) if len(values) == 1 else ""
