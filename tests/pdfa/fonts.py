"""Fonts: ISO 19005-2 section 6.2.11. Ours are TrueType or OpenType programs behind Type 0 fonts; others are told."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import pikepdf
from fontTools.ttLib import TTFont, TTLibError
from pikepdf import Name

from .graphics import contents
from .rules import File, rule

_UNSEEN = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """One code that is shown in a font, and whether it is drawn."""

    font: pikepdf.Object
    code: int
    drawn: bool


def used(file: File) -> Iterator[tuple[pikepdf.Object, bool]]:
    """Yield each font that text is set in, and whether it is drawn."""
    seen: set[tuple[tuple[int, int], bool]] = set()
    for one in shown(file):
        if (key := (one.font.objgen, one.drawn)) not in seen:
            seen.add(key)
            yield one.font, one.drawn


def shown(file: File) -> Iterator[Shown]:
    """Yield what is shown, code by code (two bytes each: Identity-H)."""
    for _, resources, instructions in contents(file):
        font, mode = None, 0
        kept: list[tuple[pikepdf.Object | None, int]] = []
        for operands, operator in instructions:
            match operator:
                case "q":
                    kept.append((font, mode))
                case "Q":
                    font, mode = kept.pop() if kept else (None, 0)
                case "Tf":
                    font = resources[Name.Font][str(operands[0])]
                case "Tr":
                    mode = int(operands[0])
                case "Tj" | "TJ" | "'" | '"' if font is not None:
                    yield from (Shown(font, code, mode != _UNSEEN) for code in _codes(operands[-1]))


def _codes(told: pikepdf.Object) -> Iterator[int]:
    for part in list(told) if isinstance(told, pikepdf.Array) else [told]:
        if isinstance(part, pikepdf.String):
            data = bytes(part)
            yield from (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2))


def _all(file: File) -> Iterator[pikepdf.Object]:
    for one in file.dictionaries():
        if one.get(Name.Type) == Name.Font:
            yield one


def _descendant(font: pikepdf.Object) -> pikepdf.Object:
    return font[Name.DescendantFonts][0]


def _program(font: pikepdf.Object) -> pikepdf.Object | None:
    descriptor = _descendant(font).get(Name.FontDescriptor)
    return None if descriptor is None else descriptor.get("/FontFile2", descriptor.get("/FontFile3"))


@lru_cache(maxsize=64)
def _opened(data: bytes) -> TTFont:
    return TTFont(io.BytesIO(data), lazy=True)


def _glyph(font: pikepdf.Object, code: int) -> int:
    mapping = _descendant(font).get(Name.CIDToGIDMap)
    if isinstance(mapping, pikepdf.Stream):
        data = mapping.read_bytes()
        return int.from_bytes(data[2 * code : 2 * code + 2], "big")
    return code


def _width(font: pikepdf.Object, code: int) -> float:
    """What the dictionary says of a glyph's advance (ISO 32000-1 section 9.7.4.3)."""
    found = _descendant(font)
    rows = list(found.get(Name.W, []))
    while rows:
        first = int(rows.pop(0))
        second = rows.pop(0)
        if isinstance(second, pikepdf.Array):
            if first <= code < first + len(second):
                return float(second[code - first])
        else:
            width = rows.pop(0)
            if first <= code <= int(second):
                return float(width)
    return float(found.get(Name.DW, 1000))


@rule("6.2.11.2", 1)
def type_zero(file: File) -> Iterator[str]:
    """Text is set in Type 0 fonts (others are never ours, and not judged), with a name (number 3)."""
    for font, _ in used(file):
        if font.get(Name.Subtype) != Name.Type0:
            yield f"{font.get(Name.Subtype)!s}"
        elif Name.BaseFont not in font or Name.BaseFont not in _descendant(font):
            yield "no name"


@rule("6.2.11.2", 2)
def known_types(file: File) -> Iterator[str]:
    """Fonts are of a known subtype, and what FontFile3 holds is, too (number 7)."""
    for font in _all(file):
        if str(font.get(Name.Subtype)) not in {
            "/Type0",
            "/CIDFontType0",
            "/CIDFontType2",
            "/TrueType",
            "/Type1",
            "/Type3",
        }:
            yield str(font.get(Name.Subtype))
        descriptor = font.get(Name.FontDescriptor, pikepdf.Dictionary())
        held = descriptor.get("/FontFile3")
        if held is not None and str(held.get(Name.Subtype)) not in {"/Type1C", "/CIDFontType0C", "/OpenType"}:
            yield str(held.get(Name.Subtype))


@rule("6.2.11.3.1", 1)
def identity(file: File) -> Iterator[str]:
    """Codes are glyph numbers of the font's own: Identity-H (6.2.11.3.3: no other map is ours)."""
    for font, _ in used(file):
        if font.get(Name.Encoding) not in {Name("/Identity-H"), Name("/Identity-V")}:
            yield str(font.get(Name.Encoding))


@rule("6.2.11.3.2", 1)
def mapped(file: File) -> Iterator[str]:
    """An embedded TrueType program says which glyph a code is (CIDToGIDMap)."""
    for font, _ in used(file):
        if _descendant(font).get(Name.Subtype) == Name.CIDFontType2 and Name.CIDToGIDMap not in _descendant(font):
            yield str(font.get(Name.BaseFont))


@rule("6.2.11.4.1", 1)
def embedded(file: File) -> Iterator[str]:
    """Programs of fonts are embedded (text that is not drawn is exempt; its font is embedded all the same)."""
    for font, _ in used(file):
        held = _program(font)
        if held is None:
            yield str(font.get(Name.BaseFont))
            continue
        try:
            _opened(held.read_bytes())
        except (TTLibError, AssertionError):
            yield f"{font.get(Name.BaseFont)!s}: no font"


@rule("6.2.11.4.1", 2)
def all_glyphs(file: File) -> Iterator[str]:
    """Each glyph that is drawn is in its program."""
    for one in shown(file):
        held = _program(one.font)
        if held is not None and _glyph(one.font, one.code) >= _opened(held.read_bytes())["maxp"].numGlyphs:
            yield f"{one.font.get(Name.BaseFont)!s} {one.code}"


@rule("6.2.11.4.2", 2)
def subsets(file: File) -> Iterator[str]:
    """A CIDSet, which need not be there, is not."""
    for font in _all(file):
        if "/CIDSet" in font.get(Name.FontDescriptor, pikepdf.Dictionary()):
            yield str(font.get(Name.BaseFont))


@rule("6.2.11.5", 1)
def widths(file: File) -> Iterator[str]:
    """Widths in the dictionary are those of the program, within one thousandth."""
    for font, code in {(id(one.font), one.code): (one.font, one.code) for one in shown(file)}.values():
        held = _program(font)
        if held is None:
            continue
        program = _opened(held.read_bytes())
        names, glyph = program.getGlyphOrder(), _glyph(font, code)
        if glyph < len(names):
            real = program["hmtx"][names[glyph]][0] * 1000 / program["head"].unitsPerEm
            if abs(real - _width(font, code)) > 1:
                yield f"{font.get(Name.BaseFont)!s} {code}: {_width(font, code)} is {real:.1f}"


@rule("6.2.11.8", 1)
def no_notdef(file: File) -> Iterator[str]:
    """Nothing that is shown, drawn or not, is .notdef."""
    for one in shown(file):
        if _glyph(one.font, one.code) == 0:
            yield f"{one.font.get(Name.BaseFont)!s} {one.code}"


@rule("6.2.11.7.2", 0)
def can_be_copied(file: File) -> Iterator[str]:
    """Each font tells what its glyphs mean (of level U, which receipts and searchable faxes are to keep)."""
    for font, _ in used(file):
        if Name.ToUnicode not in font:
            yield str(font.get(Name.BaseFont))
