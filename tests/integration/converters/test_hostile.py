"""Documents that mean harm or are merely broken: each ends in one sentence for its sender, and quickly."""

from __future__ import annotations

import io
import os
import random
import struct
import time
import zlib
from typing import TYPE_CHECKING

import pikepdf
import pytest
from PIL import Image

from converters import Allowance, Broken, Converter, Reason, Refused, Rendering, Source

from ...hostile.papers import PAPERS
from ...hostile.sample import Aim

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay.confine import Confinement

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _pdf(content: bytes = b"", *, box: str = "[0 0 595 842]", count: int = 1) -> bytes:
    file = pikepdf.new()
    for _ in range(count):
        page = file.add_blank_page(page_size=(595, 842))
        page.obj.MediaBox = pikepdf.Object.parse(box.encode())
        page.obj.Contents = pikepdf.Stream(file, content)
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def _encrypted() -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(_pdf())) as file:
        file.save(out, encryption=pikepdf.Encryption(owner="o", user="u"))
    return out.getvalue()


def _png_bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def _tiff(entries: dict[int, int], data: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory of LONGs, its data at the end."""
    offset = 8 + 2 + 12 * len(entries) + 4
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value or offset) for tag, value in sorted(entries.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4) + data


def _fax_tiff(compression: int, data: bytes, **more: int) -> bytes:
    tags = {256: 1728, 257: 1000, 258: 1, 259: compression, 262: 0, 273: 0, 277: 1, 278: 1000, 279: len(data)}
    return _tiff(tags | {int(tag[1:]): value for tag, value in more.items()}, data)


def _truncated_jpeg() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((800, 800), 60).save(out, "JPEG")
    return out.getvalue()[:3000]


def _large_picture() -> bytes:
    """A picture that PDFium would decode to 360 MB, and no decoder of ours in less."""
    file = pikepdf.new()
    page = file.add_blank_page(page_size=(595, 842))
    picture = pikepdf.Stream(file, zlib.compress(bytes(1000)), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image)
    picture.Width, picture.Height, picture.BitsPerComponent = 12_000, 10_000, 8
    picture.ColorSpace, picture.Filter = pikepdf.Name.DeviceRGB, pikepdf.Name.FlateDecode
    page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(I=picture))
    page.obj.Contents = pikepdf.Stream(file, b"595 0 0 842 0 0 cm /I Do")
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


NOISE = random.Random(7).randbytes(4000)

SAMPLES: dict[str, tuple[str, Callable[[], bytes], Reason]] = {
    "encrypted": ("secret.pdf", _encrypted, Reason.ENCRYPTED),
    "zero bytes": ("empty.pdf", lambda: b"", Reason.EMPTY),
    "truncated PDF": ("cut.pdf", lambda: b"%PDF-1.7\n" + NOISE[:300], Reason.DAMAGED),
    "junk named PDF": ("junk.pdf", lambda: NOISE, Reason.DAMAGED),
    "text named PDF": ("note.pdf", lambda: b"Just words.\n", Reason.DAMAGED),
    "PostScript named PDF": ("run.pdf", lambda: b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file\n", Reason.MISMATCH),
    "page too long": ("tape.pdf", lambda: _pdf(box="[0 0 200 2000000]"), Reason.TOO_LARGE),
    "page without area": ("thin.pdf", lambda: _pdf(box="[0 0 0.01 0.01]"), Reason.TOO_LARGE),
    "too many pages": ("book.pdf", lambda: _pdf(count=301), Reason.TOO_MANY_PAGES),
    "PNG bomb": ("bomb.png", _png_bomb, Reason.TOO_LARGE),
    "truncated JPEG": ("half.jpg", _truncated_jpeg, Reason.DAMAGED),
    "tiled TIFF": ("tiles.tif", lambda: _fax_tiff(4, NOISE, t322=256, t323=256, t324=0, t325=4000), Reason.DAMAGED),
    "JBIG TIFF": ("jbig.tif", lambda: _fax_tiff(34661, NOISE), Reason.DAMAGED),
    "corrupt G4": ("noise.tif", lambda: _fax_tiff(4, NOISE), Reason.DAMAGED),
    "truncated G4": ("short.tif", lambda: _fax_tiff(4, b"\x26\xa1"), Reason.DAMAGED),
    "TIFF of four billion rows": ("tall.tif", lambda: _fax_tiff(4, NOISE, t257=0xFFFFFFF0), Reason.DAMAGED),
    "TIFF that bites its tail": ("loop.tif", lambda: _fax_tiff(4, b"\x26")[:-5] + b"\x08\0\0\0&", Reason.DAMAGED),
    "text with NULs": ("binary.txt", lambda: b"abc\0def\0\0\0ghi" * 40, Reason.UNSUPPORTED),
    "text of blanks": ("blank.txt", lambda: b" \n\t\n\f ", Reason.EMPTY),
    "Word document": ("letter.docx", lambda: b"PK\x03\x04" + NOISE, Reason.DAMAGED),
    "page of remote pictures": (
        "news.html",
        lambda: b"<html><body><table><tr><td><img src='https://example.com/all.png'></table></body></html>",
        Reason.NEEDS_NETWORK,
    ),
    "page that a script makes": (
        "app.html",
        lambda: b"<html><div id=root></div><script src='https://example.com/app.js'></script></html>",
        Reason.NEEDS_NETWORK,
    ),
    "drawing of a remote picture": (
        "plan.svg",
        lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="https://example.com/a.png"/></svg>',
        Reason.NEEDS_NETWORK,
    ),
    "table without end": (
        "table.html",
        lambda: b"<html><body><table>" + b"<tr><td>1<td>2" * 5000,
        Reason.TOO_LARGE,
    ),
    "many pixels in a PDF": ("map.pdf", _large_picture, Reason.TOO_LARGE),
    "program": ("setup.exe", lambda: b"MZ" + NOISE, Reason.UNSUPPORTED),
}


@pytest.mark.parametrize("sample", list(SAMPLES))
async def test_a_bad_document_is_refused_with_a_sentence(converter: Converter, tmp_path: Path, sample: str) -> None:
    """Lost otherwise: the sender is not told what to mend; or garbage is faxed and called sent."""
    name, make, reason = SAMPLES[sample]
    (tmp_path / "in").write_bytes(make())
    started = time.monotonic()
    with pytest.raises(Refused) as refusal:
        await converter.to_fax([Source(name, "", tmp_path / "in")], Rendering(), tmp_path / "out.tif")
    assert refusal.value.reason is reason, refusal.value.sentence
    assert refusal.value.sentence.startswith(f'"{name}" ')
    assert "Please" in refusal.value.sentence
    assert time.monotonic() - started < 20


async def test_a_document_without_end_is_stopped(confinement: Confinement, tmp_path: Path) -> None:
    """Lost otherwise: one PDF of twelve million operators keeps a worker busy for ever."""
    lines = b"".join(b"%d %d m %d %d l S " % (x % 595, x % 842, (7 * x) % 595, (3 * x) % 842) for x in range(30_000))
    (tmp_path / "in").write_bytes(_pdf(lines * 40))
    impatient = Converter(confinement, Allowance(wall=1.0))
    started = time.monotonic()
    sources = [Source("fine.txt", "", tmp_path / "fine"), Source("endless.pdf", "", tmp_path / "in")]
    (tmp_path / "fine").write_text("A page.")
    with pytest.raises(Refused) as refusal:
        await impatient.to_fax(sources, Rendering(), tmp_path / "out.tif")
    assert refusal.value.reason is Reason.TOO_LONG
    assert refusal.value.source == "endless.pdf", "the sender must know which of the files it was"
    assert time.monotonic() - started < 10


async def test_a_document_that_wants_all_memory_is_refused(confinement: Confinement, tmp_path: Path) -> None:
    """Lost otherwise: one document takes the memory of the machine, and with it everybody's faxes."""
    bomb = PAPERS["pdf-content-bomb"]
    (tmp_path / "in").write_bytes(bomb.make(Aim("http://127.0.0.1:9/", str(tmp_path / "canary"))))
    modest = Converter(confinement, Allowance(address_space=900 * 1024 * 1024))
    with pytest.raises(Refused) as refusal:
        await modest.to_fax([Source(bomb.name, "", tmp_path / "in")], Rendering(), tmp_path / "out.tif")
    assert refusal.value.reason in {Reason.TOO_LARGE, Reason.DAMAGED}


async def test_the_next_document_is_not_harmed(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: after one hostile document nobody can fax any more."""
    (tmp_path / "in").write_bytes(NOISE)
    with pytest.raises(Refused):
        await converter.to_fax([Source("x.pdf", "", tmp_path / "in")], Rendering(), tmp_path / "out.tif")
    made = await converter.to_fax([Source("a.pdf", "", documents / "one-page.pdf")], Rendering(), tmp_path / "out.tif")
    assert len(made.pages) == 1


async def test_names_from_outside_stay_on_one_line(converter: Converter, tmp_path: Path) -> None:
    """Lost otherwise: a file's name breaks out of the sentence into a header of the answer."""
    (tmp_path / "in").write_bytes(b"")
    name = 'a"\r\nBcc: everybody@example.com\r\n' + "x" * 300 + ".pdf"
    with pytest.raises(Refused) as refusal:
        await converter.to_fax([Source(name, "", tmp_path / "in")], Rendering(), tmp_path / "out.tif")
    assert refusal.value.sentence.isprintable()
    assert len(refusal.value.sentence) < 200


async def test_an_answer_that_is_not_one_is_our_fault(tmp_path: Path) -> None:
    """Lost otherwise: a worker that was taken over makes the service believe in pages that are not there."""

    class Liar:
        async def run(self, entry: str, request: object, fds: object = (), limits: object = None) -> dict[str, object]:  # noqa: ARG002
            return {"done": [["one", None]]}

    (tmp_path / "in").write_text("A page.")
    with pytest.raises(Broken):
        await Converter(Liar()).to_fax([Source("a.txt", "", tmp_path / "in")], Rendering(), tmp_path / "out.tif")


async def test_no_descriptor_is_left_open(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the service runs out of descriptors after some thousand faxes."""
    source = Source("fax.tif", "", documents / "fax.tif")
    await converter.to_fax([source], Rendering(), tmp_path / "out.tif")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  one call; Path.iterdir would count itself, too
    for _ in range(5):
        await converter.to_fax([source], Rendering(), tmp_path / "out.tif")
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
