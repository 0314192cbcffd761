"""The text of a page laid over its picture: words that can be searched and copied, and are not drawn.

Text rendering mode 3 (ISO 32000-1 section 9.3.6), in a font of one glyph without ink that is embedded all the same, so
that no program goes looking for another (PDF/A asks for it of rendered text only, ISO 19005-2 section 6.2.11.4.1). Each
character of the document has a code of its own, whose meaning the ToUnicode map tells (ISO 32000-1 section 9.10.3);
its glyph is never ``.notdef`` (ISO 19005-2 section 6.2.11.8).

Lines are written as they would be drawn, from the left, and so are the letters of a word that is read from the right:
programs put them into their logical order as they do with what WeasyPrint, LibreOffice or a browser drew (seen with
Poppler, PDFium and PDF.js; words in their logical order lost their spaces in PDF.js).
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from converters.pdffile import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from converters.pdffile import PdfFile

#: Codes are two bytes; one document has far fewer letters.
_MOST_CODES = 60_000
#: The glyph's advance in thousandths, and how high letters stand over the baseline in those of the size.
_ADVANCE, _ASCENT, _DESCENT = 500, 800, -200
#: The font's date, 2026-01-01 in seconds since 1904.
_BORN = 3_850_070_400
#: Dots from a page's corner beyond which no word stands; what is no number (JSON's NaN) stands nowhere.
_FARTHEST = 100_000
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
_NUMBER = re.compile(r"[0-9][0-9.,:/%-]*[0-9%]|[0-9]")
_BRACKETS = str.maketrans("()[]{}<>«»", ")(][}{><»«")


@dataclass(frozen=True, slots=True)
class Word:
    """A word where it stands: pixels of the fax page from its upper left corner, ``right`` and ``bottom`` past the end.

    ``line``: words of one line share it. ``baseline``: pixels from the top. ``text`` is in logical order. ``turned``:
    it stands on its head, as on a page that was fed in the wrong way round; its baseline is then above it.
    """

    line: int
    left: float
    top: float
    right: float
    bottom: float
    baseline: float
    text: str
    turned: bool = False


def dumped(words: Iterable[Word]) -> bytes:
    """Return words as bytes for :func:`loaded`."""
    rows = [(w.line, w.left, w.top, w.right, w.bottom, w.baseline, w.text, w.turned) for w in words]
    return json.dumps(rows, separators=(",", ":")).encode()


def loaded(data: bytes) -> list[Word]:
    """Return the words of :func:`dumped`; raises :class:`ValueError` or :class:`TypeError` for anything else."""
    words = [
        Word(int(line), float(left), float(top), float(right), float(bottom), float(baseline), str(text), bool(turned))
        for line, left, top, right, bottom, baseline, text, turned in json.loads(data)
    ]
    if not all(abs(place) <= _FARTHEST for w in words for place in (w.left, w.top, w.right, w.bottom, w.baseline)):
        raise ValueError("a word does not stand on a page")
    return words


class TextLayer:
    """The text of one document: gives each page's drawing, then the font that all share."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    @property
    def used(self) -> bool:
        """Whether any page has text, and so needs the font."""
        return bool(self._codes)

    def drawing(self, words: Sequence[Word], x_scale: float, y_scale: float, height: float) -> bytes:
        """Return the operators that lay the words over a page of ``height`` points; a pixel is x by y points."""
        parts: list[str] = []
        for _, line in groupby(words, key=lambda word: word.line):
            placed = [word for word in line if word.right > word.left and word.bottom > word.top]
            if not placed:
                continue
            tall = median(word.bottom - word.top for word in placed) * y_scale
            size = min(max(tall / (_ASCENT - _DESCENT) * 1000, 1.0), 1000.0)
            for word in sorted(placed, key=lambda word: -word.right if word.turned else word.left):
                parts += self._word(word, size, x_scale, height - word.baseline * y_scale)
        return f"BT 3 Tr\n{''.join(parts)}ET\n".encode("ascii") if parts else b""

    def _word(self, word: Word, size: float, x_scale: float, baseline: float) -> list[str]:
        text = visual(printable(word.text).strip())
        codes = [code for letter in text if (code := self._code(letter))]
        if not codes:
            return []
        stretch = (word.right - word.left) * x_scale / (len(codes) * size * _ADVANCE / 1000) * 100
        shown = "".join(f"{code:04x}" for code in codes)
        way, start = (-1, word.right) if word.turned else (1, word.left)
        place = f"{way} 0 0 {way} {start * x_scale:.2f} {baseline:.2f} Tm"
        return [f"/T {size:.2f} Tf {max(stretch, 0.1):.2f} Tz {place} <{shown}> Tj\n"]

    def _code(self, letter: str) -> int:
        """Return a letter's code; 0, which is never shown, where there is no room for another."""
        if letter not in self._codes and len(self._codes) < _MOST_CODES:
            self._codes[letter] = len(self._codes) + 1
        return self._codes.get(letter, 0)

    def font(self, file: PdfFile, number: int) -> None:
        """Write the font as object ``number`` (ISO 32000-1 sections 9.7.4 and 9.9)."""
        program = _program()
        embedded = file.add(f"<</Length {len(program)}/Length1 {len(program)}>>", program)
        descriptor = file.add(
            f"<</Type/FontDescriptor/FontName/Unseen/Flags 4/FontBBox[0 {_DESCENT} {_ADVANCE} {_ASCENT}]/ItalicAngle 0"
            f"/Ascent {_ASCENT}/Descent {_DESCENT}/CapHeight {_ASCENT}/StemV 0/FontFile2 {embedded} 0 R>>"
        )
        glyphs = b"\0\0" + b"\0\1" * len(self._codes)
        map_of_glyphs = file.add(f"<</Length {len(glyphs)}>>", glyphs)
        descendant = file.add(
            "<</Type/Font/Subtype/CIDFontType2/BaseFont/Unseen/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)"
            f"/Supplement 0>>/FontDescriptor {descriptor} 0 R/DW {_ADVANCE}/CIDToGIDMap {map_of_glyphs} 0 R>>"
        )
        meanings = self._meanings()
        to_unicode = file.add(f"<</Length {len(meanings)}>>", meanings)
        file.put(
            number,
            f"<</Type/Font/Subtype/Type0/BaseFont/Unseen/Encoding/Identity-H/DescendantFonts[{descendant} 0 R]"
            f"/ToUnicode {to_unicode} 0 R>>",
        )

    def _meanings(self) -> bytes:
        """Return the ToUnicode map: at most a hundred characters in a block (Adobe Technical Note 5411)."""
        rows = [f"<{code:04x}> <{letter.encode('utf-16-be').hex()}>\n" for letter, code in self._codes.items()]
        blocks = [rows[start : start + 100] for start in range(0, len(rows), 100)]
        body = "".join(f"{len(block)} beginbfchar\n{''.join(block)}endbfchar\n" for block in blocks)
        return (
            "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
            "/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n"
            "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
            f"1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n{body}"
            "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
        ).encode("ascii")


def visual(text: str) -> str:
    """Return a word in the order in which it is drawn, from the left: numbers stay as they are, brackets are mirrored.

    >>> visual("(abc)"), visual("ב-30") == "30-ב"
    ('(abc)', True)
    """
    if not _from_the_right(text):
        return text
    turned = text.translate(_BRACKETS)[::-1]
    return _NUMBER.sub(lambda number: number[0][::-1], turned)


def _from_the_right(text: str) -> bool:
    return any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in text)


@lru_cache(maxsize=1)
def _program() -> bytes:
    """Return the TrueType program: ``.notdef`` and one glyph, without the time at which it was made.

    The glyph is a line there and back: nothing would be filled, and yet it has the box of a letter. PDFium, and so
    Chrome, leaves out words of one letter whose glyph is empty (seen), and marks what was found by these boxes.
    """
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", "unseen"]
    pen = TTGlyphPen(None)
    pen.moveTo((0, _DESCENT))
    pen.lineTo((_ADVANCE, _ASCENT))
    pen.closePath()
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({0x20: "unseen"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "unseen": pen.glyph()})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (_ADVANCE, 0)))
    builder.setupHorizontalHeader(ascent=_ASCENT, descent=_DESCENT)
    builder.setupPost(keepGlyphNames=False)
    builder.updateHead(created=_BORN, modified=_BORN)
    made = io.BytesIO()
    builder.save(made)
    return made.getvalue()
