"""What is inside a ZIP or OLE file: the kind for sure, and what forbids to open it. Meant for a confined child.

Only directories are read, nothing is unpacked but an OpenDocument manifest. Sources: the ZIP application note 6.3,
ECMA-376 part 2 (packages), OpenDocument 1.3 part 2 (manifest, encryption), MS-CFB section 2.6 (directory entries),
MS-OFFCRYPTO section 2.3 (encrypted packages), MS-DOC section 2.5.2 (FibBase), MS-XLS section 2.4.117 (FilePass),
MS-PPT section 2.3.2 (CurrentUserAtom).
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from converters.errors import Reason, Refused
from converters.kinds import HEAD, OLE, Kind, called, detect

if TYPE_CHECKING:
    from typing import BinaryIO

#: Entries of a package and the bytes that they claim to have unpacked: far above any honest document.
MOST_ENTRIES: Final = 10_000
MOST_UNPACKED: Final = 500_000_000
#: How many times smaller than its content a package may be: text packs to a tenth, a bomb to a thousandth.
MOST_RATIO: Final = 300
_SMALL: Final = 20_000_000
_MANIFEST_BYTES: Final = 1_000_000
_ENCRYPTED_ENTRY: Final = 0x1
_ODF: Final = {"text": Kind.ODT, "spreadsheet": Kind.ODS, "presentation": Kind.ODP}
_FOLDERS: Final = {"word/document": Kind.DOCX, "xl/workbook": Kind.XLSX, "ppt/presentation": Kind.PPTX}
_STREAMS: Final = {
    "WordDocument": Kind.DOC,
    "Workbook": Kind.XLS,
    "Book": Kind.XLS,
    "PowerPoint Document": Kind.PPT,
}


def identify(stream: BinaryIO, name: str = "", declared: str = "") -> Kind:
    """Return what a file is, its inside seen where it has one. ``name`` and ``declared`` are claims.

    Raises :class:`Refused` as :func:`converters.kinds.detect` does, and ``ENCRYPTED``, ``DAMAGED``, ``TOO_LARGE``.
    """
    stream.seek(0)
    head = stream.read(HEAD)
    kind = detect(head, name, declared)
    if not kind.office or kind is Kind.RTF:
        return kind
    try:
        return _in_ole(stream, head, name) if head.startswith(OLE) else _in_zip(stream, name)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as fault:
        # What zipfile raises on damaged packages; it has no one class for them.
        raise Refused(Reason.DAMAGED, name) from fault


def _in_zip(stream: BinaryIO, name: str) -> Kind:
    with zipfile.ZipFile(stream) as package:
        names = _checked(package, stream.seek(0, os.SEEK_END), name)
        if "mimetype" in names:
            return _odf(package, names, name)
        if "[Content_Types].xml" in names:
            for start, kind in _FOLDERS.items():
                if start + ".xml" in names or any(
                    entry.startswith(start) and entry.endswith(".xml") for entry in names
                ):
                    return kind
            if "xl/workbook.bin" in names:
                raise Refused(Reason.UNSUPPORTED, name, detail="a binary Excel workbook")
    if called(name, ""):
        raise Refused(Reason.DAMAGED, name)
    raise Refused(Reason.UNSUPPORTED, name, detail="a ZIP archive")


def _checked(package: zipfile.ZipFile, size: int, name: str) -> set[str]:
    """Return the names of a package's entries, once they claim nothing absurd. ``size``: bytes of the package."""
    entries = package.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES:
        raise Refused(Reason.TOO_LARGE, name, detail=f" ({len(entries)} parts)")
    if unpacked > MOST_UNPACKED or (unpacked > _SMALL and unpacked > MOST_RATIO * size):
        raise Refused(Reason.TOO_LARGE, name, detail=f" ({unpacked // 1_000_000} MB unpacked)")
    if any(entry.flag_bits & _ENCRYPTED_ENTRY for entry in entries):
        raise Refused(Reason.ENCRYPTED, name)
    names = {entry.filename for entry in entries}
    if len(names) < len(entries):
        raise Refused(Reason.DAMAGED, name, detail=" (a part is there twice)")
    return names


def _odf(package: zipfile.ZipFile, names: set[str], name: str) -> Kind:
    with package.open("mimetype") as entry:
        media_type = entry.read(100).decode("ascii", "replace").strip()
    if "META-INF/manifest.xml" in names:
        with package.open("META-INF/manifest.xml") as entry:
            if b"encryption-data" in entry.read(_MANIFEST_BYTES):
                raise Refused(Reason.ENCRYPTED, name)
    kind = media_type.removeprefix("application/vnd.oasis.opendocument.").removesuffix("-template")
    if kind not in _ODF or "content.xml" not in names:
        raise Refused(Reason.UNSUPPORTED, name, detail=called(name, "a ZIP archive"))
    return _ODF[kind]


def _in_ole(stream: BinaryIO, head: bytes, name: str) -> Kind:
    stream.seek(0)
    data = stream.read()
    sector = 1 << min(struct.unpack_from("<H", head, 30)[0], 16)
    if _entry(data, "EncryptedPackage") is not None or _entry(data, "EncryptedSummary") is not None:
        raise Refused(Reason.ENCRYPTED, name)
    for stream_name, kind in _STREAMS.items():
        first = _entry(data, stream_name)
        if first is not None:
            if _protected(data, kind, (first + 1) * sector):
                raise Refused(Reason.ENCRYPTED, name)
            return kind
    if called(name, ""):
        raise Refused(Reason.DAMAGED, name)
    raise Refused(Reason.UNSUPPORTED, name, detail="an Office document of an unknown type")


def _entry(data: bytes, name: str) -> int | None:
    """Return the first sector of a stream: its directory entry stands at a multiple of 128 bytes."""
    written = name.encode("utf-16-le") + b"\0\0"
    at = data.find(written)
    while at >= 0:
        if at % 128 == 0 and data[at + 64 : at + 66] == len(written).to_bytes(2, "little"):
            return int.from_bytes(data[at + 116 : at + 120], "little")
        at = data.find(written, at + 2)
    return None


def _protected(data: bytes, kind: Kind, at: int) -> bool:
    """Whether a binary document, whose stream begins at ``at``, wants a password."""
    if kind is Kind.DOC:
        return data[at : at + 2] == b"\xec\xa5" and bool(int.from_bytes(data[at + 10 : at + 12], "little") & 0x0100)
    if kind is Kind.PPT:
        return b"\xdf\xc4\xd1\xf3" in data
    for _ in range(12):  # BOF, then FilePass among the first records
        record, size = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        if record == 0x002F:  # noqa: PLR2004  FilePass
            return True
        at += 4 + size
    return False


def identify_bytes(data: bytes, name: str = "", declared: str = "") -> Kind:
    """Return what a file in memory is, as :func:`identify` does."""
    return identify(io.BytesIO(data), name, declared)
