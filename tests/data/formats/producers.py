"""PDFs as programs of all kinds write them: browsers, Cairo, TeX, groff, qpdf; and forms, notes, layers, old fonts.

Needs Debian's chromium, wkhtmltopdf, librsvg2-bin, texlive-base, groff and qpdf. What has no program here that writes it
(unembedded CID fonts, a form without appearances, JBIG2) is put together by pikepdf, as its specification says.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image

from .scanners import sheet

HERE = Path(__file__).parent
SOURCES = HERE / "sources"
_FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif-Bold.ttf")
_A4 = (595, 842)


def make(scene: Image.Image, folder: Path) -> None:
    """Write the samples into ``folder``."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _browsers(work, folder)
        _run("rsvg-convert", "-f", "pdf", "-o", folder / "cairo.pdf", folder / "plan.svg")
        _run("pdftex", "-interaction=batchmode", f"-output-directory={work}", SOURCES / "report.tex")
        _run(
            "qpdf",
            "--object-streams=generate",
            "--recompress-flate",
            "--compression-level=9",
            work / "report.pdf",
            folder / "tex.pdf",
        )
        with (folder / "groff.pdf").open("wb") as out:
            subprocess.run(["groff", "-t", "-ms", "-Tpdf", SOURCES / "memo.ms"], check=True, stdout=out)
    web = folder / "chromium.pdf"
    _run("qpdf", "--linearize", "--object-streams=generate", "--rotate=90:1", web, folder / "linear.pdf")
    for maker in (_cropped, _form, _notes, _layers, _type3, _unembedded, _jbig2, _wide):
        with pikepdf.new() as document:
            maker(document)
            document.save(folder / f"{maker.__name__[1:]}.pdf")
    with pikepdf.new() as document:
        _jpx(document, scene)
        document.save(folder / "jpx.pdf")


def _browsers(work: Path, folder: Path) -> None:
    shutil.copy(SOURCES / "invoice.html", work)
    shutil.copy(_FONT, work / "house.ttf")
    page = f"file://{work}/invoice.html"
    chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={work}/profile"]
    _run(*chromium, "--no-pdf-header-footer", f"--print-to-pdf={folder}/chromium.pdf", page)
    _run(*chromium, "--hide-scrollbars", "--window-size=760,620", f"--screenshot={folder}/screenshot.png", page)
    _run("wkhtmltopdf", "-q", "--enable-local-file-access", page, folder / "webkit.pdf")


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    subprocess.run(words, check=True, capture_output=True, env=os.environ | {"QT_QPA_PLATFORM": "offscreen"})


def _page(document: pikepdf.Pdf, content: str, size: tuple[int, int] = _A4, **resources: Any) -> pikepdf.Page:
    page = document.add_blank_page(page_size=size)
    helvetica = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    page.obj.Resources = Dictionary(Font=Dictionary(F=helvetica), **resources)
    page.obj.Contents = Stream(document, content.encode("latin-1"))
    return page


def _line(words: str, x: int, y: int, size: int = 14) -> str:
    return f"BT /F {size} Tf {x} {y} Td ({words}) Tj ET\n"


def _cropped(document: pikepdf.Pdf) -> None:
    """A sheet with printer's marks outside its CropBox, one that begins far from 0, and one turned by 180 degrees."""
    marks = "0 0 30 842 re f 565 0 30 842 re f\n" + _line("outside", 100, 20)
    page = _page(document, marks + _line("Inside the crop box", 80, 700, 24) + "40 60 515 740 re S")
    page.obj.CropBox = Array([35, 50, 560, 810])
    page = _page(document, _line("Far from the origin", 1100, -1300, 24) + "1010 -1990 575 820 re S")
    page.obj.MediaBox = Array([1000, -2000, 1595, -1158])
    page = _page(document, _line("Turned by 180", 80, 700, 24))
    page.obj.Rotate = 180


def _wide(document: pikepdf.Pdf) -> None:
    """Landscape by its box, landscape by /Rotate, and a slide of 16 to 9."""
    _page(document, _line("Landscape by its box", 60, 500, 36) + "20 20 802 555 re S", (842, 595))
    page = _page(document, f"q 0 1 -1 0 595 0 cm {_line('Landscape by Rotate', 60, 500, 36)} 20 20 802 555 re S Q")
    page.obj.Rotate = 90
    _page(document, _line("A slide", 60, 300, 60) + "10 10 940 520 re S", (960, 540))


def _form(document: pikepdf.Pdf) -> None:
    """A filled form whose fields have values and no appearances: the reader has to draw them."""
    page = _page(document, _line("Name:", 60, 715) + _line("Agreed:", 60, 665) + _line("Town:", 60, 615))
    font = Dictionary(
        Helv=page.obj.Resources.Font.F, ZaDb=Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.ZapfDingbats)
    )

    def field(box: list[int], **more: Any) -> Dictionary:
        return document.make_indirect(
            Dictionary(
                Type=Name.Annot, Subtype=Name.Widget, Rect=Array(box), F=4, DA=b"/Helv 14 Tf 0 g", P=page.obj, **more
            )
        )

    border = Dictionary(BC=Array([0, 0, 0]))
    fields = [
        field([140, 705, 480, 735], FT=Name.Tx, T=b"name", V=b"Miriam Amsalem", MK=border),
        field([140, 655, 170, 685], FT=Name.Btn, T=b"agreed", V=Name.Yes, AS=Name.Yes, MK=Dictionary(BC=Array([0, 0, 0]), CA=b"4")),
        field([140, 605, 480, 635], FT=Name.Ch, Ff=1 << 17, T=b"town", Opt=Array([b"Haifa", b"Basel"]), V=b"Basel", MK=border),
        field([60, 480, 480, 580], FT=Name.Tx, Ff=1 << 12, T=b"remark", V=b"A remark that is so long that it needs more than one line of the field.", MK=border),
    ]  # fmt: skip
    page.obj.Annots = Array(fields)
    document.Root.AcroForm = Dictionary(
        Fields=Array(fields), NeedAppearances=True, DR=Dictionary(Font=font), DA=b"/Helv 14 Tf 0 g"
    )


def _notes(document: pikepdf.Pdf) -> None:
    """Annotations: those for printing show, the others and the pop-ups do not."""
    page = _page(document, _line("A sentence with a mark on it", 80, 700, 18) + _line("Stamped below:", 80, 640))

    def drawn(content: str, width: int, height: int) -> Dictionary:
        form = Stream(document, content.encode())
        form.Type, form.Subtype, form.BBox = Name.XObject, Name.Form, Array([0, 0, width, height])
        form.Resources = Dictionary(Font=page.obj.Resources.Font)
        return Dictionary(N=form)

    page.obj.Annots = Array(
        Dictionary(Type=Name.Annot, Rect=Array(box), F=flags, Subtype=kind, **more)
        for box, flags, kind, more in (
            ([78, 692, 320, 722], 4, Name.Highlight, {"QuadPoints": Array([78, 722, 320, 722, 78, 692, 320, 692]), "C": Array([1, 0.9, 0.2])}),
            ([80, 540, 320, 610], 4, Name.Stamp, {"AP": drawn("1 0 0 RG 1 0 0 rg 4 w 4 4 232 62 re S " + _line("APPROVED", 30, 22, 36), 240, 70)}),
            ([80, 460, 320, 500], 4, Name.FreeText, {"Contents": b"A typed note", "DA": b"/F 16 Tf 0 0 1 rg", "AP": drawn(_line("A typed note", 4, 12, 16), 240, 40)}),
            ([80, 400, 320, 440], 0, Name.Stamp, {"AP": drawn(_line("NOT FOR PRINTING", 4, 12, 20), 240, 40)}),
            ([80, 340, 320, 380], 6, Name.Stamp, {"AP": drawn(_line("HIDDEN", 4, 12, 20), 240, 40)}),
            ([80, 280, 320, 320], 4, Name.Ink, {"InkList": Array([Array([80, 290, 150, 315, 220, 285, 310, 310])]), "C": Array([0, 0, 1]), "BS": Dictionary(W=3)}),
        )
    )  # fmt: skip


def _layers(document: pikepdf.Pdf) -> None:
    """Optional content: a layer that is on, one that is off, one that is for the screen alone."""
    names = ("Plan", "Old plan", "Screen")
    groups = [document.make_indirect(Dictionary(Type=Name.OCG, Name=name.encode())) for name in names]
    groups[2].Usage = Dictionary(Print=Dictionary(PrintState=Name.OFF), View=Dictionary(ViewState=Name.ON))
    content = "".join(
        f"/OC /L{number} BDC {_line(words, 80, 700 - 60 * number, 24)} EMC\n"
        for number, words in enumerate(("This layer is on", "This layer is off", "This one is for the screen"))
    )
    _page(document, content, Properties=Dictionary({f"/L{number}": group for number, group in enumerate(groups)}))
    printed = Dictionary(Event=Name.Print, Category=Array([Name.Print]), OCGs=Array([groups[2]]))
    document.Root.OCProperties = Dictionary(
        OCGs=Array(groups), D=Dictionary(Order=Array(groups), OFF=Array([groups[1]]), AS=Array([printed]))
    )


def _type3(document: pikepdf.Pdf) -> None:
    """A font whose letters are drawings: a bitmap and a path, as old TeX and label programs have them."""
    letter = (
        b"600 0 0 0 600 600 d1 600 0 0 600 0 0 cm BI /W 8 /H 8 /IM true /BPC 1 ID \xff\x81\xbd\xa5\xa5\xbd\x81\xff EI"
    )
    shapes = Dictionary(
        a=Stream(document, letter), b=Stream(document, b"700 0 0 0 600 600 d1 0 0 m 300 600 l 600 0 l f")
    )
    font = Dictionary(
        Type=Name.Font, Subtype=Name.Type3, FontBBox=Array([0, 0, 700, 700]), FontMatrix=Array([0.001, 0, 0, 0.001, 0, 0]),
        CharProcs=shapes, Encoding=Dictionary(Type=Name.Encoding, Differences=Array([97, Name.a, Name.b])),
        FirstChar=97, LastChar=98, Widths=Array([700, 700]), Resources=Dictionary(),
    )  # fmt: skip
    page = _page(document, "BT /T 60 Tf 80 650 Td (abbaab) Tj ET " + _line("Letters that are drawings", 80, 740, 24))
    page.obj.Resources.Font.T = font


def _unembedded(document: pikepdf.Pdf) -> None:
    """Fonts that are not in the file: Chinese and Japanese of Adobe's collections, and Arial and Courier by name."""
    page = _page(document, "")
    fonts = (
        ("S", "STSong-Light", "UniGB-UCS2-H", "GB1", 4), ("M", "MSung-Light", "UniCNS-UCS2-H", "CNS1", 3),
        ("J", "HeiseiMin-W3", "UniJIS-UCS2-H", "Japan1", 2), ("K", "HYSMyeongJo-Medium", "UniKS-UCS2-H", "Korea1", 1),
    )  # fmt: skip
    words = {"S": "中文字体没有嵌入", "M": "沒有嵌入的字體", "J": "埋め込まれていない書体", "K": "포함되지 않은 글꼴"}
    content = ""
    for row, (key, name, coding, order, supplement) in enumerate(fonts):
        inner = Dictionary(
            Type=Name.Font, Subtype=Name.CIDFontType0, BaseFont=Name("/" + name), DW=1000,
            CIDSystemInfo=Dictionary(Registry=b"Adobe", Ordering=order.encode(), Supplement=supplement),
            FontDescriptor=Dictionary(
                Type=Name.FontDescriptor, FontName=Name("/" + name), Flags=6, FontBBox=Array([0, -200, 1000, 900]),
                ItalicAngle=0, Ascent=850, Descent=-150, CapHeight=850, StemV=90,
            ),
        )  # fmt: skip
        page.obj.Resources.Font[Name("/" + key)] = Dictionary(
            Type=Name.Font, Subtype=Name.Type0, BaseFont=Name("/" + name), Encoding=Name("/" + coding),
            DescendantFonts=Array([inner]),
        )  # fmt: skip
        content += f"BT /{key} 28 Tf 80 {740 - 60 * row} Td <{words[key].encode('utf-16-be').hex()}> Tj ET\n"
    for row, name in enumerate(("Arial-BoldMT", "CourierNew", "TimesNewRomanPS-ItalicMT", "SomeHouseFont")):
        key = f"L{row}"
        page.obj.Resources.Font[Name("/" + key)] = Dictionary(
            Type=Name.Font, Subtype=Name.TrueType, BaseFont=Name("/" + name), Encoding=Name.WinAnsiEncoding
        )
        content += f"BT /{key} 22 Tf 80 {460 - 50 * row} Td (Not embedded: {name}) Tj ET\n"
    page.obj.Contents = Stream(document, content.encode())


def _image(document: pikepdf.Pdf, data: bytes, coding: Name, size: tuple[int, int], **more: Any) -> Stream:
    picture = Stream(document, b"", Type=Name.XObject, Subtype=Name.Image, Width=size[0], Height=size[1], **more)
    picture.write(data, filter=coding)
    return picture


def _jbig2(document: pikepdf.Pdf) -> None:
    """A scan in black and white as machines with "compact PDF" write it: one region, coded by MMR (T.88 6.2)."""
    page = sheet("Compact PDF", 1240, 1754).convert("L").point(lambda value: 255 * (value > 128)).convert("1")
    out = io.BytesIO()
    page.save(out, "TIFF", compression="group4", strip_size=1 << 30, tiffinfo={262: 0})
    with Image.open(io.BytesIO(out.getvalue())) as coded:
        offset, length = (coded.tag_v2[tag][0] for tag in (273, 279))  # type: ignore[attr-defined]
    strip = out.getvalue()[offset : offset + length]
    size = struct.pack(">II", *page.size)
    region = size + struct.pack(">IIBB", 0, 0, 0, 1) + strip
    data = struct.pack(">IBBBI", 0, 48, 0, 1, 19) + size + struct.pack(">IIBH", 0, 0, 0, 0)
    data += struct.pack(">IBBBI", 1, 38, 0, 1, len(region)) + region
    picture = _image(document, data, Name.JBIG2Decode, page.size, ColorSpace=Name.DeviceGray, BitsPerComponent=1)
    _page(document, "595 0 0 842 0 0 cm /I Do", XObject=Dictionary(I=picture))


def _jpx(document: pikepdf.Pdf, scene: Image.Image) -> None:
    """A picture in JPEG 2000 and, upon it, one that a mask cuts out."""
    out = io.BytesIO()
    scene.save(out, "JPEG2000", quality_mode="rates", quality_layers=[40])
    picture = _image(document, out.getvalue(), Name.JPXDecode, scene.size)
    out = io.BytesIO()
    sheet("Cut out", 300, 300).save(out, "JPEG", quality=60)
    mask = Image.radial_gradient("L").resize((100, 100)).point(lambda value: 255 if value < 120 else 0)
    inner = Stream(document, mask.tobytes(), Type=Name.XObject, Subtype=Name.Image, Width=100, Height=100,
                   ColorSpace=Name.DeviceGray, BitsPerComponent=8)  # fmt: skip
    round_one = _image(
        document, out.getvalue(), Name.DCTDecode, (300, 300), ColorSpace=Name.DeviceRGB, BitsPerComponent=8, SMask=inner
    )
    content = "q 480 0 0 315 57 470 cm /I Do Q q 300 0 0 300 150 300 cm /R Do Q"
    _page(document, content, XObject=Dictionary(I=picture, R=round_one))
