"""The child that reads mail: bytes in by one descriptor, decoded files and what the mail says out by another.

Runs confined (:mod:`relay.confine`), serves one message after the other until its channel ends, and knows nothing but
the message. A request carries two descriptors: the message, and an empty file. The child writes the decoded files
into that file one after the other, then a JSON object that names them with their offsets, and answers ``{"at":
offset, "size": bytes}`` of that object; or ``{"refusal": [code, enhanced, sentence]}``. Whoever asked believes none
of it unchecked. Asked for a ``report``, it says what that is on a mail of ours, and writes no files.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from email import policy
from email.errors import InvalidHeaderDefect, NonPrintableDefect
from email.utils import getaddresses
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from converters import Refused, identify_bytes
from relay.errors import Refusal
from relay.intake import returned, skeleton
from relay.intake.bounds import MAX_ADDRESSED, MAX_PARSED, MAX_RETURNED, Field, check_bounds
from relay.intake.parts import MAX_PARTS, Contents, Found, contents, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.channel import Channel

MAX_SUBJECT: Final = 300
#: What ``X-Fax-...`` headers may ask for (:mod:`relay.intake.options`), and the longest of it.
OPTIONS: Final = ("resolution", "mode", "priority", "retries", "cover", "schedule", "billing", "notify")
MAX_OPTION: Final = 40
#: Identifiers of the thread that an answer carries, the newest last.
MAX_REFERENCES: Final = 20
#: RFC 5321 section 4.5.3.1.3.
_LONGEST_ADDRESS: Final = 256
#: Where a message says whom it is for: its sender's word, and that of the servers which brought it.
_ADDRESSED: Final = frozenset({"to", "cc", "delivered-to", "x-original-to"})

_DISPOSITION_OPTIONS: Final = "disposition-notification-options"
_BETWEEN_FIELDS: Final = re.compile(rb"\r\n(?![ \t])")
#: Fields that a report can do without.
_ADDED: Final = ("arc-", "authentication-results:", "dkim-signature:", "received", "x-")
#: How the standard library's parsers say that they are lost (found by mutating mails).
_LOST: Final = (AttributeError, LookupError, TypeError, ValueError)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>", re.ASCII)


class _PlainHeaders(policy.Compat32):
    """Headers as text: raw bytes count as UTF-8 (RFC 6532), which is what those who write them mean."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        """Return the value as it is read."""
        del name
        return _utf8(value.encode("ascii", "surrogateescape"))


def serve(channel: Channel, _descriptors: list[int]) -> None:
    """Read messages until nobody asks any more."""
    while (received := channel.receive()) is not None:
        request, (message, output) = received
        with os.fdopen(message, "rb") as source, os.fdopen(output, "wb") as sink:
            try:
                if request.get("report") is True:
                    answer = read_report(source.read(), sink)
                else:
                    answer = read_message(source.read(), sink, head=request.get("head") is True)
            except Refusal as refusal:
                answer = {"refusal": [refusal.code, refusal.enhanced, refusal.sentence]}
            except (RecursionError, MemoryError):
                answer = {"refusal": [550, "5.6.0", "The message is too complicated to be read."]}
        channel.send(answer)


def read_message(data: bytes, sink: BinaryIO, *, head: bool = False) -> dict[str, Any]:
    """Write what a message holds and says to ``sink`` and return the answer; raise :class:`relay.errors.Refusal`.

    ``head``: there is no more of it than its header.
    """
    fields = check_bounds(data)
    said = _said(fields)  # a mail without a sender is refused whatever it holds
    try:
        found = Contents((), ()) if head else contents(skeleton.parse(data, _PlainHeaders(), _counting()))
    except _LOST:
        raise Refusal(550, "5.6.0", "The message is malformed: the description of a part cannot be read.") from None
    said["header"] = _returned(data)
    said["skipped"] = list(found.skipped)
    said["attachments"] = []
    offset = 0
    for file in [*found.files, *([found.body] if found.body else [])]:
        sink.write(file.data)
        size = len(file.data)
        told = {"name": file.name, "media_type": file.media_type, "offset": offset, "size": size}
        if file is found.body:
            said["body"] = told | {"refusal": None}
        else:
            said["attachments"].append(told | {"refusal": _not_faxed(file)})
        offset += size
    index = json.dumps(said).encode()
    sink.write(index)
    return {"at": offset, "size": len(index)}


def read_report(data: bytes, sink: BinaryIO) -> dict[str, Any]:
    """Write what a report on a mail of ours says to ``sink`` and return the answer; raise as :func:`read_message`.

    What it gives back of the mail is not looked at.
    """
    fields = check_bounds(data)
    try:
        said = returned.report(data, _PlainHeaders(), _counting())
    except _LOST:
        raise Refusal(550, "5.6.0", "The message is malformed: the description of a part cannot be read.") from None
    index = json.dumps({**said, "addressed": _addressed(fields)}).encode()
    sink.write(index)
    return {"at": 0, "size": len(index)}


def _not_faxed(file: Found) -> str | None:
    """Return why the converters do not take this file, as a sentence for its sender."""
    try:
        identify_bytes(file.data, file.name, file.media_type)
    except Refused as refused:
        return refused.sentence
    return None


def _counting() -> Callable[[], None]:
    """Return what stops the parser at one part too many."""
    made = itertools.count()  # from 0: the parser makes one to try the factory out

    def count() -> None:
        if next(made) > MAX_PARTS:
            raise Refusal(550, "5.6.0", f"The message has more than {MAX_PARTS} parts.")

    return count


def _said(fields: Sequence[Field]) -> dict[str, Any]:
    """Return what the header says."""
    message_id = _first(_MESSAGE_ID.findall(_value(fields, "message-id")))
    references = _MESSAGE_ID.findall(_value(fields, "references"))[-MAX_REFERENCES:]
    return {
        "sender": _sender(fields),
        "subject": text(_value(fields, "subject"), MAX_SUBJECT),
        "message_id": message_id,
        "thread": " ".join([*references, message_id] if message_id else references),
        "automatic": _automatic(fields),
        "hops": sum(field.name == "received" for field in fields),
        "looped": any(field.name == "x-faxrelay-loop" for field in fields),
        "options": {name: value[:MAX_OPTION] for name in OPTIONS if (value := _value(fields, f"x-fax-{name}"))},
        "requested_number": _value(fields, "x-fax-from")[:MAX_PARSED] or None,
        "addressed": _addressed(fields),
        "bounce": _value(fields, "return-path").replace(" ", "") == "<>",
        "read_receipt": _read_receipt(fields),
    }


def _returned(data: bytes) -> str:
    """Return the header as a report gives it back: whole fields; what servers added goes first where it is long."""
    fields = _BETWEEN_FIELDS.split(data.partition(b"\r\n\r\n")[0])
    told = [_utf8(field).replace("\r\n", "\n") for field in fields]
    if sum(len(field) + 1 for field in told) > MAX_RETURNED:
        told = [field for field in told if not field.lower().startswith(_ADDED)]
    kept, room = [], MAX_RETURNED
    for field in told:
        room -= len(field) + 1
        if room >= 0:
            kept.append(field)
    return "".join(f"{field}\n" for field in kept)


def _read_receipt(fields: Sequence[Field]) -> str:
    """Return the one address that a disposition notification is to go to (RFC 8098 section 2.1), or nothing."""
    wanted = [_utf8(field.value) for field in fields if field.name == "disposition-notification-to"]
    # RFC 8098 section 2.2: an option that is required and not understood, as all are here, forbids an answer.
    required = any(b"required" in field.value.lower() for field in fields if field.name == _DISPOSITION_OPTIONS)
    if len(wanted) != 1 or len(wanted[0]) > MAX_PARSED or required:
        return ""
    found = [address for _name, address in getaddresses(wanted)]
    return found[0] if len(found) == 1 and "@" in found[0] and len(found[0]) <= _LONGEST_ADDRESS else ""


def _addressed(fields: Sequence[Field]) -> list[str]:
    """Return the addresses that a message names as its recipients, each once, in order."""
    values = [_utf8(field.value) for field in fields if field.name in _ADDRESSED]
    found = (address for value in values for _name, address in getaddresses([value]) if "@" in address)
    return list(dict.fromkeys(one for one in found if len(one) <= _LONGEST_ADDRESS))[:MAX_ADDRESSED]


def _sender(fields: Sequence[Field]) -> str:
    """Return the one From address as written (RFC 5322 section 3.6.2); refuse what can be read in two ways."""
    raw = _value(fields, "from")
    if not raw:
        raise Refusal(550, "5.6.0", "The message has no From line: it does not say who sent it.")
    if len(raw) > MAX_PARSED:
        raise Refusal(550, "5.6.0", f"The From line is longer than {MAX_PARSED} characters.")
    unreadable = Refusal(550, "5.6.0", "The From line cannot be read: it has to hold one mail address.")
    try:
        header = policy.default.header_factory("from", raw)
    except _LOST:
        raise unreadable from None
    if any(group.display_name is not None for group in header.groups):
        raise Refusal(550, "5.6.0", "The From line names a group: it has to name one address.")
    if len(header.addresses) > 1:
        raise Refusal(550, "5.6.0", "The From line names more than one address.")
    address = header.addresses[0].addr_spec if header.addresses else ""
    unclear = any(isinstance(defect, (InvalidHeaderDefect, NonPrintableDefect)) for defect in header.defects)
    # An address that the parser put together (from encoded words, comments, spaces) is not what a mail program showed.
    if unclear or not address or address not in raw:
        raise unreadable
    return str(address)


def _automatic(fields: Sequence[Field]) -> bool:
    """Whether a program sent it, which is never answered (RFC 3834 section 2, RFC 2919)."""
    submitted = _value(fields, "auto-submitted").partition(";")[0].strip().lower()
    precedence = {field.value.strip().lower() for field in fields if field.name == "precedence"}
    listed = any(field.name == "list-id" for field in fields)
    return submitted not in {"", "no"} or listed or not precedence.isdisjoint({b"bulk", b"list", b"junk"})


def _value(fields: Sequence[Field], name: str) -> str:
    found = _first([field.value for field in fields if field.name == name])
    return _utf8(found or b"")


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _first(values: Sequence[Any]) -> Any:
    return values[0] if values else None
