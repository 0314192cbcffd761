"""Hostile PDFs: loops, bombs, absurd boxes, actions, and files that lie about themselves."""

from __future__ import annotations

import io
import random
import zlib
from typing import TYPE_CHECKING

import pikepdf

from .sample import Sample

if TYPE_CHECKING:
    from .sample import Aim, Samples

_NOISE = random.Random(11)


def raw(*objects: bytes, root: int = 1, more: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1, with a true table of them."""
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer\n<</Size %d/Root %d 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, root, more, start,
    )  # fmt: skip


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object's body."""
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(data), entries, data)


def page(
    content: bytes, *, page_entries: bytes = b"", box: bytes = b"[0 0 595 842]", more: tuple[bytes, ...] = ()
) -> bytes:
    """A PDF of one page; the content is object 4, what follows begins at 5."""
    return raw(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox%s/Contents 4 0 R%s>>" % (box, page_entries),
        stream(content),
        *more,
    )


def catalog(entries: bytes, *more: bytes) -> bytes:
    """A good page under a catalog with these entries; what follows begins at object 5."""
    return raw(
        b"<</Type/Catalog/Pages 2 0 R%s>>" % entries,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
        stream(b"0 0 m 300 300 l S"),
        *more,
    )


def _saved(password: str, owner: str) -> bytes:
    file, out = pikepdf.new(), io.BytesIO()
    file.add_blank_page(page_size=(595, 842))
    file.save(out, encryption=pikepdf.Encryption(user=password, owner=owner))
    return out.getvalue()


def _many(count: int) -> bytes:
    kids = b" ".join(b"3 0 R" for _ in range(count))
    return raw(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
    )


def _nested_forms(depth: int, width: int) -> bytes:
    forms = []
    for level in range(depth):
        inner = b"/F%d Do " % (level + 1) * width if level < depth - 1 else b"0 0 m 9 9 l S"
        xobject = b"/XObject<</F%d %d 0 R>>" % (level + 1, 6 + level) if level < depth - 1 else b""
        forms.append(stream(inner, b"/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<<%s>>" % xobject))
    return page(b"/F0 Do", page_entries=b"/Resources<</XObject<</F0 5 0 R>>>>", more=tuple(forms))


def _image(width: int, height: int, data: bytes, form: bytes = b"/FlateDecode") -> bytes:
    entries = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter %s"
    drawn = stream(data, entries % (width, height, form))
    return page(b"595 0 0 842 0 0 cm /I Do", page_entries=b"/Resources<</XObject<</I 5 0 R>>>>", more=(drawn,))


def _fuzzed(data: bytes, changes: int) -> bytes:
    bad = bytearray(data)
    for _ in range(changes):
        bad[_NOISE.randrange(20, len(bad))] = _NOISE.randrange(256)
    return bytes(bad)


def _font(data: bytes) -> bytes:
    font = b"<</Type/Font/Subtype/TrueType/BaseFont/X/FontDescriptor 6 0 R/FirstChar 65/LastChar 65/Widths[600]>>"
    descriptor = b"<</Type/FontDescriptor/FontName/X/Flags 4/FontFile2 7 0 R/FontBBox[0 0 1 1]/Ascent 1/Descent 0>>"
    text = b"BT /F 40 Tf 50 500 Td (AAAA) Tj ET"
    return page(text, page_entries=b"/Resources<</Font<</F 5 0 R>>>>", more=(font, descriptor, stream(data)))


def _action(kind: bytes) -> bytes:
    return catalog(b"/OpenAction 5 0 R", b"<</Type/Action%s>>" % kind)


def _outside(aim: Aim) -> bytes:
    entry = b"<</Length 0/F<</Type/Filespec/FS/URL/F(%s)>>>>\nstream\n\nendstream" % aim.url.encode()
    return raw(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents[4 0 R 5 0 R]>>", entry,
        b"<</Length 0/F(%s)>>\nstream\n\nendstream" % aim.file.encode(),
    )  # fmt: skip


def _xfa(aim: Aim) -> bytes:
    form = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{aim.url}"><!ENTITY f SYSTEM "file://{aim.file}">]><x>&e;&f;</x>'
    return catalog(b"/AcroForm<</Fields[]/XFA 5 0 R>>", stream(form.encode()))


_LINES = b"".join(b"%d %d m %d %d l S " % (x % 595, x % 842, (7 * x) % 595, (3 * x) % 842) for x in range(20_000))
_TILE = b"/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep 0.001/YStep 0.001/Resources<<>>"

PAPERS: Samples = {
    "pdf-locked": Sample("secret.pdf", lambda _: _saved("u", "o"), quick=True),
    "pdf-owner-locked": Sample("printable.pdf", lambda _: _saved("", "o"), quick=True),
    "pdf-head-alone": Sample("head.pdf", lambda _: b"%PDF-1.7\n", quick=True),
    "pdf-cut-in-half": Sample("half.pdf", lambda _: _many(3)[:200]),
    "pdf-no-pages": Sample("none.pdf", lambda _: _many(0), quick=True),
    "pdf-a-million-pages": Sample("book.pdf", lambda _: _many(1_000_000)),
    "pdf-a-lie-of-pages": Sample("lie.pdf", lambda _: _many(1).replace(b"/Count 1", b"/Count 999999999")),
    "pdf-a-negative-lie": Sample("less.pdf", lambda _: _many(1).replace(b"/Count 1", b"/Count -5")),
    "pdf-page-tree-bites-its-tail": Sample(
        "loop.pdf",
        lambda _: raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"), quick=True,
    ),
    "pdf-page-is-its-own-parent": Sample(
        "self.pdf",
        lambda _: raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Page/Parent 2 0 R/Kids[2 0 R]/Count 1>>"),
    ),
    "pdf-table-bites-its-tail": Sample(
        "prev.pdf", lambda _: raw(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>", more=b"/Prev 9")
    ),
    "pdf-giant-box": Sample("tape.pdf", lambda _: page(b"", box=b"[0 0 200 9000000]"), quick=True),
    "pdf-box-of-nothing": Sample("dot.pdf", lambda _: page(b"", box=b"[0 0 0 0]")),
    "pdf-box-inside-out": Sample("turned.pdf", lambda _: page(b"", box=b"[595 842 0 0]")),
    "pdf-box-beyond-numbers": Sample("nan.pdf", lambda _: page(b"", box=b"[0 0 1e999 1e999]")),
    "pdf-giant-unit": Sample("unit.pdf", lambda _: page(b"", page_entries=b"/UserUnit 75000")),
    "pdf-endless-operators": Sample("endless.pdf", lambda _: page(_LINES * 300)),
    "pdf-endless-saves": Sample("saves.pdf", lambda _: page(b"q " * 3_000_000)),
    "pdf-forms-in-forms": Sample("forms.pdf", lambda _: _nested_forms(30, 8)),
    "pdf-form-draws-itself": Sample(
        "mirror.pdf",
        lambda _: page(
            b"/F Do", page_entries=b"/Resources<</XObject<</F 5 0 R>>>>",
            more=(stream(b"/F Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 5 0 R>>>>"),),
        ), quick=True,
    ),
    "pdf-tiny-tiles": Sample(
        "tiles.pdf",
        lambda _: page(
            b"/Pattern cs /P scn 0 0 595 842 re f", page_entries=b"/Resources<</Pattern<</P 5 0 R>>>>",
            more=(stream(b"0 0 1 1 re f", _TILE),),
        ),
    ),
    "pdf-content-bomb": Sample(
        "bomb.pdf",
        lambda _: raw(
            b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
            stream(zlib.compress(bytes(900_000_000), 9), b"/Filter/FlateDecode"),
        ),
    ),
    "pdf-filters-in-filters": Sample(
        "filters.pdf",
        lambda _: raw(
            b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
            stream(b"00>" * 9, b"/Filter[%s]" % (b"/ASCIIHexDecode" * 3000)),
        ), quick=True,
    ),
    "pdf-picture-bomb": Sample("picture.pdf", lambda _: _image(30_000, 30_000, zlib.compress(bytes(100_000_000), 9))),
    "pdf-picture-lies": Sample("claim.pdf", lambda _: _image(2_000_000_000, 2_000_000_000, b"x"), quick=True),
    "pdf-bad-jpeg2000": Sample("wavelet.pdf", lambda _: _image(9, 9, _NOISE.randbytes(900), b"/JPXDecode")),
    "pdf-bad-jbig2": Sample("jbig.pdf", lambda _: _image(9, 9, _NOISE.randbytes(900), b"/JBIG2Decode")),
    "pdf-brackets": Sample("deep.pdf", lambda _: page(b"[" * 2_000_000)),
    "pdf-dictionaries": Sample("dicts.pdf", lambda _: catalog(b"/X " + b"<</A " * 100_000)),
    "pdf-bad-font": Sample("font.pdf", lambda _: _font(b"\0\1\0\0\0\x10" + _NOISE.randbytes(4000)), quick=True),
    "pdf-script": Sample(
        "script.pdf", lambda aim: _action(b"/S/JavaScript/JS(app.launchURL\\('%s'\\);)" % aim.url.encode()), quick=True
    ),
    "pdf-launch": Sample("launch.pdf", lambda aim: _action(b"/S/Launch/F(%s)" % aim.file.encode())),
    "pdf-address": Sample("address.pdf", lambda aim: _action(b"/S/URI/URI(%s)" % aim.url.encode())),
    "pdf-sends-form": Sample("send.pdf", lambda aim: _action(b"/S/SubmitForm/F(%s)" % aim.url.encode())),
    "pdf-content-outside": Sample("outside.pdf", _outside, quick=True),
    "pdf-form-entities": Sample("xfa.pdf", _xfa),
    "pdf-fuzzed": Sample("fuzzed.pdf", lambda _: _fuzzed(_nested_forms(4, 2), 60)),
    "pdf-is-postscript": Sample(
        "run.pdf", lambda aim: b"%%!PS\n(%s) (r) file pop showpage\n" % aim.file.encode(), quick=True
    ),
    "pdf-and-zip": Sample("both.pdf", lambda _: b"PK\x03\x04" + page(b"0 0 m 9 9 l S")),
}  # fmt: skip
