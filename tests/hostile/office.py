"""Hostile Office documents: ZIP tricks, links to fetch, macros, entities, and tables without end."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from .sample import Sample
from .web import aimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sample import Aim, Samples

FORMATS = Path(__file__).parents[1] / "data" / "formats"
_NOISE = random.Random(13)
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_REL = '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
_HEAD = '<?xml version="1.0"?>'


def changed(name: str, **parts: bytes) -> bytes:
    """A good sample with some parts put in or replaced; ``__`` in a part's key stands for ``/``, ``DOT`` for a dot."""
    named = {key.replace("__", "/").replace("DOT", "."): data for key, data in parts.items()}
    return repacked((FORMATS / name).read_bytes(), named)


def repacked(data: bytes, parts: dict[str, bytes]) -> bytes:
    """A package with parts put in or replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in given.infolist():
            made.writestr(entry, parts.pop(entry.filename, b"") or given.read(entry))
        for name, part in parts.items():
            made.writestr(name, part)
    return out.getvalue()


def word(body: str, links: str = "", before: str = "") -> Callable[[Aim], bytes]:
    """A Word document of this body; ``links``: Relationship elements of it."""

    def make(aim: Aim) -> bytes:
        text = f'{_HEAD}{before}<w:document xmlns:w="{_W}" xmlns:r="{_R}"><w:body><w:p><w:r><w:t>A good word.</w:t></w:r></w:p>{body}</w:body></w:document>'
        parts = {"word/document.xml": aimed(text, aim)}
        if links:
            parts["word/_rels/document.xml.rels"] = aimed(f"{_REL}{links}</Relationships>", aim)
        return repacked((FORMATS / "letter.docx").read_bytes(), parts)

    return make


def link(kind: str, target: str, name: str = "rId90") -> str:
    """A relationship that leads outside."""
    return f'<Relationship Id="{name}" Type="{_R}/{kind}" Target="{target}" TargetMode="External"/>'


def writer(body: str, before: str = "", **parts: bytes) -> Callable[[Aim], bytes]:
    """An OpenDocument text of this body; ``before``: a DTD."""

    def make(aim: Aim) -> bytes:
        spaces = " ".join(
            f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
            for prefix, name in (
                ("office", "office"), ("text", "text"), ("draw", "drawing"), ("script", "script"), ("table", "table"),
                ("svg", "svg-compatible"), ("form", "form"),
            )
        )  # fmt: skip
        content = (
            f'{_HEAD}{before}<office:document-content {spaces} xmlns:xlink="http://www.w3.org/1999/xlink" '
            'xmlns:dom="http://www.w3.org/2001/xml-events" xmlns:ooo="http://openoffice.org/2004/office" '
            f'office:version="1.3">{body}</office:document-content>'
        )
        named = {key.replace("__", "/").replace("DOT", "."): data for key, data in parts.items()}
        return repacked((FORMATS / "letter.odt").read_bytes(), {"content.xml": aimed(content, aim), **named})

    return make


def written(paragraphs: str) -> str:
    """The body of an OpenDocument text."""
    return f"<office:body><office:text><text:p>A good word.</text:p>{paragraphs}</office:text></office:body>"


def sheet(cells: str) -> Callable[[Aim], bytes]:
    """An Excel workbook of these rows."""
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    start = f'{_HEAD}<worksheet xmlns="{space}"><sheetData>'
    return lambda aim: changed(
        "sheet.xlsx", xl__worksheets__sheet1DOTxml=aimed(f"{start}{cells}</sheetData></worksheet>", aim)
    )


def rich(body: str) -> Callable[[Aim], bytes]:
    """A rich text document."""
    return lambda aim: aimed("{\\rtf1\\ansi A good word.\\par " + body + "}", aim)


def _package(entries: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries:
            made.writestr(name, data)
    return out.getvalue()


def _bomb(aim: Aim, megabytes: int) -> bytes:  # noqa: ARG001  the makers' signature
    start, end = f'{_HEAD}<w:document xmlns:w="{_W}"><w:body>'.encode(), b"</w:body></w:document>"
    return changed("letter.docx", word__documentDOTxml=start + b" " * (megabytes * 1_000_000) + end)


def _lying_size(aim: Aim) -> bytes:
    data = bytearray(_bomb(aim, 300))
    at = data.rindex(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<I", data, at + 24, 100)
        at = data.rfind(b"PK\x01\x02", 0, at)
    return bytes(data)


def _ole(*names: str) -> bytes:
    """A compound file that is nothing but a directory of these streams."""
    header = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    header[30:32] = b"\x09\0"
    rows = b""
    for name in names:
        coded = name.encode("utf-16-le") + b"\0\0"
        row = bytearray(128)
        row[: len(coded)], row[64:66], row[66] = coded, len(coded).to_bytes(2, "little"), 2
        rows += row
    return bytes(header) + rows + bytes(4096)


def _fuzzed(name: str, changes: int = 80, start: int = 512) -> bytes:
    data = bytearray((FORMATS / name).read_bytes())
    for _ in range(changes):
        data[_NOISE.randrange(start, len(data))] = _NOISE.randrange(256)
    return bytes(data)


_PICTURE = (
    '<w:p><w:r><w:pict xmlns:v="urn:schemas-microsoft-com:vml"><v:shape style="width:90pt;height:90pt">'
    '<v:imagedata r:id="rId90"/></v:shape></w:pict></w:r></w:p>'
)
_FIELD = '<w:p><w:fldSimple w:instr=" {} "><w:r><w:t>x</w:t></w:r></w:fldSimple></w:p>'
_LAUGHS = '<!DOCTYPE x [<!ENTITY e0 "lol">' + "".join(
    f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)
) + "]>"  # fmt: skip
_FRAME = '<text:p><draw:frame svg:width="50mm" svg:height="50mm"><draw:image xlink:href="{}" xlink:type="simple"/></draw:frame></text:p>'
_ROWS = "".join(f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>' for n in range(1, 60_000))

OFFICE: Samples = {
    "docx-bomb": Sample("bomb.docx", lambda aim: _bomb(aim, 550), quick=True),
    "docx-bomb-below-the-limit": Sample("bomb2.docx", lambda aim: _bomb(aim, 18)),
    "docx-lies-about-its-size": Sample("lie.docx", _lying_size),
    "docx-many-parts": Sample("parts.docx", lambda _: _package([(f"word/{n}.xml", b"") for n in range(20_000)])),
    "docx-part-twice": Sample("twice.docx", lambda _: _package([("[Content_Types].xml", b"a"), ("[Content_Types].xml", b"b"), ("word/document.xml", b"c")]), quick=True),
    "docx-climbs-out": Sample("climb.docx", lambda aim: changed("letter.docx", **{f"DOTDOT__DOTDOT__DOTDOT__DOTDOT{aim.file.replace('/', '__')}": b"changed"})),
    "docx-in-docx": Sample("nested.docx", lambda aim: changed("letter.docx", word__embeddings__aDOTdocx=_bomb(aim, 10))),
    "docx-cut": Sample("cut.docx", lambda _: (FORMATS / "letter.docx").read_bytes()[:2000], quick=True),
    "docx-is-zip": Sample("any.docx", lambda _: _package([("a.txt", b"x")]), quick=True),
    "docx-empty": Sample("empty.docx", lambda _: b"", quick=True),
    "docx-locked": Sample("locked.docx", lambda _: _ole("EncryptedPackage", "EncryptionInfo"), quick=True),
    "docx-named-pdf": Sample("bill.pdf", lambda _: (FORMATS / "letter.docx").read_bytes(), quick=True),
    "docx-fetches-picture": Sample("fetch.docx", word(_PICTURE, link("image", "@URL@image")), quick=True),
    "docx-links-file": Sample("file.docx", word(_PICTURE, link("image", "file://@FILE@"))),
    "docx-template": Sample("template.docx", word("", link("attachedTemplate", "@URL@template.dotm"))),
    "docx-frame": Sample("frame.docx", word('<w:altChunk r:id="rId90"/>', link("aFChunk", "@URL@chunk"))),
    "docx-linked-object": Sample("object.docx", word('<w:p><w:r><w:object><o:OLEObject xmlns:o="urn:schemas-microsoft-com:office:office" Type="Link" ProgID="Excel" r:id="rId90" UpdateMode="Always"/></w:object></w:r></w:p>', link("oleObject", "file://@FILE@"))),
    "docx-includes-text": Sample("include.docx", word(_FIELD.format("INCLUDETEXT &quot;file://@FILE@&quot;") + _FIELD.format("INCLUDEPICTURE &quot;@URL@&quot; \\d"))),
    "docx-dde": Sample("dde.docx", word(_FIELD.format("DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe &quot;/k touch @FILE@&quot;"))),
    "docx-entity": Sample("entity.docx", word("<w:p><w:r><w:t>&x;</w:t></w:r></w:p>", before='<!DOCTYPE x [<!ENTITY x SYSTEM "file://@FILE@">]>')),
    "docx-entity-address": Sample("entity2.docx", word("", before='<!DOCTYPE x SYSTEM "@URL@dtd">')),
    "docx-laughs": Sample("laughs.docx", word("<w:p><w:r><w:t>&e9;</w:t></w:r></w:p>", before=_LAUGHS)),
    "docx-many-pages": Sample("pages.docx", word('<w:p><w:r><w:br w:type="page"/></w:r></w:p>' * 30_000)),
    "docx-tables-in-tables": Sample("tables.docx", word("<w:tbl><w:tr><w:tc>" * 2000 + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * 2000)),
    "docx-wide-table": Sample("wide.docx", word(f'<w:tbl><w:tr>{"<w:tc><w:p/></w:tc>" * 20_000}</w:tr></w:tbl>')),
    "docx-fuzzed": Sample("fuzzed.docx", lambda _: _fuzzed("letter.docx", 20, 100)),
    "odt-fetches-picture": Sample("fetch.odt", writer(written(_FRAME.format("@URL@image")))),
    "odt-links-file": Sample("file.odt", writer(written(_FRAME.format("file://@FILE@")))),
    "odt-links-section": Sample("section.odt", writer(written('<text:section text:name="s"><text:section-source xlink:href="file://@FILE@"/><text:p>x</text:p></text:section>')), quick=True),
    "odt-links-address": Sample("section2.odt", writer(written('<text:section text:name="s"><text:section-source xlink:href="@URL@text"/><text:p>x</text:p></text:section>'))),
    "odt-object": Sample("object.odt", writer(written('<text:p><draw:frame svg:width="50mm" svg:height="50mm"><draw:floating-frame xlink:href="@URL@frame"/></draw:frame></text:p>'))),
    "odt-entity": Sample("entity.odt", writer(written("<text:p>&x;</text:p>"), '<!DOCTYPE x [<!ENTITY x SYSTEM "file://@FILE@">]>')),
    "odt-laughs": Sample("laughs.odt", writer(written("<text:p>&e9;</text:p>"), _LAUGHS), quick=True),
    "odt-locked": Sample("locked.odt", lambda _: changed("letter.odt", **{"META-INF__manifestDOTxml": b"<manifest:encryption-data/>"}), quick=True),
    "odt-deep": Sample("deep.odt", writer(written("<text:section>" * 20_000 + "</text:section>" * 20_000))),
    "xlsx-web-service": Sample("service.xlsx", sheet('<row r="1"><c r="A1"><f>WEBSERVICE("@URL@service")</f></c></row>'), quick=True),
    "xlsx-command": Sample("command.xlsx", sheet("<row r=\"1\"><c r=\"A1\"><f>cmd|'/c touch @FILE@'!A1</f></c></row>")),
    "xlsx-many-rows": Sample("rows.xlsx", sheet(_ROWS)),
    "xlsx-far-cell": Sample("far.xlsx", sheet('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')),
    "xlsx-circle": Sample("circle.xlsx", sheet('<row r="1"><c r="A1"><f>B1+1</f></c><c r="B1"><f>A1+1</f></c></row>')),
    "xlsx-repeats": Sample("repeats.xlsx", sheet('<row r="1"><c r="A1"><f>REPT("x",32767)&amp;REPT(REPT("y",999),99999)</f></c></row>')),
    "xlsx-nothing": Sample("nothing.xlsx", sheet("")),
    "rtf-fetches": Sample("fetch.rtf", rich('{\\field{\\*\\fldinst INCLUDEPICTURE "@URL@picture" \\\\d}{\\fldrslt x}}')),
    "rtf-links-object": Sample("object.rtf", rich("{\\object\\objautlink\\objupdate{\\*\\objclass Word.Document}{\\*\\objdata 0105}}")),
    "rtf-braces": Sample("braces.rtf", rich("{" * 300_000)),
    "rtf-binary": Sample("binary.rtf", rich("{\\pict\\bin2147483647 x}")),
    "rtf-tables": Sample("tables.rtf", rich("\\trowd\\cellx1" * 50_000)),
    "rtf-noise": Sample("noise.rtf", lambda _: b"{\\rtf1" + _NOISE.randbytes(20_000)),
    "doc-fuzzed": Sample("fuzzed.doc", lambda _: _fuzzed("letter.doc"), quick=True),
    "doc-cut": Sample("cut.doc", lambda _: (FORMATS / "letter.doc").read_bytes()[:3000]),
    "doc-no-streams": Sample("none.doc", lambda _: _ole("Something"), quick=True),
    "doc-hollow": Sample("hollow.doc", lambda _: _ole("WordDocument", "1Table")),
    "xls-fuzzed": Sample("fuzzed.xls", lambda _: _fuzzed("sheet.xls")),
    "xls-hollow": Sample("hollow.xls", lambda _: _ole("Workbook")),
    "ppt-fuzzed": Sample("fuzzed.ppt", lambda _: _fuzzed("slides.ppt", 400)),
    "pptx-giant-slide": Sample("giant.pptx", lambda _: repacked((FORMATS / "slides.pptx").read_bytes(), {"ppt/presentation.xml": zipfile.ZipFile(FORMATS / "slides.pptx").read("ppt/presentation.xml").replace(b'<p:sldSz cx="', b'<p:sldSz cx="9999')})),
    "msg-named-doc": Sample("mail.msg", lambda _: _ole("__properties_version1.0"), quick=True),
}  # fmt: skip
