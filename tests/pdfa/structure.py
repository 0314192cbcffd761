"""File structure: ISO 19005-2 section 6.1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import pikepdf
from pikepdf import Name

from .rules import File, rule

_FILTERS = {
    "/ASCIIHexDecode", "/ASCII85Decode", "/FlateDecode", "/RunLengthDecode", "/CCITTFaxDecode", "/DCTDecode",
}  # fmt: skip


@rule("6.1.2", 1)
def header(file: File) -> Iterator[str]:
    """The file begins with %PDF-1.n and an end of line."""
    if not re.match(rb"%PDF-1\.[0-7][\r\n]", file.data):
        yield repr(file.data[:12])


@rule("6.1.2", 2)
def binary_comment(file: File) -> Iterator[str]:
    """A comment of four bytes over 127 follows at once."""
    if not re.match(rb"%PDF-1\.[0-7](\r\n|\r|\n)%[\x80-\xff]{4}", file.data):
        yield repr(file.data[8:20])


@rule("6.1.3", 1)
def identified(file: File) -> Iterator[str]:
    """The trailer has an ID."""
    if not (file.pdf.trailer.get(Name.ID) and all(bytes(part) for part in file.pdf.trailer.ID)):
        yield "no ID"


@rule("6.1.3", 2)
def open_to_all(file: File) -> Iterator[str]:
    """Nothing is encrypted."""
    if file.pdf.is_encrypted or Name.Encrypt in file.pdf.trailer:
        yield "encrypted"


@rule("6.1.3", 3)
def nothing_after(file: File) -> Iterator[str]:
    """Nothing but one end of line follows the last %%EOF."""
    if not re.search(rb"%%EOF(\r\n|\r|\n)?\Z", file.data):
        yield repr(file.data[-20:])


@rule("6.1.4", 2)
def table(file: File) -> Iterator[str]:
    """The keyword xref stands on a line of its own, its section's numbers on the next, one space between them."""
    for found in re.finditer(rb"(?<!start)xref(.{0,24})", file.syntax, re.DOTALL):
        if not re.match(rb"(\r\n|\r|\n)\d+ \d+ ?(\r\n|\r|\n)", found[1]):
            yield repr(found[0])


@rule("6.1.6", 1)
def even_strings(file: File) -> Iterator[str]:
    """Hexadecimal strings have an even number of digits."""
    for found in _hexadecimal(file):
        if len(re.sub(rb"\s", b"", found)) % 2:
            yield repr(found[:40])


@rule("6.1.6", 2)
def hexadecimal_strings(file: File) -> Iterator[str]:
    """Hexadecimal strings have hexadecimal digits only."""
    for found in _hexadecimal(file):
        if not re.fullmatch(rb"[0-9A-Fa-f\s]*", found):
            yield repr(found[:40])


def _hexadecimal(file: File) -> Iterator[bytes]:
    for found in re.finditer(rb"(?<!<)<(?!<)([^<>]*)>", _without_strings(file)):
        yield found[1]


def _without_strings(file: File) -> bytes:
    return re.sub(rb"\((\\.|[^()\\])*\)", b"()", file.syntax, flags=re.DOTALL)


@rule("6.1.7.1", 1)
def sound(file: File) -> Iterator[str]:
    """Lengths of streams are true, and the rest of the syntax is as qpdf wants it."""
    if file.told:
        yield file.told.splitlines()[0]


@rule("6.1.7.1", 2)
def stream_lines(file: File) -> Iterator[str]:
    """The keyword stream ends its line by LF or CR LF; endstream begins one."""
    if re.search(rb">>\s*stream(?!\r?\n)", file.data):
        yield "stream without its end of line"
    if re.search(rb"[^\r\n]endstream\s+endobj", file.data):
        yield "endstream within a line"


@rule("6.1.7.1", 3)
def no_external_streams(file: File) -> Iterator[str]:
    """No stream lies in another file."""
    for one in file.streams():
        for key in ("/F", "/FFilter", "/FDecodeParms"):
            if key in one.stream_dict:
                yield key


@rule("6.1.7.2", 1)
def filters(file: File) -> Iterator[str]:
    """Filters are those of ISO 32000-1 without LZW and Crypt (JPXDecode and JBIG2Decode are never ours)."""
    for one in file.streams():
        found = one.stream_dict.get(Name.Filter)
        names = [] if found is None else list(found.as_list()) if isinstance(found, pikepdf.Array) else [found]
        for name in names:
            if str(name) not in _FILTERS:
                yield str(name)


@rule("6.1.8", 1)
def names(file: File) -> Iterator[str]:
    """Names are UTF-8 once their #xx are bytes."""
    for found in re.finditer(rb"/([^\s()<>\[\]{}/%]+)", file.syntax):
        name = re.sub(rb"#([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), found[1])
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            yield repr(name)


@rule("6.1.9", 1)
def spacing(file: File) -> Iterator[str]:
    """``n g obj`` with one space each on a line that it begins and ends; endobj on a line of its own."""
    for found in re.finditer(rb"(.?)(\d+)(\s+)(\d+)(\s+)obj(.?)", file.syntax, re.DOTALL):
        if found[3] != b" " or found[5] != b" " or found[1] not in b"\r\n0123456789" or found[6] not in b"\r\n":
            yield repr(found[0])
    for found in re.finditer(rb"(.)endobj(.)", file.syntax, re.DOTALL):
        if found[1] not in b"\r\n" or found[2] not in b"\r\n":
            yield repr(found[0])


@rule("6.1.12", 1)
def permissions(file: File) -> Iterator[str]:
    """No permissions are asked for (they belong to signatures, of which we have none)."""
    if Name.Perms in file.pdf.Root:
        yield "Perms"


@rule("6.1.13", 1)
def integers(file: File) -> Iterator[str]:
    """Integers are of 32 bits."""
    for found in re.finditer(rb"(?<![\w.#-])-?\d{10,}(?![\w.])", _without_strings(file).split(b"xref")[0]):
        if not -(2**31) <= int(found[0]) < 2**31:
            yield found[0].decode()


@rule("6.1.13", 2)
def reals(file: File) -> Iterator[str]:
    """Reals are of the size of a 32-bit float, and not nearer to zero than one can be (number 5)."""
    for found in re.finditer(rb"(?<![\w.#-])-?\d*\.\d+(?![\w.])", file.syntax):
        value = abs(Decimal(found[0].decode()))
        if value and not Decimal("1.175e-38") <= value <= Decimal("3.403e38"):
            yield found[0].decode()[:40]


@rule("6.1.13", 3)
def strings(file: File) -> Iterator[str]:
    """Strings have fewer than 32,768 bytes."""
    for one in file.objects():
        if isinstance(one, pikepdf.String) and len(bytes(one)) >= 32768:
            yield f"{len(bytes(one))} bytes"


@rule("6.1.13", 4)
def short_names(file: File) -> Iterator[str]:
    """Names have at most 127 bytes."""
    for found in re.finditer(rb"/([^\s()<>\[\]{}/%]+)", file.syntax):
        if len(re.sub(rb"#..", b"x", found[1])) > 127:
            yield repr(found[0][:20])


@rule("6.1.13", 11)
def boxes(file: File) -> Iterator[str]:
    """Page boxes have sides of 3 to 14,400 points."""
    for number, page in enumerate(file.pdf.pages, 1):
        for key in ("/MediaBox", "/CropBox", "/BleedBox", "/TrimBox", "/ArtBox"):
            box = page.mediabox if key == "/MediaBox" else page.obj.get(key)
            if box is not None:
                left, bottom, right, top = (float(value) for value in box)
                if not (3 <= abs(right - left) <= 14400 and 3 <= abs(top - bottom) <= 14400):
                    yield f"page {number}: {key} {list(map(float, box))}"
