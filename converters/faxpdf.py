"""A fax document as a PDF/A-2b (ISO 19005-2), its coded rows embedded as they are (ISO 32000-1 section 7.4.6).

Nothing is decoded or coded again where the page is one T.6 strip; any other fax page is coded so first. Pages have
their true size, so that 98 lines an inch look as on paper. Written directly: images, and where a page was read
(:mod:`converters.tesseract`) its words unseen above them (:mod:`converters.textlayer`).

Invariants: titles are escaped for where they stand (hexadecimal strings, XML); the file is the same for the same
input.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from PIL import ImageCms

from converters.pdffile import PdfFile, printable, text_string
from converters.textlayer import TextLayer
from converters.tiff import Page, Reader, Tags, Writer, opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from converters.textlayer import Word

_GROUP4 = 4
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_DPI = (204.0, 196.0)
#: Points of a page's side, least and most (ISO 19005-2 section 6.1.13): a call can end after one row.
_LEAST_SIDE, _LONGEST_SIDE = 3.0, 14_400.0


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


def write(fax: int, output: BinaryIO, marks: Marks, most_pages: int, texts: Sequence[Sequence[Word]] = ()) -> int:
    """Write the PDF of the fax document on descriptor ``fax`` to ``output`` and return its number of pages.

    ``texts``: the words of each page, in the pages' order; pages beyond have none.
    """
    file = PdfFile(output)
    catalog, tree = file.reserve(), file.reserve()
    profile = _profile()
    colours = file.add(f"<</N 3/Length {len(profile)}>>", profile)
    metadata_text = _metadata(marks)
    metadata = file.add(f"<</Type/Metadata/Subtype/XML/Length {len(metadata_text)}>>", metadata_text)
    layer, font = TextLayer(), file.reserve() if any(texts) else 0
    words = chain(texts, repeat(()))
    pages = [_page(file, tree, strip, layer, next(words), font) for strip in _strips(fax, most_pages)]
    kids = " ".join(f"{page} 0 R" for page in pages)
    file.put(tree, f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>")
    file.put(
        catalog,
        f"<</Type/Catalog/Pages {tree} 0 R/Metadata {metadata} 0 R/Lang{text_string(marks.language)}"
        f"/PageLabels<</Nums[0<</S/D>>]>>/ViewerPreferences<</DisplayDocTitle true>>"
        f"/OutputIntents[<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/Info(sRGB)"
        f"/DestOutputProfile {colours} 0 R>>]>>",
    )
    if font:
        layer.font(file, font)
    created = f"/CreationDate{_date(marks.created)}" if marks.created else ""
    file.finish(catalog, file.add(f"<</Title{text_string(marks.title)}/Producer(faxrelay){created}>>"))
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


def _page(file: PdfFile, tree: int, strip: Strip, layer: TextLayer, words: Sequence[Word], font: int) -> int:
    image = file.add(
        f"<</Type/XObject/Subtype/Image/Width {strip.width}/Height {strip.height}/BitsPerComponent 1"
        "/ColorSpace/DeviceGray/Filter/CCITTFaxDecode"
        f"/DecodeParms<</K -1/Columns {strip.width}/Rows {strip.height}>>/Length {len(strip.data)}>>",
        strip.data,
    )
    x_scale, y_scale = 72 / strip.x_dpi, 72 / strip.y_dpi
    width, height = strip.width * x_scale, strip.height * y_scale
    text = layer.drawing(words, x_scale, y_scale, height)
    drawing = f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /F Do Q\n".encode() + text
    content = file.add(f"<</Length {len(drawing)}>>", drawing)
    fonts = f"/Font<</T {font} 0 R>>" if text else ""
    box = " ".join(f"{min(max(side, _LEAST_SIDE), _LONGEST_SIDE):.3f}" for side in (width, height))
    return file.add(
        f"<</Type/Page/Parent {tree} 0 R/MediaBox[0 0 {box}]"
        f"/Resources<</XObject<</F {image} 0 R>>{fonts}>>/Contents {content} 0 R>>"
    )


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
        f"{escape(printable(marks.title))}</rdf:li></rdf:Alt></dc:title>"
        f"<pdf:Producer>faxrelay</pdf:Producer>{created}"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()
