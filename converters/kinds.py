"""What a file is, by its first bytes: names and declared types are claims.

Pure and cheap, so that it can be asked before a file is kept. Sources: the formats' own signatures (ISO 32000 section
7.5.2, TIFF 6.0 section 2, ITU-T T.81 annex B, RFC 2083 section 12.12, RFC 9649 section 2.4, ISO/IEC 14496-12 section
4.3, the ZIP application note section 4.3.7, OpenDocument 1.3 part 2 section 3.3, MS-CFB section 2.2).

Invariants: a file whose name claims a document or a picture and whose content is none of the supported kinds is
refused, never taken for plain text; text is what decodes as text. What a program has to open (Office, a web page, a
drawing) is refused under the name of a picture, a PDF or a text: no honest program writes that. Inside a ZIP or OLE
file the kind is the best guess of the first bytes; :func:`converters.containers.identify` makes sure.
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
ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class Family(Enum):
    """What reads a kind: claims within a family are interchangeable."""

    PDF = "pdf"
    PICTURE = "picture"
    DRAWING = "drawing"
    DOCUMENT = "document"
    TEXT = "text"


class Kind(Enum):
    """The kinds of files that can be faxed; an Office kind's value is its suffix."""

    PDF = "pdf"
    TIFF = "tiff"
    JPEG = "jpeg"
    PNG = "png"
    GIF = "gif"
    BMP = "bmp"
    WEBP = "webp"
    HEIC = "heic"
    AVIF = "avif"
    SVG = "svg"
    HTML = "html"
    TEXT = "text"
    RTF = "rtf"
    DOC = "doc"
    DOCX = "docx"
    ODT = "odt"
    XLS = "xls"
    XLSX = "xlsx"
    ODS = "ods"
    PPT = "ppt"
    PPTX = "pptx"
    ODP = "odp"

    @property
    def office(self) -> bool:
        """Whether an office program has to open it."""
        return self in _OFFICE

    @property
    def people_call_it(self) -> str:
        """What a sentence calls it."""
        return _BY_KIND[self].people_call_it


@dataclass(frozen=True, slots=True)
class Format:
    """A kind with the claims that go with it: suffixes of names, media types, and the test of the first bytes."""

    kind: Kind
    family: Family
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    matches: Callable[[bytes], bool]
    people_call_it: str


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _reads(pattern: bytes) -> Callable[[bytes], bool]:
    compiled = re.compile(pattern, re.DOTALL | re.IGNORECASE)
    return lambda head: compiled.match(head) is not None


def _brand(*wanted: bytes, beside: bytes = b"") -> Callable[[bytes], bool]:
    """Return the test of an ISO base media file: one of its brands is wanted, and ``beside`` is none of them."""

    def test(head: bytes) -> bool:
        if head[4:8] != b"ftyp":
            return False
        size = min(int.from_bytes(head[:4], "big"), 512)
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, size, 4))}
        return not brands.isdisjoint(wanted) and beside not in brands

    return test


def _odf(kind: bytes) -> Callable[[bytes], bool]:
    """Return the test of an OpenDocument file: its first entry is its type, stored as it is."""

    def test(head: bytes) -> bool:
        if not head.startswith(ZIP) or head[30:38] != b"mimetype":
            return False
        start = 38 + int.from_bytes(head[28:30], "little")
        return head.startswith(b"application/vnd.oasis.opendocument." + kind, start)

    return test


#: Comments are skipped without a way back (atomic, possessive): a file of nothing but comments would take exponential
#: time otherwise.
_PROLOGUE = rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>)?\s*(?:(?><!--.*?-->)\s*+)*+"
_PICTURE, _DOCUMENT = Family.PICTURE, Family.DOCUMENT
_OOXML, _MS = "application/vnd.openxmlformats-officedocument.", "application/vnd.ms-"
_ODF = "application/vnd.oasis.opendocument."
_NOT_BY_HEAD = _starts()

#: In the order of the tests.
FORMATS = (
    Format(Kind.TIFF, _PICTURE, (".tif", ".tiff"), ("image/tiff",), _starts(b"II*\0", b"MM\0*"), "a TIFF picture"),
    Format(
        Kind.JPEG, _PICTURE, (".jpg", ".jpeg", ".jpe"), ("image/jpeg",), _starts(b"\xff\xd8\xff"), "a JPEG picture"
    ),
    Format(Kind.PNG, _PICTURE, (".png",), ("image/png",), _starts(b"\x89PNG\r\n\x1a\n"), "a PNG picture"),
    Format(Kind.GIF, _PICTURE, (".gif",), ("image/gif",), _starts(b"GIF87a", b"GIF89a"), "a GIF picture"),
    Format(
        Kind.BMP, _PICTURE, (".bmp", ".dib"), ("image/bmp", "image/x-ms-bmp"),
        _reads(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"), "a BMP picture",
    ),
    Format(Kind.WEBP, _PICTURE, (".webp",), ("image/webp",), _reads(rb"RIFF....WEBP"), "a WebP picture"),
    Format(Kind.AVIF, _PICTURE, (".avif",), ("image/avif",), _brand(b"avif", b"avis"), "an AVIF picture"),
    Format(
        Kind.HEIC, _PICTURE, (".heic", ".heif", ".hif"), ("image/heic", "image/heif"),
        _brand(b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", beside=b"qt  "), "a HEIC picture",
    ),
    Format(
        Kind.SVG, Family.DRAWING, (".svg",), ("image/svg+xml",),
        _reads(_PROLOGUE + rb"(?:<!doctype\s+svg[^>\[]*(?:\[[^\]]*\]\s*)?>\s*)?(?:(?><!--.*?-->)\s*+)*+<svg[\s>]"),
        "an SVG drawing",
    ),
    Format(
        Kind.HTML, _DOCUMENT, (".html", ".htm", ".xhtml"), ("text/html", "application/xhtml+xml"),
        _reads(_PROLOGUE + rb"(?:<!doctype html|<html[\s>])"), "a web page",
    ),
    Format(Kind.RTF, _DOCUMENT, (".rtf",), ("application/rtf", "text/rtf"), _starts(b"{\\rtf"), "a rich text document"),
    Format(Kind.ODT, _DOCUMENT, (".odt", ".ott"), (_ODF + "text",), _odf(b"text"), "a text document"),
    Format(Kind.ODS, _DOCUMENT, (".ods", ".ots"), (_ODF + "spreadsheet",), _odf(b"spreadsheet"), "a spreadsheet"),
    Format(Kind.ODP, _DOCUMENT, (".odp", ".otp"), (_ODF + "presentation",), _odf(b"presentation"), "a presentation"),
    Format(
        Kind.DOCX, _DOCUMENT, (".docx", ".docm", ".dotx", ".dotm"),
        (_OOXML + "wordprocessingml.document", _MS + "word.document.macroenabled.12"), _NOT_BY_HEAD, "a Word document",
    ),
    Format(
        Kind.XLSX, _DOCUMENT, (".xlsx", ".xlsm", ".xltx", ".xltm"),
        (_OOXML + "spreadsheetml.sheet", _MS + "excel.sheet.macroenabled.12"), _NOT_BY_HEAD, "an Excel workbook",
    ),
    Format(
        Kind.PPTX, _DOCUMENT, (".pptx", ".pptm", ".ppsx", ".potx"),
        (_OOXML + "presentationml.presentation", _MS + "powerpoint.presentation.macroenabled.12"), _NOT_BY_HEAD,
        "a PowerPoint presentation",
    ),
    Format(Kind.DOC, _DOCUMENT, (".doc", ".dot"), ("application/msword",), _NOT_BY_HEAD, "a Word document"),
    Format(Kind.XLS, _DOCUMENT, (".xls", ".xlt"), (_MS + "excel",), _NOT_BY_HEAD, "an Excel workbook"),
    Format(
        Kind.PPT, _DOCUMENT, (".ppt", ".pps"), (_MS + "powerpoint",), _NOT_BY_HEAD, "a PowerPoint presentation"
    ),
)  # fmt: skip
#: PDF readers look for the header in the first 1024 bytes (ISO 32000-1 annex H, note 13); any other signature goes
#: first.
_PDF = Format(
    Kind.PDF, Family.PDF, (".pdf",), ("application/pdf",), lambda head: b"%PDF-" in head[:1024], "a PDF"
)  # fmt: skip
#: Text has no signature and is what is left.
_TEXT = Format(
    Kind.TEXT, Family.TEXT, (".txt", ".text", ".csv", ".tsv", ".md", ".markdown", ".log", ".asc"),
    ("text/plain", "text/csv", "text/markdown"), _NOT_BY_HEAD, "a text",
)  # fmt: skip
_BY_KIND = {entry.kind: entry for entry in (_PDF, *FORMATS, _TEXT)}
_IN_ZIP = frozenset({Kind.DOCX, Kind.XLSX, Kind.PPTX, Kind.ODT, Kind.ODS, Kind.ODP})
_IN_OLE = frozenset({Kind.DOC, Kind.XLS, Kind.PPT})
_OFFICE = _IN_ZIP | _IN_OLE | {Kind.RTF}
#: Markdown may begin with HTML of its own (CommonMark section 4.6).
_MARKDOWN = (".md", ".markdown")

#: Types that are known and not faxed, so that a refusal can name them.
_KNOWN: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), name)
    for pattern, name in (
        (rb"%!PS|\x04%!PS|\x1b%-12345X|\xc5\xd0\xd3\xc6", "a PostScript program"),
        (rb"(?:\xef\xbb\xbf)?\s*<\?xml", "an XML file"),
        (rb"MIME-Version: 1\.0", "a web archive or a saved mail"),
        (rb"....ftyp", "a video"),
        (rb"ID3|\xff\xfb|OggS|fLaC|RIFF....WAVE", "a sound file"),
        (rb"MZ|\x7fELF|\xca\xfe\xba\xbe|#!", "a program"),
        (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", "an archive"),
        (rb"BEGIN:VCARD", "a business card"),
        (rb"BEGIN:VCALENDAR", "a calendar entry"),
        (rb"II\+\0|MM\0\+", "a BigTIFF picture"),
    )
)


def detect(head: bytes, name: str = "", declared: str = "") -> Kind:
    """Return what a file is by its beginning, at least :data:`HEAD` bytes of it or all.

    ``name`` and ``declared`` (a media type) are the sender's claims. Raises :class:`Refused`: ``EMPTY``,
    ``UNSUPPORTED`` naming the type, or ``MISMATCH`` where the claim names a kind that we take and the content is
    something else that we do not, or that no honest program would give that name.

    >>> detect(b"%PDF-1.7", "photo.jpg").value
    'pdf'
    """
    if not head:
        raise Refused(Reason.EMPTY, name)
    claimed = _claimed(name, declared)
    found = next((entry for entry in FORMATS if entry.matches(head)), None) or _contained(head, name, claimed)
    if found is not None:
        return _honest(found, claimed, name)
    known = next((called for pattern, called in _KNOWN if pattern.match(head)), None)
    if known is None and _PDF.matches(head):
        return Kind.PDF
    if known is not None:
        raise Refused(Reason.MISMATCH if _says_much(claimed) else Reason.UNSUPPORTED, name, detail=known)
    if claimed is not None and claimed.kind is Kind.HTML and looks_like_text(head):
        return Kind.HTML
    if claimed is not None and _says_much(claimed):
        raise Refused(Reason.DAMAGED, name, detail=f": it does not begin as {claimed.people_call_it} does")
    if looks_like_text(head):
        return Kind.TEXT
    raise Refused(Reason.UNSUPPORTED, name, detail="a file of an unknown type")


def called(name: str, otherwise: str) -> str:
    """Return what people call a file by the suffix of its name, for a container whose content is none of ours."""
    if name.lower().endswith(".msg"):
        return "an Outlook message"
    claimed = _claimed(name, "")
    return claimed.people_call_it if claimed is not None and claimed.kind in _IN_ZIP | _IN_OLE else otherwise


def _honest(found: Format, claimed: Format | None, name: str) -> Kind:
    """Return the kind, unless it has to be opened by a program and goes under the name of something harmless."""
    if found.family not in {Family.DRAWING, Family.DOCUMENT} or claimed is None or claimed.family is found.family:
        return found.kind
    if claimed.kind is Kind.TEXT and name.lower().endswith(_MARKDOWN) and found.kind in {Kind.HTML, Kind.SVG}:
        return Kind.TEXT
    raise Refused(Reason.MISMATCH, name, detail=found.people_call_it)


def _says_much(claimed: Format | None) -> bool:
    """Whether the claim names a kind with a signature; a text has none, and anything is declared one."""
    return claimed is not None and claimed.kind is not Kind.TEXT


def _contained(head: bytes, name: str, claimed: Format | None) -> Format | None:
    """Return the best guess at what a ZIP or OLE file is, ``None`` for a file that is neither."""
    if head.startswith(OLE):
        if name.lower().endswith(".msg"):
            raise Refused(Reason.UNSUPPORTED, name, detail="an Outlook message")
        return claimed if claimed is not None and claimed.kind in _IN_OLE else _BY_KIND[Kind.DOC]
    if not head.startswith((ZIP, _EMPTY_ZIP)):
        return None
    for folder, kind in ((b"word/", Kind.DOCX), (b"xl/", Kind.XLSX), (b"ppt/", Kind.PPTX)):
        if folder in head:
            return _BY_KIND[kind]
    if claimed is not None and claimed.kind in _IN_ZIP:
        return claimed
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        return _BY_KIND[Kind.DOCX]
    if _says_much(claimed):
        raise Refused(Reason.MISMATCH, name, detail="a ZIP archive")
    raise Refused(Reason.UNSUPPORTED, name, detail="a ZIP archive")


def _claimed(name: str, declared: str) -> Format | None:
    """Return the format that the name claims or, where the name is silent, the declared type."""
    lowered = name.lower()
    media_type = declared.partition(";")[0].strip().lower()
    everything = (_PDF, *FORMATS, _TEXT)
    return next((entry for entry in everything if lowered.endswith(entry.suffixes)), None) or next(
        (entry for entry in everything if media_type in entry.media_types), None
    )
