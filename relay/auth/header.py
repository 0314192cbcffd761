"""A message as header fields and a body, or not at all. Runs where the message may be read (a confined child); pure.

Source: RFC 5322 sections 2.1, 2.2 and 3.6, RFC 6376 section 8.15. Signatures cover bytes, people see what a mail
program makes of them; whatever two programs could read in two ways proves nothing, so it is refused here and never
repaired. Linear in the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_HEADER: Final = 64 * 1024
MAX_FIELDS: Final = 1000
#: These stand at most once (RFC 5322 section 3.6, RFC 2045 section 3; X-Fax-From is the relay's own). A second one
#: can be added to a signed message without breaking a signature, and which of the two a program shows is its taste.
SINGLETONS: Final = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id", "in-reply-to", "references"}
    | {"mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id"}
    | {"content-description", "auto-submitted", "x-fax-from"}
)

_FIELD = re.compile(rb"([!-9;-~]+):((?:[^\r\n]|\r\n[ \t])*)\r\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Malformed(ValueError):
    """The message can be read in more than one way. The text says why."""


class Field(NamedTuple):
    """One header field: the name as written, and the bytes after the colon with their folding and last CRLF."""

    name: bytes
    raw: bytes

    @property
    def key(self) -> str:
        """The name in lower case."""
        return self.name.decode("ascii").lower()

    @property
    def value(self) -> bytes:
        """The unfolded value."""
        return self.raw.replace(b"\r\n", b"").strip(b" \t")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a message in their order, and where its body begins (bytes)."""

    fields: tuple[Field, ...]
    body_at: int

    def named(self, key: str) -> tuple[Field, ...]:
        """Return the fields of that name (lower case), the topmost first."""
        return tuple(field for field in self.fields if field.key == key)

    @property
    def duplicates(self) -> tuple[str, ...]:
        """The names that stand more often than once and may not."""
        keys = [field.key for field in self.fields]
        return tuple(sorted(name for name in SINGLETONS if keys.count(name) > 1))


def read_header(message: bytes) -> Header:
    """Return the header of a message with CRLF line ends; raise :class:`Malformed`."""
    if message.startswith(b"\r\n"):
        return Header((), 2)
    end = message.find(b"\r\n\r\n", 0, MAX_HEADER)
    if end < 0 and len(message) > MAX_HEADER:
        raise Malformed(f"its header is longer than {MAX_HEADER // 1024} KB")
    block = message[: end + 2] if end >= 0 else message
    if _CONTROL.search(block):
        raise Malformed("its header holds control characters")
    if b"\0" in message:
        raise Malformed("it holds NUL characters")
    ends = message.count(b"\r\n")
    if message.count(b"\r") != ends or message.count(b"\n") != ends:
        raise Malformed("some of its lines do not end with CR and LF")
    fields: list[Field] = []
    position = 0
    while position < len(block):
        matched = _FIELD.match(block, position)
        if matched is None:
            raise Malformed("a line of its header is no header line")
        if len(fields) == MAX_FIELDS:
            raise Malformed(f"it has more than {MAX_FIELDS} header lines")
        fields.append(Field(matched[1], matched[2] + b"\r\n"))
        position = matched.end()
    return Header(tuple(fields), end + 4 if end >= 0 else len(message))
