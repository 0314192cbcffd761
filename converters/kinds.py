"""What a file is, by its first bytes: names and declared types are claims.

Pure and cheap, so that the SMTP dialogue can ask before it says 250. Sources: the formats' own signatures (ISO 32000
section 7.5.2, TIFF 6.0 section 2, ITU-T T.81 annex B, RFC 2083 section 12.12).

Invariants: a file whose name claims a document or a picture and whose content is none of the supported kinds is
refused, never taken for plain text; text is what decodes as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from converters.charset import looks_like_text
from converters.errors import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of a file's beginning that :func:`detect` looks at.
HEAD = 4096


class Kind(Enum):
    """The kinds of files that can be faxed."""

    PDF = "pdf"
    TIFF = "tiff"
    JPEG = "jpeg"
    PNG = "png"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Format:
    """A kind with the claims that go with it: suffixes of names, media types, and the test of the first bytes."""

    kind: Kind
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    matches: Callable[[bytes], bool]
    people_call_it: str


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


#: In the order of the tests. Text is not here: it has no signature and is what is left.
FORMATS = (
    Format(Kind.TIFF, (".tif", ".tiff"), ("image/tiff",), _starts(b"II*\0", b"MM\0*"), "a TIFF picture"),
    Format(Kind.JPEG, (".jpg", ".jpeg", ".jpe"), ("image/jpeg",), _starts(b"\xff\xd8\xff"), "a JPEG picture"),
    Format(Kind.PNG, (".png",), ("image/png",), _starts(b"\x89PNG\r\n\x1a\n"), "a PNG picture"),
)
#: PDF readers look for the header in the first 1024 bytes (ISO 32000-1 annex H, note 13); any other signature goes
#: first.
_PDF = Format(Kind.PDF, (".pdf",), ("application/pdf",), lambda head: b"%PDF-" in head[:1024], "a PDF")

TEXT_SUFFIXES = (".txt", ".text", ".csv", ".md", ".log", ".asc")

#: Types that are known and not faxed, so that a refusal can name them. ZIP and OLE are named by suffix below.
#: Comments are skipped without a way back (atomic, possessive): a file of nothing but comments would take exponential
#: time otherwise.
_KNOWN: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), name)
    for pattern, name in (
        (rb"%!PS|\x04%!PS|\x1b%-12345X|\xc5\xd0\xd3\xc6", "a PostScript program"),
        (rb"\s*(<\?xml[^>]*>)?\s*(?:(?><!--.*?-->)\s*+)*+<!doctype html|\s*<html", "a web page"),
        (rb"\s*(<\?xml[^>]*>)?\s*(?:(?><!--.*?-->)\s*+)*+(<!doctype svg[^>]*>\s*)?<svg", "an SVG drawing"),
        (rb"\s*<\?xml", "an XML file"),
        (rb"\{\\rtf", "a rich text document"),
        (rb"GIF8", "a GIF picture"),
        (rb"BM.{12}[\x0c\x28\x6c\x7c]\0\0\0", "a BMP picture"),
        (rb"RIFF....WEBP", "a WebP picture"),
        (rb"....ftyp(hei|hev|mif1|msf1)", "a HEIC picture"),
        (rb"....ftypavi[fs]", "an AVIF picture"),
        (rb"....ftyp", "a video"),
        (rb"ID3|\xff\xfb|OggS|fLaC|RIFF....WAVE", "a sound file"),
        (rb"MZ|\x7fELF|\xca\xfe\xba\xbe|#!", "a program"),
        (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", "an archive"),
        (rb"BEGIN:VCARD", "a business card"),
        (rb"BEGIN:VCALENDAR", "a calendar entry"),
        (rb"II\+\0|MM\0\+", "a BigTIFF picture"),
    )
)
_OFFICE = {
    ".docx": "a Word document", ".docm": "a Word document", ".doc": "a Word document", ".odt": "a text document",
    ".xlsx": "an Excel workbook", ".xlsm": "an Excel workbook", ".xls": "an Excel workbook", ".ods": "a spreadsheet",
    ".pptx": "a PowerPoint presentation", ".ppt": "a PowerPoint presentation", ".odp": "a presentation",
    ".msg": "an Outlook message",
}  # fmt: skip


def detect(head: bytes, name: str = "", declared: str = "") -> Kind:
    """Return what the file is, by its first bytes (:data:`HEAD` of them are enough).

    ``name`` and ``declared`` (a media type) are the sender's claims. Raises :class:`Refused`: ``EMPTY``,
    ``UNSUPPORTED`` naming the type, or ``MISMATCH`` where the claim names a kind that we take and the content is
    something else that we do not.

    >>> detect(b"%PDF-1.7", "photo.jpg").value
    'pdf'
    """
    if not head:
        raise Refused(Reason.EMPTY, name)
    for entry in FORMATS:
        if entry.matches(head):
            return entry.kind
    known = _known(head, name)
    claimed = _claimed(name, declared)
    if known is None and _PDF.matches(head):
        return Kind.PDF
    if known is not None:
        if claimed is not None:
            raise Refused(Reason.MISMATCH, name, detail=known)
        raise Refused(Reason.UNSUPPORTED, name, detail=known)
    if claimed is not None:
        raise Refused(Reason.DAMAGED, name, detail=f": it does not begin as {claimed.people_call_it} does")
    if looks_like_text(head):
        return Kind.TEXT
    raise Refused(Reason.UNSUPPORTED, name, detail="a file of an unknown type")


def _claimed(name: str, declared: str) -> Format | None:
    """Return the format that the name claims or, where the name is silent, the declared type."""
    lowered = name.lower()
    media_type = declared.partition(";")[0].strip().lower()
    for entry in (_PDF, *FORMATS):
        if lowered.endswith(entry.suffixes):
            return entry
    if lowered.endswith(TEXT_SUFFIXES):
        return None
    return next((entry for entry in (_PDF, *FORMATS) if media_type in entry.media_types), None)


def _known(head: bytes, name: str) -> str | None:
    """Return what people call this type that is known and not faxed, or ``None``."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
        suffix = re.search(r"\.[a-z]+$", name.lower())
        other = "an Office document" if head.startswith(b"\xd0") else "a ZIP archive"
        return _OFFICE.get(suffix.group(), other) if suffix else other
    return next((called for pattern, called in _KNOWN if pattern.match(head)), None)
