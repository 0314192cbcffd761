"""A fax document as a PDF/A-2b (ISO 19005-2), its coded rows embedded as they are (ISO 32000-1 section 7.4.6).

Nothing is decoded or coded again where the page is one T.6 strip; any other fax page is coded so first. Pages have
their true size, so that 98 lines an inch look as on paper. Written directly: the file has images and no fonts.
Invariants: titles are escaped for where they stand (hexadecimal strings, XML); the file is the same for the same
input.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from PIL import ImageCms

from converters.tiff import Page, Reader, Tags, Writer, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_GROUP4 = 4
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_DPI = (204.0, 196.0)


@dataclass(frozen=True, slots=True)
class Marks:
    """What the PDF says of itself. ``created``: ISO 8601 with zone (``2026-11-21T02:03:04+00:00``), or empty."""

    title: str
    language: str = "en"
    created: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """A page's T.6 rows, most significant bit first."""

    width: int
    height: int
    x_dpi: float
    y_dpi: float
    data: bytes


def write(fax: int, output: BinaryIO, marks: Marks, most_pages: int) -> int:
    """Write the PDF of the fax document on descriptor ``fax`` to ``output`` and return its number of pages."""
    file = _File(output)
    catalog, tree = file.reserve(), file.reserve()
    profile = _profile()
    colours = file.add(f"<</N 3/Length {len(profile)}>>", profile)
    metadata_text = _metadata(marks)
    metadata = file.add(f"<</Type/Metadata/Subtype/XML/Length {len(metadata_text)}>>", metadata_text)
    pages = [_page(file, tree, strip) for strip in _strips(fax, most_pages)]
    kids = " ".join(f"{page} 0 R" for page in pages)
    file.put(tree, f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>")
    file.put(
        catalog,
        f"<</Type/Catalog/Pages {tree} 0 R/Metadata {metadata} 0 R/Lang{_text(marks.language)}"
        f"/PageLabels<</Nums[0<</S/D>>]>>/ViewerPreferences<</DisplayDocTitle true>>"
        f"/OutputIntents[<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/Info(sRGB)"
        f"/DestOutputProfile {colours} 0 R>>]>>",
    )
    created = f"/CreationDate{_date(marks.created)}" if marks.created else ""
    file.finish(catalog, file.add(f"<</Title{_text(marks.title)}/Producer(faxrelay){created}>>"))
    return len(pages)


def _strips(fax: int, most_pages: int) -> Iterator[Strip]:
    with opened(fax) as reader:
        for tags in reader.directories(most_pages - 1):
            as_it_is = tags.compression == _GROUP4 and tags.strips == 1 and tags.photometric == 0 and tags.bits == 1
            yield _strip(reader, tags) if as_it_is else _coded_again(reader.page(tags.height))


def _strip(reader: Reader, tags: Tags) -> Strip:
    data = reader.raw_strip()
    if tags.lsb_first:
        data = data.translate(_MIRRORED)
    return Strip(tags.width, tags.height, tags.x_dpi or _NO_DPI[0], tags.y_dpi or _NO_DPI[1], data)


def _coded_again(page: Page) -> Strip:
    descriptor = os.memfd_create("page")
    try:
        writer = Writer(descriptor)
        writer.add(page)
        writer.close()
        with opened(descriptor) as reader:
            return _strip(reader, reader.select(0))
    finally:
        os.close(descriptor)


def _page(file: _File, tree: int, strip: Strip) -> int:
    image = file.add(
        f"<</Type/XObject/Subtype/Image/Width {strip.width}/Height {strip.height}/BitsPerComponent 1"
        "/ColorSpace/DeviceGray/Filter/CCITTFaxDecode"
        f"/DecodeParms<</K -1/Columns {strip.width}/Rows {strip.height}>>/Length {len(strip.data)}>>",
        strip.data,
    )
    width, height = strip.width / strip.x_dpi * 72, strip.height / strip.y_dpi * 72
    drawing = f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /F Do Q".encode()
    content = file.add(f"<</Length {len(drawing)}>>", drawing)
    return file.add(
        f"<</Type/Page/Parent {tree} 0 R/MediaBox[0 0 {width:.3f} {height:.3f}]"
        f"/Resources<</XObject<</F {image} 0 R>>>>/Contents {content} 0 R>>"
    )


class _File:
    """The objects of a PDF and where they stand (ISO 32000-1 section 7.5)."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._digest = hashlib.sha256()
        self._length = 0
        self._places: list[int] = []
        self._write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def reserve(self) -> int:
        """Return the number of an object that :meth:`put` will write."""
        self._places.append(0)
        return len(self._places)

    def add(self, body: str, stream: bytes | None = None) -> int:
        """Write a new object and return its number."""
        number = self.reserve()
        self.put(number, body, stream)
        return number

    def put(self, number: int, body: str, stream: bytes | None = None) -> None:
        """Write a reserved object."""
        self._places[number - 1] = self._length
        self._write(f"{number} 0 obj\n{body}".encode("ascii"))
        if stream is not None:
            self._write(b"\nstream\n" + stream + b"\nendstream")
        self._write(b"\nendobj\n")

    def finish(self, root: int, info: int) -> None:
        """Write the table of objects and the trailer."""
        start, count = self._length, len(self._places) + 1
        name = self._digest.hexdigest()[:32]
        rows = "".join(f"{place:010d} 00000 n \n" for place in self._places)
        self._write(
            f"xref\n0 {count}\n0000000000 65535 f \n{rows}trailer\n<</Size {count}/Root {root} 0 R/Info {info} 0 R"
            f"/ID[<{name}><{name}>]>>\nstartxref\n{start}\n%%EOF\n".encode("ascii")
        )

    def _write(self, data: bytes) -> None:
        self._output.write(data)
        self._digest.update(data)
        self._length += len(data)


def _text(value: str) -> str:
    """Return a text string in hexadecimal UTF-16 (ISO 32000-1 section 7.9.2.2): nothing in it can end it."""
    return "<feff" + _printable(value).encode("utf-16-be", "replace").hex() + ">"


def _printable(value: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in value)


def _date(created: str) -> str:
    """Return an ISO 8601 time as a PDF date (section 7.9.4)."""
    digits = created[:19].replace("-", "").replace("T", "").replace(":", "")
    zone = created[19:].replace("Z", "+00:00") or "+00:00"
    return f"(D:{digits}{zone[0]}{zone[1:3]}'{zone[4:6]}')"


def _profile() -> bytes:
    """Return the sRGB profile of the output intent, without the time at which it was made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes((0x07, 0xEA, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # ICC.1 section 7.2.8: 2026-01-01
    return bytes(profile)


def _metadata(marks: Marks) -> bytes:
    """Return the XMP packet that says PDF/A-2b; it must agree with the Info dictionary (ISO 19005-2 section 6.6)."""
    created = f"<xmp:CreateDate>{escape(marks.created)}</xmp:CreateDate>" if marks.created else ""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/">'
        "<pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>"
        '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{escape(_printable(marks.title))}</rdf:li></rdf:Alt></dc:title>"
        f"<pdf:Producer>faxrelay</pdf:Producer>{created}"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()
