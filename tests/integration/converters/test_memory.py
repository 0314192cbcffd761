"""No honest document takes more than 300 MB, however large: measured at the child that converts it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pikepdf
import pillow_heif
import pytest
from PIL import Image, ImageDraw, ImageFont
from weasyprint import HTML  # type: ignore[import-untyped]

from .peak import measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST = 300
_TEXT = "<style>@page { size: A4; margin: 22mm }</style><p>" + "The levels were read at seven in the morning. " * 80


@pytest.fixture(autouse=True)
def _many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests make what Pillow would warn of."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)


def _scene(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rows = np.linspace(0, 200, height, dtype=np.uint8)[:, None]
    columns = np.linspace(0, 55, width, dtype=np.uint8)[None, :]
    picture = Image.fromarray(rows + columns)
    font = ImageFont.truetype("DejaVuSans-Bold.ttf", height // 8)
    ImageDraw.Draw(picture).text((width // 20, height // 3), "MANY PIXELS", fill="white", font=font)
    return picture.convert(mode)


def _jpeg(path: Path) -> None:
    _scene(12_000, 10_000).save(path, "JPEG", quality=80)


def _png(path: Path) -> None:
    _scene(12_000, 10_000).save(path, "PNG", compress_level=1)


def _tiff(path: Path) -> None:
    _scene(12_000, 10_000).save(path, "TIFF", compression="tiff_lzw")


def _one_strip(path: Path) -> None:
    _scene(4_960, 7_016).save(path, "TIFF", dpi=(600, 600), strip_size=1 << 30)


def _telephone(path: Path) -> None:
    """As telephones write them: a grid of small tiles."""
    pillow_heif.register_heif_opener()
    pillow_heif.options.GRID_TILE_SIZE = 512
    try:
        picture = Image.new("RGB", (8_064, 6_048), "white")
        picture.paste(_scene(2_016, 1_512), (512, 512))
        picture.save(path, "HEIF", quality=50)
    finally:
        pillow_heif.options.GRID_TILE_SIZE = 0


def _times(page: bytes, count: int, path: Path) -> None:
    with pikepdf.new() as book, pikepdf.open(io.BytesIO(page)) as one:
        for _ in range(count):
            book.pages.append(one.pages[0])
        book.save(path)


def _book(path: Path) -> None:
    _times(HTML(string=_TEXT).write_pdf(), 300, path)


def _scans(path: Path) -> None:
    sheet = np.asarray(_scene(1_654, 2_339), np.int16)
    noise = np.random.default_rng(1)
    sheets = [
        Image.fromarray(np.clip(sheet + noise.normal(0, 4, (2_339, 1_654, 1)), 0, 255).astype(np.uint8))
        for _ in range(12)
    ]
    sheets[0].save(path, "PDF", save_all=True, append_images=sheets[1:], resolution=200, quality=70)


def _poster(path: Path) -> None:
    _scene(9_933, 12_000).save(path, "PDF", resolution=300, quality=80)


def _sharp_scan(path: Path) -> None:
    _scene(4_960, 7_016).save(path, "PDF", resolution=600, quality=85)


def _sharp_jpx(path: Path) -> None:
    """PDFium draws nothing where it lacks the memory for one, and says nothing."""
    coded = io.BytesIO()
    _scene(4_960, 7_016).save(coded, "JPEG2000", quality_mode="rates", quality_layers=[80])
    with pikepdf.new() as book:
        page = book.add_blank_page(page_size=(595, 842))
        picture = pikepdf.Stream(book, b"", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image)
        picture.write(coded.getvalue(), filter=pikepdf.Name.JPXDecode)
        picture.Width, picture.Height = 4_960, 7_016
        page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Scan=picture))
        page.obj.Contents = pikepdf.Stream(book, b"595 0 0 842 0 0 cm /Scan Do")
        book.save(path)


def _table(path: Path) -> None:
    rows = "".join(f"<tr><td>{n}<td>An item of the list<td>{n * 3}<td>words in a cell" for n in range(1_900))
    path.write_text(f"<html><body><table border=1>{rows}</table>", encoding="ascii")


#: (name, maker, pages of its fax)
LARGE: list[tuple[str, Callable[[Path], None], int]] = [
    ("camera.jpg", _jpeg, 1), ("screen.png", _png, 1), ("map.tif", _tiff, 1), ("one-strip.tif", _one_strip, 1),
    ("telephone.heic", _telephone, 1), ("book.pdf", _book, 300), ("scans.pdf", _scans, 12), ("poster.pdf", _poster, 1),
    ("sharp.pdf", _sharp_scan, 1), ("sharp-jpx.pdf", _sharp_jpx, 1), ("table.html", _table, 40),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "pages"), LARGE, ids=[name for name, _, _ in LARGE])
def test_a_large_document_takes_little_memory(
    tmp_path: Path, name: str, make: Callable[[Path], None], pages: int
) -> None:
    """Lost otherwise: four large documents at once take the memory of a small machine, and its faxes with it."""
    make(tmp_path / name)
    (peak,) = measured(tmp_path / name)
    assert not peak.refused
    assert peak.pages >= pages
    assert peak.least > 1_000, "a page is blank"
    assert peak.megabytes <= MOST


def test_what_would_take_more_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """Lost otherwise: a progressive picture holds half a gigabyte until its last scan."""
    path = tmp_path / "progressive.jpg"
    _scene(12_000, 10_000).save(path, "JPEG", quality=70, progressive=True)
    (peak,) = measured(path)
    assert peak.refused == "too_large"
    assert peak.megabytes <= 120
