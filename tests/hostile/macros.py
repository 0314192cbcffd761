"""Hostile macros: Basic bound to the opening of a document, and VBA that runs by its name.

What they would do is seen: they write over the watched file and ask the listened address for a page. That they do it where
nothing stops them, tests/integration/converters/test_macros.py shows beside. Sources: OpenDocument 1.3 part 3 section
4.13 (event listeners), MS-OVBA sections 2.3.4.2 (dir stream) and 2.4.1 (compression), MS-CFB.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING, Any

from .office import FORMATS, repacked, writer, written
from .sample import Sample
from .web import aimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sample import Aim, Samples

_DO = """ On Error Resume Next
 Open "@FILE@" For Output As #1
 Print #1, "changed"
 Close #1
"""
#: LibreOffice's own way to an address; VBA has none that works there.
_ASK = ' createUnoService("com.sun.star.ucb.SimpleFileAccess").openFileRead("@URL@macro")\n'
_BASIC = f"""<?xml version="1.0"?><script:module xmlns:script="http://openoffice.org/2000/script" script:name="M"
 script:language="StarBasic">Sub Main
{_DO}{_ASK}End Sub</script:module>""".replace('"@', "&quot;@").replace('@"', "@&quot;")
_LIBRARY = b"""<?xml version="1.0"?><library:library xmlns:library="http://openoffice.org/2000/library" library:name="Standard"
 library:readonly="false" library:passwordprotected="false"><library:element library:name="M"/></library:library>"""
_LIBRARIES = b"""<?xml version="1.0"?><library:libraries xmlns:library="http://openoffice.org/2000/library"
 xmlns:xlink="http://www.w3.org/1999/xlink"><library:library library:name="Standard" library:link="false"/></library:libraries>"""
_NAMES = ("Basic/script-lc.xml", "Basic/Standard/script-lb.xml", "Basic/Standard/M.xml")
_PYTHON = b"""def main(*given):
    open("@FILE@", "w").write("changed")
    import urllib.request
    urllib.request.urlopen("@URL@python")
"""


def _bound(target: str) -> str:
    return "".join(
        '<script:event-listener script:language="ooo:script" xlink:type="simple" '
        f'script:event-name="{event}" xlink:href="vnd.sun.star.script:{target}"/>'
        for event in ("dom:load", "office:load-finished", "office:view-created")
    )


_ON_BASIC = f"<office:scripts><office:event-listeners>{_bound('Standard.M.Main?language=Basic&amp;location=document')}</office:event-listeners></office:scripts>"
_ON_PYTHON = f"<office:scripts><office:event-listeners>{_bound('evil.py$main?language=Python&amp;location=document')}</office:event-listeners></office:scripts>"


def _listed(data: bytes, names: tuple[str, ...], parts: dict[str, bytes]) -> bytes:
    """An OpenDocument with more parts, which its manifest names."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        manifest = package.read("META-INF/manifest.xml").decode()
    rows = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="text/xml"/>' for name in names
    )
    listed = manifest.replace("</manifest:manifest>", rows + "</manifest:manifest>").encode()
    return repacked(data, {**parts, "META-INF/manifest.xml": listed})


def _basic_in_text(aim: Aim) -> bytes:
    parts = dict(zip(_NAMES, (_LIBRARIES, _LIBRARY, aimed(_BASIC, aim)), strict=True))
    return _listed(writer(_ON_BASIC + written(""))(aim), _NAMES, parts)


def _basic_in(name: str) -> Callable[[Aim], bytes]:
    """The maker of an OpenDocument sample with the macro in it."""

    def make(aim: Aim) -> bytes:
        data = (FORMATS / name).read_bytes()
        with zipfile.ZipFile(FORMATS / name) as package:
            content = package.read("content.xml").decode()
        listeners = _ON_BASIC.removeprefix("<office:scripts>").removesuffix("</office:scripts>")
        if "<office:scripts/>" in content:
            content = content.replace("<office:scripts/>", _ON_BASIC)
        elif "</office:scripts>" in content:
            content = content.replace("</office:scripts>", listeners + "</office:scripts>")
        else:
            content = content.replace("<office:font-face-decls", _ON_BASIC + "<office:font-face-decls", 1)
        spaces = {
            "script": "urn:oasis:names:tc:opendocument:xmlns:script:1.0", "xlink": "http://www.w3.org/1999/xlink",
            "dom": "http://www.w3.org/2001/xml-events", "ooo": "http://openoffice.org/2004/office",
        }  # fmt: skip
        for prefix, space in spaces.items():
            if f"xmlns:{prefix}=" not in content:
                content = content.replace(
                    "<office:document-content ", f'<office:document-content xmlns:{prefix}="{space}" ', 1
                )
        parts = dict(zip(_NAMES, (_LIBRARIES, _LIBRARY, aimed(_BASIC, aim)), strict=True))
        return _listed(data, _NAMES, {**parts, "content.xml": content.encode()})

    return make


def _python(aim: Aim) -> bytes:
    name = "Scripts/python/evil.py"
    return _listed(writer(_ON_PYTHON + written(""))(aim), (name,), {name: aimed(_PYTHON.decode(), aim)})


def _packed(data: bytes) -> bytes:
    """A compressed container of literals alone (MS-OVBA 2.4.1); up to 3,600 bytes fit its one chunk."""
    chunk = b"".join(b"\0" + data[at : at + 8] for at in range(0, len(data), 8))
    return b"\x01" + struct.pack("<H", 0xB000 | (len(chunk) + 2 - 3)) + chunk


def _record(number: int, data: bytes) -> bytes:
    return struct.pack("<HI", number, len(data)) + data


def project(modules: dict[str, tuple[str, bool]]) -> bytes:
    """A vbaProject.bin: source by module, and whether the module is one of the document."""
    directory = (
        _record(1, struct.pack("<I", 1))
        + _record(2, struct.pack("<I", 0x409))
        + _record(0x14, struct.pack("<I", 0x409))
    )
    directory += _record(3, struct.pack("<H", 1252)) + _record(4, b"VBAProject") + _record(5, b"") + _record(0x40, b"")
    directory += _record(6, b"") + _record(0x3D, b"") + _record(7, bytes(4)) + _record(8, bytes(4))
    directory += struct.pack("<HIIH", 9, 4, 1, 1) + _record(0xC, b"") + _record(0x3C, b"")
    directory += _record(0xF, struct.pack("<H", len(modules))) + _record(0x13, struct.pack("<H", 0xFFFF))
    streams: dict[str, bytes] = {}
    lines = 'ID="{00000000-0000-0000-0000-000000000000}"\r\n'
    for name, (source, of_document) in modules.items():
        coded, wide = name.encode("cp1252"), name.encode("utf-16-le")
        directory += _record(0x19, coded) + _record(0x47, wide) + _record(0x1A, coded) + _record(0x32, wide)
        directory += _record(0x1C, b"") + _record(0x48, b"") + _record(0x31, bytes(4)) + _record(0x1E, bytes(4))
        directory += _record(0x2C, b"\xff\xff") + _record(0x22 if of_document else 0x21, b"") + _record(0x2B, b"")
        text = f'Attribute VB_Name = "{name}"\r\n' + source.replace("\n", "\r\n")
        streams[name] = _packed(text.encode("cp1252"))
        lines += f"Document={name}/&H00000000\r\n" if of_document else f"Module={name}\r\n"
    streams["dir"] = _packed(directory + _record(0x10, b""))
    streams["_VBA_PROJECT"] = b"\xcc\x61\xff\xff\0\0\0"
    return compound({"VBA": streams}, {"PROJECT": (lines + 'Name="VBAProject"\r\n').encode("cp1252")})


def compound(folders: dict[str, dict[str, bytes]], files: dict[str, bytes]) -> bytes:
    """A compound file (MS-CFB) of small streams alone, which all lie in its mini stream."""
    free, end, none = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF
    mini = b""
    minifat: list[int] = []
    entries: list[list[Any]] = []

    def entry(name: str, kind: int, start: int = 0, size: int = 0) -> list[Any]:
        entries.append([name, kind, none, none, none, start, size])
        return entries[-1]

    def stored(name: str, data: bytes) -> None:
        nonlocal mini
        first, count = len(minifat), -(-len(data) // 64)
        minifat.extend([*range(first + 1, first + count), end])
        mini += data + bytes(-len(data) % 64)
        entry(name, 2, first, len(data))

    def linked(below: list[Any], names: list[int]) -> None:
        """A tree without branches, in the order of length and capitals (MS-CFB 2.6.4)."""
        order = sorted(names, key=lambda at: (len(str(entries[at][0])), str(entries[at][0]).upper()))
        below[4] = order[0]
        for one, after in zip(order, [*order[1:], none], strict=True):
            entries[one][3] = after

    root = entry("Root Entry", 5)
    top = []
    for folder, streams in folders.items():
        top.append(len(entries))
        place = entry(folder, 1)
        inside = []
        for name, data in streams.items():
            inside.append(len(entries))
            stored(name, data)
        linked(place, inside)
    for name, data in files.items():
        top.append(len(entries))
        stored(name, data)
    linked(root, top)
    sectors = [-(-len(mini) // 512), -(-len(minifat) * 4 // 512), -(-len(entries) // 4)]
    starts = [1, 1 + sectors[0], 1 + sectors[0] + sectors[1]]
    root[5], root[6] = starts[0], len(mini)
    fat = [0xFFFFFFFD]
    for start, count in zip(starts, sectors, strict=True):
        fat += [*range(start + 1, start + count), end]
    fat += [free] * (128 - len(fat))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIII", 0, 1, starts[2], 0, 4096, starts[1], sectors[1], end, 0)
    head += struct.pack("<I", 0) + struct.pack("<I", free) * 108
    rows = b""
    for name, kind, left, right, child, start, size in entries:
        coded = str(name).encode("utf-16-le") + b"\0\0"
        rows += coded.ljust(64, b"\0") + struct.pack("<HBB", len(coded), kind, 1)
        rows += struct.pack("<III", left, right, child) + bytes(36) + struct.pack("<IQ", start, size)
    rows += (bytes(64) + struct.pack("<HBBIII", 0, 0, 0, none, none, none) + bytes(48)) * (-len(entries) % 4)
    body = struct.pack("<128I", *fat) + mini + bytes(-len(mini) % 512)
    body += struct.pack(f"<{len(minifat)}I", *minifat) + b"\xff" * (-len(minifat) * 4 % 512) + rows
    return head + body


_VBA = "http://schemas.microsoft.com/office/2006/relationships/vbaProject"


def _with_vba(
    name: str, folder: str, main: str, kind: str, modules: dict[str, tuple[str, bool]]
) -> Callable[[Aim], bytes]:
    """The maker of an OOXML sample with a VBA project in it."""

    def make(aim: Aim) -> bytes:
        with zipfile.ZipFile(FORMATS / name) as package:
            types, links = (
                package.read(part).decode() for part in ("[Content_Types].xml", f"{folder}/_rels/{main}.xml.rels")
            )
        types = types.replace(f"application/vnd.openxmlformats-officedocument.{kind}.main+xml", {
            "wordprocessingml.document": "application/vnd.ms-word.document.macroEnabled.main+xml",
            "spreadsheetml.sheet": "application/vnd.ms-excel.sheet.macroEnabled.main+xml",
            "presentationml.presentation": "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml",
        }[kind])  # fmt: skip
        override = f'<Override PartName="/{folder}/vbaProject.bin" ContentType="application/vnd.ms-office.vbaProject"/>'
        types = types.replace("</Types>", override + "</Types>")
        link = f'<Relationship Id="rIdVba" Type="{_VBA}" Target="vbaProject.bin"/>'
        links = links.replace("</Relationships>", link + "</Relationships>")
        filled = {module: (aimed(source, aim).decode(), document) for module, (source, document) in modules.items()}
        return repacked((FORMATS / name).read_bytes(), {
            "[Content_Types].xml": types.encode(), f"{folder}/_rels/{main}.xml.rels": links.encode(),
            f"{folder}/vbaProject.bin": project(filled),
        })  # fmt: skip

    return make


_AUTO = f"Sub AutoOpen()\n{_DO}End Sub\nSub Auto_Open()\n{_DO}End Sub\nSub AutoExec()\n{_DO}End Sub\n"
_WORD = {"ThisDocument": (f"Private Sub Document_Open()\n{_DO}End Sub\n", True), "Module1": (_AUTO, False)}
_EXCEL = {"ThisWorkbook": (f"Private Sub Workbook_Open()\n{_DO}End Sub\n", True), "Module1": (_AUTO, False)}

MACROS: Samples = {
    "odt-macro": Sample("macro.odt", _basic_in_text, quick=True),
    "ods-macro": Sample("macro.ods", _basic_in("sheet.ods")),
    "odp-macro": Sample("macro.odp", _basic_in("slides.odp")),
    "odt-python": Sample("python.odt", _python),
    "docm-macro": Sample(
        "macro.docm", _with_vba("letter.docx", "word", "document", "wordprocessingml.document", _WORD)
    ),
    "xlsm-macro": Sample("macro.xlsm", _with_vba("sheet.xlsx", "xl", "workbook", "spreadsheetml.sheet", _EXCEL)),
}
