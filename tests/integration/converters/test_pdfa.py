"""PDF/A-2b: received faxes and receipts keep every rule of :mod:`tests.pdfa`, and a breach of any rule is seen."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from converters import Converter, FaxStrip, Paper, Rendering, Resolution, Source, faxpdf
from converters.textlayer import Word, dumped

from ...conftest import need
from ...pdfa import RULES, faults
from .test_receipt import sheet

pytestmark = pytest.mark.asyncio(loop_scope="module")

TITLES = [
    "Fax to +97231234567 from +12025550123",
    "פקס מאת משרד (3) אל +972",
    ")>> endobj\n/JS <script>&\"'\x00\x1b\ud800\U0001f4e0\u202e",
    "ש" * 500,
    "",
]
WORDS = [
    Word(1, 200, 100, 300, 130, 128, "Hello"),
    Word(1, 320, 100, 330, 130, 128, "a"),
    Word(2, 1200, 200, 1400, 230, 228, "שלום"),
    Word(2, 1100, 200, 1180, 230, 228, "(ב-30"),
    Word(3, 200, 300, 300, 330, 328, "\U0001f4e0\x00\ud800"),
    Word(4, 200, 400, 200, 430, 428, "no width"),
]


async def test_a_sound_file_is_what_the_breaches_begin_with(documents: Path) -> None:
    """Lost otherwise: a breach below is seen for another reason than the one that it was made for."""
    need("qpdf")
    data = searchable(documents)
    assert faults(data) == {}
    assert faults(edited(data, lambda _: None)) == {}


@pytest.mark.parametrize("resolution", list(Resolution))
@pytest.mark.parametrize("title", TITLES)
async def test_a_received_fax_keeps_pdfa(
    converter: Converter, documents: Path, tmp_path: Path, resolution: Resolution, title: str
) -> None:
    """Lost otherwise: an archive that asks for PDF/A refuses our faxes."""
    need("qpdf")
    fax, pdf = tmp_path / "fax.tif", tmp_path / "fax.pdf"
    await converter.to_fax([Source("a", "", documents / "two-pages.pdf")], Rendering(resolution), fax)
    for texts in ([], [dumped(WORDS), b""]):
        await converter.to_pdf(fax, pdf, title, language="he", created="2026-11-21T02:03:04+02:00", texts=texts)
        assert faults(pdf.read_bytes()) == {}


@pytest.mark.parametrize(
    ("width", "height", "x_dpi", "y_dpi"),
    [(1728, 1, 204, 196), (1, 1, 204, 391), (2432, 9000, 204, 98), (4864, 400, 408, 391), (1728, 400_000, 204, 391)],
)
async def test_pages_of_odd_sizes_keep_pdfa(
    converter: Converter, tmp_path: Path, width: int, height: int, x_dpi: int, y_dpi: int
) -> None:
    """Lost otherwise: a call that ends after one row, or never ends a page, makes a file that is no PDF/A."""
    need("qpdf")
    blank = FaxStrip(width, height, x_dpi, y_dpi, b"\xff" * max(1, height // 8))
    await converter.assemble([blank] * 3, tmp_path / "fax.tif")
    await converter.to_pdf(tmp_path / "fax.tif", tmp_path / "fax.pdf", "Odd")
    assert faults((tmp_path / "fax.pdf").read_bytes()) == {}


async def test_damaged_and_many_pages_keep_pdfa(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: a bad line makes a file that is no PDF/A; long faxes are a case of their own."""
    need("qpdf")
    strip = first_strip(documents)
    good = strip.data.translate(faxpdf._MIRRORED)
    hurt = good[: len(good) // 2] + b"\x55\xaa\x00" * 40 + good[len(good) // 2 :]
    page = FaxStrip(strip.width, strip.height, strip.x_dpi, strip.y_dpi, good)
    damaged = FaxStrip(strip.width, strip.height, strip.x_dpi, strip.y_dpi, hurt)
    made = await converter.assemble([page, damaged] * 60, tmp_path / "fax.tif")
    assert {one.treatment for one in made.pages} == {"received", "damaged"}
    await converter.to_pdf(tmp_path / "fax.tif", tmp_path / "fax.pdf", "120 pages")
    assert faults((tmp_path / "fax.pdf").read_bytes()) == {}


@pytest.mark.parametrize("language", ["en", "he"])
@pytest.mark.parametrize("status", ["sent", "failed", "uncertain", "cancelled", "held"])
async def test_a_receipt_keeps_pdfa(
    converter: Converter, documents: Path, tmp_path: Path, language: str, status: str
) -> None:
    """Lost otherwise: the proof that a customer files away is refused by his archive."""
    need("qpdf")
    shown = sheet()
    shown["status"] = status  # type: ignore[typeddict-item]  # each of the closed list
    shown["simulated"] = status == "held"
    shown["subject"] += " \u65e5\u672c\u8a9e \u260e \u0639\u0631\u0628\u064a"
    await converter.to_fax([Source("a", "", documents / "two-pages.pdf")], Rendering(), tmp_path / "fax.tif")
    pages = [1, 2] if status == "sent" else [1]
    paper = Paper.LETTER if status == "failed" else Paper.A4
    out = tmp_path / "r.pdf"
    await converter.receipt_pdf(shown, language, out, paper=paper, fax=tmp_path / "fax.tif", pages=pages)
    assert faults(out.read_bytes()) == {}
    with pikepdf.open(out) as file:
        assert str(file.Root.Lang) == language


def first_strip(documents: Path) -> faxpdf.Strip:
    """The sample fax's first page."""
    with (documents / "fax.tif").open("rb") as fax:
        return next(iter(faxpdf._strips(fax.fileno(), 1)))


def searchable(documents: Path) -> bytes:
    """A fax of one page with words over it."""
    made = io.BytesIO()
    descriptor = os.open(documents / "fax.tif", os.O_RDONLY)
    try:
        marks = faxpdf.Marks("A fax", "en", "2026-11-21T02:03:04+00:00")
        faxpdf.write(descriptor, made, marks, 10, [WORDS])
    finally:
        os.close(descriptor)
    return made.getvalue()


def edited(data: bytes, change: Callable[[pikepdf.Pdf], object], **saved: object) -> bytes:
    """The file after a change of its objects."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(data)) as pdf:
        change(pdf)
        pdf.save(out, compress_streams=False, fix_metadata_version=False, **saved)  # type: ignore[arg-type]  # of pikepdf's own options
    return out.getvalue()


Change = Callable[[pikepdf.Pdf], object]


def image(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """The first page's image."""
    return pdf.pages[0].obj.Resources.XObject.F


def font(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """The font of the words."""
    return pdf.pages[0].obj.Resources.Font.T


def below(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """The font's descendant."""
    return font(pdf).DescendantFonts[0]


def put(find: Callable[[pikepdf.Pdf], pikepdf.Object], **values: object) -> Change:
    """Set keys of an object."""

    def change(pdf: pikepdf.Pdf) -> None:
        for key, value in values.items():
            find(pdf)[f"/{key}"] = value(pdf) if callable(value) else value

    return change


def root(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """The catalogue."""
    return pdf.Root


def page(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """The first page."""
    return pdf.pages[0].obj


def draws(code: bytes) -> Change:
    """Put instructions before those of the first page."""
    return lambda pdf: pdf.pages[0].contents_add(pdf.make_stream(code), prepend=True)


def state(**values: Any) -> Change:
    """Give the first page a graphics state."""
    return lambda pdf: page(pdf).Resources.__setitem__("/ExtGState", Dictionary(G=Dictionary(**values)))


def form(**values: Any) -> Change:
    """Give the first page a form."""

    def change(pdf: pikepdf.Pdf) -> None:
        made = pdf.make_stream(b"", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 9, 9]), **values)
        page(pdf).Resources.XObject["/X"] = made

    return change


def annotation(**values: Any) -> Change:
    """Give the first page an annotation."""
    return put(page, Annots=lambda pdf: Array([pdf.make_indirect(Dictionary(Type=Name.Annot, **values))]))


def packet(old: bytes, new: bytes) -> Change:
    """Change the metadata."""

    def change(pdf: pikepdf.Pdf) -> None:
        data = pdf.Root.Metadata.read_bytes()
        assert old in data
        pdf.Root.Metadata.write(data.replace(old, new))

    return change


def profile(at: int, new: bytes) -> Change:
    """Change bytes of the output intent's profile."""

    def change(pdf: pikepdf.Pdf) -> None:
        held = pdf.Root.OutputIntents[0].DestOutputProfile
        data = held.read_bytes()
        held.write(data[:at] + new + data[at + len(new) :])

    return change


def without(find: Callable[[pikepdf.Pdf], pikepdf.Object], key: str) -> Change:
    """Take a key from an object."""
    return lambda pdf: find(pdf).__delitem__(key)


def widen(pdf: pikepdf.Pdf) -> None:
    """Let the text of the first page be drawn, so that its program matters."""
    pdf.pages[0].Contents.write(pdf.pages[0].Contents.read_bytes().replace(b"3 Tr", b"0 Tr"))


def second_intent(pdf: pikepdf.Pdf) -> None:
    """Add an intent with a profile of its own."""
    other = Dictionary(Type=Name.OutputIntent, S=Name.GTS_PDFX, DestOutputProfile=pdf.make_stream(b"other", N=3))
    pdf.Root.OutputIntents.append(other)


def icc_space(pdf: pikepdf.Pdf) -> None:
    """Let the image's colours be of a profile that is none."""
    image(pdf).ColorSpace = Array([Name.ICCBased, pdf.make_stream(b"no profile", N=1)])


def spot(pdf: pikepdf.Pdf) -> None:
    """Give the page a spot colour."""
    function = Dictionary(FunctionType=2, Domain=Array([0, 1]), N=1)
    space = Array([Name.Separation, Name.Gold, Name.DeviceGray, function])
    page(pdf).Resources.ColorSpace = Dictionary(S=space)


def blended(pdf: pikepdf.Pdf) -> None:
    """Make the page transparent where no space is told."""
    del pdf.Root.OutputIntents
    state(ca=0.5)(pdf)


#: A breach of each rule: of bytes, or of objects.
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "6.1.2-1": lambda data: data.replace(b"%PDF-1.7", b"%PDF-2.0", 1),
    "6.1.2-2": lambda data: data.replace(b"%\xe2\xe3\xcf\xd3", b"%abcd", 1),
    "6.1.3-1": lambda data: data.replace(b"/ID[", b"/IX[", 1),
    "6.1.3-3": lambda data: data + b"\nmore",
    "6.1.4-2": lambda data: data.replace(b"\nxref\n0 ", b"\nxref \n0 ", 1),
    "6.1.6-1": lambda data: data.replace(b"/Title<feff", b"/Title<fef ", 1),
    "6.1.6-2": lambda data: data.replace(b"/Title<feff", b"/Title<fegg", 1),
    "6.1.7.1-1": lambda data: data.replace(b"/Subtype/XML/Length ", b"/Subtype/XML/Length 1", 1),
    "6.1.7.1-2": lambda data: data.replace(b">>\nstream\n", b">>\nstream\r", 1),
    "6.1.8-1": lambda data: data.replace(b"/Info(sRGB)", b"/I#ff(sRGB)", 1),
    "6.1.9-1": lambda data: data.replace(b"\n3 0 obj\n", b"\n3 0  obj", 1),
    "6.1.13-1": lambda data: data.replace(b"/Info(sRGB)", b"/I 99999999999", 1),
    "6.1.13-2": lambda data: data.replace(b"/Info(sRGB)", b"/I 0." + b"0" * 40 + b"1", 1),
    "6.1.13-4": lambda data: data.replace(b"/Info(sRGB)", b"/" + b"I" * 128 + b"(sRGB)", 1),
}
OBJECTS: dict[str, Change] = {
    "6.1.7.1-3": put(image, F=String("elsewhere")),
    "6.1.7.2-1": put(image, Filter=Name.LZWDecode),
    "6.1.10-1": draws(b"BI /W 1 /H 1 /BPC 1 /CS /G ID \x00 EI"),
    "6.1.12-1": put(root, Perms=Dictionary()),
    "6.1.13-3": put(root, Note=String("x" * 32768)),
    "6.1.13-8": draws(b"q " * 29 + b"Q " * 29),
    "6.1.13-11": put(page, CropBox=Array([0, 0, 2, 2])),
    "6.2.2-1": draws(b"zz "),
    "6.2.2-2": draws(b"/Other Do "),
    "6.2.3-1": profile(12, b"link"),
    "6.2.3-2": second_intent,
    "6.2.4.2-1": icc_space,
    "6.2.4.3-2": draws(b"0 0 0 1 k "),
    "6.2.4.4-1": spot,
    "6.2.5-1": state(TR=Name.Identity),
    "6.2.6-1": draws(b"/Vivid ri "),
    "6.2.8-0": lambda pdf: image(pdf).DecodeParms.__setitem__("/Columns", 1000),
    "6.2.8-1": put(image, Alternates=Array([])),
    "6.2.8-2": put(image, OPI=Dictionary()),
    "6.2.8-3": put(image, Interpolate=True),
    "6.2.8-4": put(image, BitsPerComponent=3),
    "6.2.9-1": form(Ref=Dictionary()),
    "6.2.10-1": state(BM=Name.Glow),
    "6.2.10-2": blended,
    "6.2.11.2-1": put(font, Subtype=Name.Type1),
    "6.2.11.2-2": put(below, Subtype=Name.Type9),
    "6.2.11.3.1-1": put(font, Encoding=Name("/UniGB-UTF16-H")),
    "6.2.11.3.2-1": without(below, "/CIDToGIDMap"),
    "6.2.11.4.1-1": lambda pdf: below(pdf).FontDescriptor.__delitem__("/FontFile2"),
    "6.2.11.4.1-2": lambda pdf: below(pdf).CIDToGIDMap.write(b"\0\x09" * 64),
    "6.2.11.4.2-2": lambda pdf: below(pdf).FontDescriptor.__setitem__("/CIDSet", pdf.make_stream(b"\xff")),
    "6.2.11.5-1": put(below, DW=900),
    "6.2.11.7.2-0": without(font, "/ToUnicode"),
    "6.2.11.8-1": lambda pdf: below(pdf).CIDToGIDMap.write(b"\0\0" * 64),
    "6.3.1-1": annotation(Subtype=Name.Movie, F=4),
    "6.3.2-1": annotation(Subtype=Name.Link, F=2),
    "6.4.1-1": put(root, AcroForm=Dictionary(Fields=Array([]))),
    "6.5.1-1": put(root, OpenAction=Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))),
    "6.5.2-1": put(page, AA=Dictionary()),
    "6.6.2.1-1": without(root, "/Metadata"),
    "6.6.2.1-2": packet(b"?>", b' encoding="UTF-8"?>'),
    "6.6.2.1-4": packet(b"</rdf:RDF>", b""),
    "6.6.2.3.1-1": packet(b"<pdf:Producer>faxrelay</pdf:Producer>", b"<pdf:Fax>1</pdf:Fax>"),
    "6.6.2.3.1-2": packet(b"2026-11-21T02:03:04", b"21.11.2026"),
    "6.6.3-0": packet(b"A fax", b"Another"),
    "6.6.4-1": packet(b"pdfa/ns/id/", b"pdfa/ns/no/"),
    "6.6.4-2": packet(b">2<", b">1<"),
    "6.6.4-3": packet(b">B<", b">C<"),
    "6.6.4-4": packet(b"pdfaid", b"a"),
    "6.8-2": put(root, Names=Dictionary(EF=Dictionary())),
    "6.9-1": put(root, OCProperties=Dictionary()),
    "6.10-1": put(page, PresSteps=Dictionary()),
    "6.11-1": put(root, Requirements=Array([])),
}


async def test_every_rule_has_its_breach() -> None:
    """Lost otherwise: a rule that never fails is taken for a rule that is kept."""
    assert {str(one) for one in RULES} == {*BYTES, *OBJECTS, "6.1.3-2"}


@pytest.mark.parametrize("broken", [*BYTES, *OBJECTS])
async def test_a_breach_is_seen(documents: Path, broken: str) -> None:
    """Lost otherwise: the checker says yes to everything."""
    need("qpdf")
    data = searchable(documents)
    if broken in BYTES:
        hurt = BYTES[broken](data)
    else:
        hurt = edited(data, OBJECTS[broken], stream_decode_level=pikepdf.StreamDecodeLevel.none)
    assert hurt != data
    assert broken in faults(hurt)


async def test_encryption_is_seen(documents: Path) -> None:
    """Lost otherwise: as above."""
    hurt = edited(searchable(documents), lambda _: None, encryption=pikepdf.Encryption(owner="o", user=""))
    assert "6.1.3-2" in faults(hurt)
