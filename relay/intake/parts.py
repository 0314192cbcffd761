"""Which parts of a mail become the fax. Runs in the confined child; pure.

Source: RFC 2046 (multipart, message), RFC 2183 (Content-Disposition), RFC 2387 (related), RFC 1847 and 3156 (signed,
encrypted), RFC 8551 (S/MIME). Attachments count in their order. The bodies, inline images that an HTML body refers
to, signatures, calendar parts and vCards do not; ``winmail.dat`` is unpacked (:mod:`.tnef`). What cannot be opened
here (encrypted, forwarded, zip, damaged) fails the whole mail with a reason that names the file: a fax with a part
missing would be a false statement.
"""

from __future__ import annotations

import base64
import contextlib
import mimetypes
import re
import unicodedata
from dataclasses import dataclass
from email import errors
from email.header import decode_header, make_header
from email.utils import collapse_rfc2231_value
from typing import TYPE_CHECKING, Final, cast

from relay.errors import Refusal
from relay.intake.bounds import SINGLETONS
from relay.intake.tnef import Damaged, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from email.message import Message

MAX_PARTS: Final = 200
#: Bytes of the header of one part: its parameters are parsed by loops that are quadratic.
MAX_PART_HEADER: Final = 8 * 1024
#: Characters of a file's name.
MAX_NAME: Final = 100

#: Bytes of the pictures that are put into a mail's text, each time that it shows them.
MAX_INLINE: Final = 20_000_000
_DRAWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml"})
#: Media types that are nothing to fax, with what a log line calls them.
_NOTHING: Final = {
    "application/pkcs7-signature": "signature",
    "application/x-pkcs7-signature": "signature",
    "application/pgp-signature": "signature",
    "application/pgp-keys": "key",
    "text/calendar": "calendar",
    "application/ics": "calendar",
    "text/vcard": "card",
    "text/x-vcard": "card",
    "text/directory": "card",
    "application/applefile": "resource fork",
    "message/delivery-status": "report",
    "message/disposition-notification": "report",
    "message/feedback-report": "report",
    "text/rfc822-headers": "report",
}
_ENCRYPTED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted"})
_ZIP = frozenset({"application/zip", "application/x-zip-compressed", "application/x-zip"})
_TNEF = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_BODIES = frozenset({"text/plain", "text/html", "text/enriched", "text/x-amp-html"})
_DAMAGE = (
    errors.NoBoundaryInMultipartDefect,
    errors.StartBoundaryNotFoundDefect,
    errors.CloseBoundaryNotFoundDefect,
    errors.MultipartInvariantViolationDefect,
    errors.InvalidBase64CharactersDefect,
    errors.InvalidBase64PaddingDefect,
    errors.InvalidBase64LengthDefect,
)
_CID = re.compile(rb"cid:([^\"'<>\s)]{1,998})", re.IGNORECASE)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the mail. ``name`` is for people, never a path; ``media_type`` as declared."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """The files in their order, what was passed over, in words, and the text of the mail in UTF-8, if it has one."""

    files: tuple[Found, ...]
    skipped: tuple[str, ...]
    body: Found | None = None


def contents(message: Message) -> Contents:
    """Return what a parsed mail holds; raise :class:`relay.errors.Refusal` for what cannot be opened."""
    leaves = list(_leaves(message))
    for part in leaves:
        _refuse_closed(part)
    mentioned = frozenset().union(*(_mentioned(part) for part in leaves if _is_body(part)))
    files: list[Found] = []
    skipped: list[str] = []
    for part in leaves:
        passed = _passed_over(part, mentioned)
        if passed:
            skipped.append(passed)
            continue
        name = file_name(part) or f"attachment {len(files) + 1}"
        found = Found(name, part.get_content_type()[:MAX_NAME], _decoded(part, name))
        if _is_pack(found.media_type, name):
            packed = _unpacked(found)
            files += packed
            skipped += [] if packed else ["body"]
        else:
            files.append(found)
    if empty := next((file for file in files if not file.data), None):
        raise Refusal(550, "5.6.0", f"The attachment {shown(empty.name)} is empty.")
    return Contents(tuple(files), tuple(skipped), _body(leaves))


def text(raw: str, limit: int) -> str:
    """Return a header's text as people read it: encoded words (RFC 2047) decoded, one line, no invisible characters."""
    value = raw[: limit * 8]
    if "=?" in value:
        # A charset that does not exist leaves the raw words: they are all there is.
        with contextlib.suppress(errors.MessageError, LookupError, ValueError):
            value = str(make_header(decode_header(value)))
    kept = "".join(c if unicodedata.category(c) not in _INVISIBLE else " " for c in value)
    return " ".join(kept.split())[:limit]


def file_name(part: Message) -> str:
    """Return the last component of the part's file name, '' where it has none."""
    name: object = part.get_param("filename", None, "content-disposition")
    name = part.get_param("name", None, "content-type") if name is None else name
    if name is None:
        return ""
    try:
        plain = text(collapse_rfc2231_value(name), 10 * MAX_NAME)  # type: ignore[arg-type]  # a triple or a string
    except (LookupError, ValueError):
        return ""
    return plain_name(plain)


def plain_name(written: str) -> str:
    """Return the last component of a file's name, shortened so that its suffix stays."""
    plain = re.split(r"[/\\]", written)[-1].strip()
    stem, dot, suffix = plain.rpartition(".")
    if len(plain) > MAX_NAME and dot and len(suffix) <= 10:  # noqa: PLR2004  so long is no suffix
        return stem[: MAX_NAME - len(suffix) - 1] + dot + suffix
    return plain[:MAX_NAME]


def shown(name: str) -> str:
    """Return a file's name as a sentence shows it."""
    return '"' + name.replace('"', "'") + '"'


def _leaves(message: Message) -> Iterator[Message]:
    """Yield the parts that hold no others, in order."""
    _check_header(message)
    for defect in message.defects:
        if isinstance(defect, _DAMAGE):
            raise Refusal(550, "5.6.0", "The message is damaged: it was cut off or its parts do not fit together.")
    kind = message.get_content_type()
    if kind == "multipart/encrypted":
        raise _encrypted()
    if message.get_content_maintype() != "multipart" or not message.is_multipart():
        yield message
        return
    parts = cast("list[Message]", message.get_payload())
    if kind == "multipart/signed":
        # RFC 1847 section 2.1: the first part is what was signed, the second the signature.
        yield from _leaves(parts[0])
    else:
        for part in parts:
            yield from _leaves(part)


def _check_header(part: Message) -> None:
    names = [name.lower() for name in part.keys()]  # noqa: SIM118  a Message is no mapping: keys() repeats
    twice = next((name for name in names if name in SINGLETONS and names.count(name) > 1), None)
    if twice:
        raise Refusal(550, "5.6.0", f"The message is malformed: a part has more than one {twice.title()} line.")
    size = sum(len(name) + len(str(value)) for name, value in part.items() if name.lower().startswith("content-"))
    if size > MAX_PART_HEADER:
        raise Refusal(
            550, "5.6.0", f"The message is malformed: a part's description exceeds {MAX_PART_HEADER // 1024} KB."
        )


def _refuse_closed(part: Message) -> None:
    """Raise for a part that nobody here can open."""
    kind, name = part.get_content_type(), file_name(part)
    _refuse_archive(kind, name)
    if part.get_content_maintype() == "message" and kind not in _NOTHING:
        sentence = f"The attachment {shown(name or 'message')} is a forwarded mail: attach the documents themselves."
        raise Refusal(550, "5.6.1", sentence)


def _refuse_archive(kind: str, name: str) -> None:
    """Raise for a file that is a shell around others."""
    if kind in _ENCRYPTED or name.lower().endswith(".p7m"):
        raise _encrypted()
    if kind in _ZIP or name.lower().endswith(".zip"):
        raise Refusal(550, "5.6.1", f"The attachment {shown(name)} is a zip archive: attach the documents themselves.")


def _is_pack(kind: str, name: str) -> bool:
    return kind in _TNEF or name.lower() == "winmail.dat"


def _unpacked(pack: Found) -> list[Found]:
    """Return the files of a winmail.dat; none where it holds the text alone."""
    try:
        packed = unpacked(pack.data)
    except Damaged:
        sentence = (
            f"The files are packed in {pack.name}, which cannot be opened: "
            "set the format of the mail to HTML or plain text and send it again."
        )
        raise Refusal(550, "5.6.1", sentence) from None
    if len(packed) > MAX_PARTS:
        raise Refusal(550, "5.6.0", f"The message has more than {MAX_PARTS} parts.")
    found = []
    for number, file in enumerate(packed, 1):
        name = plain_name(text(file.name, 10 * MAX_NAME)) or f"attachment {number}"
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        _refuse_archive(kind, name)
        if _is_pack(kind, name):
            told = f"The attachment {shown(name)} is packed twice: attach the documents themselves."
            raise Refusal(550, "5.6.1", told)
        found.append(Found(name, kind, file.data))
    return found


def _encrypted() -> Refusal:
    return Refusal(550, "5.6.1", "The mail is encrypted and cannot be opened here: send it without encryption.")


def _passed_over(part: Message, mentioned: frozenset[str]) -> str:
    """Return what the part is, where it is nothing to fax; else ''."""
    if _is_body(part):
        return "body"
    if part.get_content_maintype() == "image" and _content_id(part) in mentioned:
        return "inline image"
    if file_name(part).lower().endswith((".ics", ".vcf")):
        return "calendar or card"
    return _NOTHING.get(part.get_content_type(), "")


def _is_body(part: Message) -> bool:
    return part.get_content_type() in _BODIES and part.get_content_disposition() != "attachment" and not file_name(part)


def _body(leaves: Sequence[Message]) -> Found | None:
    """Return the text of the mail in UTF-8: the first plain text that is a body, else the first web page."""
    bodies = [part for part in leaves if _is_body(part)]
    for kind, name in (("text/plain", "text.txt"), ("text/html", "text.html")):
        for part in bodies:
            if part.get_content_type() != kind:
                continue
            words = _words(part).strip()
            if words and kind == "text/html":
                words = _with_pictures(words, leaves)
            if words:
                return Found(name, kind if kind == "text/plain" else "text/html; charset=utf-8", words.encode())
            break
    return None


def _words(part: Message) -> str:
    data = _decoded(part, "the text of the mail")
    try:
        return data.decode(part.get_content_charset("us-ascii"), "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _with_pictures(page: str, leaves: Sequence[Message]) -> str:
    """Return a web page with the mail's own pictures (RFC 2392) inside: nothing of it has to be fetched then."""
    pictures = {_content_id(part): part for part in leaves if part.get_content_type() in _DRAWN and _content_id(part)}
    room = MAX_INLINE

    def put(found: re.Match[str]) -> str:
        nonlocal room
        part = pictures.get(found[1].replace("%40", "@").lower())
        data = _decoded(part, "a picture of the mail") if part is not None else b""
        if part is None or len(data) > room:
            return found[0]
        room -= len(data)
        return f"data:{part.get_content_type()};base64,{base64.b64encode(data).decode()}"

    return re.sub(_CID.pattern.decode(), put, page, flags=re.IGNORECASE)


def _mentioned(body: Message) -> frozenset[str]:
    """Return the Content-IDs that an HTML body refers to (RFC 2392)."""
    if body.get_content_type() != "text/html":
        return frozenset()
    html = _decoded(body, "the text of the mail")
    return frozenset(found.decode("ascii", "replace").replace("%40", "@").lower() for found in _CID.findall(html))


def _content_id(part: Message) -> str:
    return str(part.get("content-id", "")).strip().strip("<>").lower()


def _decoded(part: Message, name: str) -> bytes:
    data = part.get_payload(decode=True)
    if any(isinstance(defect, _DAMAGE) for defect in part.defects) or not isinstance(data, bytes):
        raise Refusal(550, "5.6.0", f"The attachment {shown(name)} is damaged: its encoding has errors.")
    return data
