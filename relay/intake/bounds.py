"""What a message must keep to before a parser sees it. Runs in the confined child; pure.

Source: RFC 5322 sections 2.1.1, 2.2, 2.3 and 3.6, RFC 5321 section 2.3.8. The standard library's parser answers 171
KB of nested parts with a RecursionError and takes 7.5 s for a From of 200 KB, and it repairs what it does not
understand, so that two programs may read two senders in one message. So: what is out of bounds is refused, never
repaired.

Invariants: every check is linear in the message; after :func:`check_bounds` lines end with CRLF and nothing else is a
CR, an LF or a NUL; the header is at most :data:`MAX_HEADER` bytes; at most :data:`MAX_NESTING` parts hold others, so
no part lies deeper.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from relay.errors import Refusal

MAX_HEADER: Final = 64 * 1024
#: RFC 5322 section 2.1.1, without the CRLF.
MAX_LINE: Final = 998
MAX_NESTING: Final = 20
#: Bytes of an unfolded field whose value is parsed; the From parser is quadratic.
MAX_PARSED: Final = 1000
#: Addresses that a message is read as naming; more are not looked at.
MAX_ADDRESSED: Final = 500
#: Characters of a header that are kept to be given back in a report.
MAX_RETURNED: Final = 8 * 1024
#: RFC 5322 section 3.6 and RFC 2045 section 3: these stand at most once. Two of them are two readings of one message.
SINGLETONS: Final = frozenset(
    {"from", "sender", "reply-to", "subject", "date", "message-id", "in-reply-to", "references"}
    | {"mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id"}
    | {"auto-submitted", "x-fax-from"}
)

_FIELD = re.compile(rb"([!-9;-~]+):((?:[^\r\n]|\r\n[ \t])*)\r\n")
#: However a part says that it holds others: each level of nesting needs one.
_CONTAINER = re.compile(rb"\ncontent-type:[ \t\r\n]*(?:multipart|message)/")


class Field(NamedTuple):
    """One header field: its name in lower case and its unfolded value."""

    name: str
    value: bytes


def check_bounds(data: bytes) -> tuple[Field, ...]:
    """Return the fields of the message's header, or raise :class:`relay.errors.Refusal` (550 5.6.0)."""
    _check_characters(data)
    _check_lines(data)
    if sum(1 for _ in _CONTAINER.finditer(b"\n" + data.lower())) > MAX_NESTING:
        raise _malformed(f"more than {MAX_NESTING} of its parts hold other parts")
    fields = _fields(_header(data))
    names = [field.name for field in fields]
    for name in SINGLETONS:
        if names.count(name) > 1:
            raise _malformed(f"it has more than one {name.title()} line")
    return fields


def _check_characters(data: bytes) -> None:
    if b"\0" in data:
        raise _malformed("it contains NUL characters")
    ends = data.count(b"\r\n")
    if data.count(b"\r") != ends or data.count(b"\n") != ends:
        raise _malformed("some of its lines do not end with CR and LF")


def _check_lines(data: bytes) -> None:
    start = 0
    while len(data) - start > MAX_LINE:
        # The next line end within reach lies as far ahead as possible: a step is about a thousand bytes, not a line.
        end = data.rfind(b"\r\n", start, start + MAX_LINE + 2)
        if end < 0:
            raise _malformed(f"a line is longer than {MAX_LINE} bytes")
        start = end + 2


def _header(data: bytes) -> bytes:
    if data.startswith(b"\r\n"):
        return b""
    end = data.find(b"\r\n\r\n", 0, MAX_HEADER)
    if end < 0 and len(data) > MAX_HEADER:
        raise _malformed(f"its header is longer than {MAX_HEADER // 1024} KB")
    return data[: end + 2] if end >= 0 else data


def _fields(header: bytes) -> tuple[Field, ...]:
    fields = []
    position = 0
    while position < len(header):
        matched = _FIELD.match(header, position)
        if matched is None:
            raise _malformed("a line of its header is no header line")
        fields.append(Field(matched[1].decode("ascii").lower(), matched[2].replace(b"\r\n", b"").strip()))
        position = matched.end()
    return tuple(fields)


def _malformed(what: str) -> Refusal:
    return Refusal(550, "5.6.0", f"The message is malformed: {what}. The program that made it has a fault.")
