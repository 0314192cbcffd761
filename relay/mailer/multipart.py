"""``multipart/report`` (RFC 6522): what people read, what machines read, and the header of the mail that it is about.

Invariant: fields for machines are written as they are, each on one line: folding or encoding would change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage, Message, MIMEPart
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    #: Field names with their values, in order.
    Fields = tuple[tuple[str, str], ...]

DELIVERY: Final = "delivery-status"
DISPOSITION: Final = "disposition-notification"


@dataclass(frozen=True, slots=True)
class Machine:
    """What machines read: ``kind`` names it, ``groups`` of fields, and the ``original`` mail's header or nothing."""

    kind: str
    groups: tuple[Fields, ...]
    original: str


def enclose(message: EmailMessage, body: MIMEPart, machine: Machine) -> None:
    """Make a message without content a report whose first part is ``body``."""
    message["MIME-Version"] = "1.0"
    message["Content-Type"] = f"multipart/report; report-type={machine.kind}"
    _attach(message, body)
    told = MIMEPart(policy=message.policy)
    told["Content-Type"] = f"message/{machine.kind}"
    told.set_payload([_group(message, fields) for fields in machine.groups])
    _attach(message, told)
    if machine.original:
        returned = MIMEPart(policy=message.policy)
        plain = machine.original.isascii()
        # RFC 6522 section 4: base64 is not for headers.
        returned.set_content(
            machine.original, subtype="rfc822-headers", charset="us-ascii" if plain else "utf-8",
            cte="7bit" if plain else "quoted-printable",
        )  # fmt: skip
        _attach(message, returned)


def _attach(message: EmailMessage, part: MIMEPart) -> None:
    message.attach(part)  # type: ignore[arg-type]  # the library's types want a whole message for a part


def _group(message: EmailMessage, fields: Fields) -> Message:
    group = Message(policy=message.policy)
    for name, value in fields:
        group[name] = value
    return group
