"""Documents through the whole of the converters, in their sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
from typing import TYPE_CHECKING, cast

import numpy as np
import pikepdf
import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pytest
from PIL import Image

from converters import (
    Converter,
    FaxStrip,
    HeaderLine,
    Mode,
    Paper,
    Reason,
    Refused,
    Rendering,
    Resolution,
    Source,
)
from converters.tiff import opened

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINE = HeaderLine("2026-11-21 02:33 UTC", "Lindenhof Instruments", "+41 44 555 01 09")


def bitmaps(path: Path) -> list[NDArray[np.uint8]]:
    """The packed rows of each page."""
    with path.open("rb") as file, opened(file.fileno()) as reader:
        pages = [reader.page(tags.height) for tags in reader.directories(1000)]
    return [np.frombuffer(page.rows, np.uint8).reshape(page.height, -1) for page in pages]


async def test_a_pdf_becomes_fax_pages(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the main job."""
    made = await converter.to_fax(
        [Source("two-pages.pdf", "application/pdf", documents / "two-pages.pdf")], Rendering(), tmp_path / "out.tif"
    )
    assert [(page.number, page.source, page.source_page) for page in made.pages] == [
        (1, "two-pages.pdf", 1),
        (2, "two-pages.pdf", 2),
    ]
    assert all((page.width, page.height, page.y_dpi) == (1728, 2292, 196) for page in made.pages)
    data = (tmp_path / "out.tif").read_bytes()
    assert made.size == len(data)
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    assert 10_000 < made.pages[0].bytes < 30_000
    assert made.pages[0].seconds_at_14400 < 20
    assert made.pages[1].seconds_at_14400 < 90, "a photograph must not cost minutes of line"


async def test_sources_follow_each_other_in_order(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: attachments arrive shuffled, or some of them not at all."""
    names = ["languages.txt", "one-page.pdf", "turned.jpg", "clear.png", "fax.tif"]
    sources = [Source(name, "", documents / name) for name in names]
    made = await converter.to_fax(sources, Rendering(resolution=Resolution.STANDARD), tmp_path / "out.tif")
    assert [(page.source, page.source_page) for page in made.pages] == [
        ("languages.txt", 1),
        ("languages.txt", 2),
        ("one-page.pdf", 1),
        ("turned.jpg", 1),
        ("clear.png", 1),
        ("fax.tif", 1),
        ("fax.tif", 2),
    ]
    assert {page.y_dpi for page in made.pages} == {98}


@pytest.mark.parametrize("resolution", list(Resolution))
async def test_each_resolution_has_its_lines(
    converter: Converter, documents: Path, tmp_path: Path, resolution: Resolution
) -> None:
    """Lost otherwise: letters come out twice as tall at the far end."""
    made = await converter.to_fax(
        [Source("a.pdf", "", documents / "one-page.pdf")], Rendering(resolution=resolution), tmp_path / "out.tif"
    )
    assert made.pages[0].y_dpi == resolution.dpi
    assert made.pages[0].height == pytest.approx(297 / 25.4 * resolution.dpi, abs=1)


async def test_a_fax_passes_pixel_by_pixel(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: a fax that is forwarded gets blurrier each time."""
    await converter.to_fax([Source("fax.tif", "image/tiff", documents / "fax.tif")], Rendering(), tmp_path / "out.tif")
    for sent, given in zip(bitmaps(tmp_path / "out.tif"), bitmaps(documents / "fax.tif"), strict=True):
        assert np.array_equal(sent, given)


async def test_the_tags_are_those_that_t30_engines_need(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the T.30 engine takes the page for another resolution or sends nothing and reports success."""
    await converter.to_fax([Source("a.pdf", "", documents / "two-pages.pdf")], Rendering(), tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as picture:
        tags = dict(picture.tag_v2)  # type: ignore[attr-defined]
        assert picture.n_frames == 2  # type: ignore[attr-defined]
    expected = {
        256: 1728,
        257: 2292,
        258: (1,),
        259: 4,
        262: 0,
        266: 2,
        277: 1,
        278: 2292,
        282: 204.0,
        283: 196.0,
        296: 2,
    }
    assert {tag: tags[tag] for tag in expected} == expected
    assert tags[297] == (0, 0)
    assert 316 not in tags, "the host's name is nobody's business"


async def test_the_header_line_lengthens_nothing(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the page grows by the line and its end falls onto a second sheet of paper."""
    await converter.to_fax([Source("a.pdf", "", documents / "one-page.pdf")], Rendering(), tmp_path / "plain.tif")
    made = await converter.stamp(tmp_path / "plain.tif", LINE, tmp_path / "out.tif")
    plain, stamped = bitmaps(tmp_path / "plain.tif")[0], bitmaps(tmp_path / "out.tif")[0]
    assert made.pages[0].height == len(plain) == len(stamped)
    assert not plain[:31].any()
    assert stamped[:31].any()
    assert np.array_equal(plain[31:], stamped[31:])


async def test_a_fax_becomes_a_pdf_with_the_same_pixels(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the PDF in the mailbox is not what came over the wire, or has a false shape at 98 lines."""
    await converter.to_fax([Source("a", "", documents / "fax.tif")], Rendering(), tmp_path / "fax.tif")
    title = "Fax (1) <ü> שלום"
    await converter.to_pdf(tmp_path / "fax.tif", tmp_path / "out.pdf", title, created="2026-11-21T02:03:04+01:00")
    checked = await asyncio.create_subprocess_exec("qpdf", "--check", tmp_path / "out.pdf", stdout=subprocess.DEVNULL)
    assert await checked.wait() == 0
    with pikepdf.open(tmp_path / "out.pdf") as file:
        assert file.docinfo.Title == title
        assert str(file.docinfo.CreationDate) == "D:20261121020304+01'00'"
        metadata = file.open_metadata()
        assert metadata.pdfa_status == "2B"
        assert metadata["dc:title"] == title
        assert file.Root.PageLabels is not None
        for page, given in zip(file.pages, bitmaps(documents / "fax.tif"), strict=True):
            image = page.get_images()["/F"] if hasattr(page, "get_images") else page.images["/F"]
            drawn = pikepdf.PdfImage(cast("pikepdf.Stream", image)).as_pil_image().convert("1")
            assert np.array_equal(np.packbits(~np.asarray(drawn), axis=1), given)
            width, height = (float(page.mediabox[2]), float(page.mediabox[3]))
            assert width == pytest.approx(1728 / 204 * 72, abs=0.01)
            assert height == pytest.approx(len(given) / 98 * 72, abs=0.01)


async def test_received_pages_become_a_fax_document(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: a received fax cannot be stored; or a page that never ends fills the disk."""
    with (documents / "fax.tif").open("rb") as file, opened(file.fileno()) as reader:
        strips = [
            FaxStrip(tags.width, tags.height, tags.x_dpi, tags.y_dpi, reader.raw_strip())
            for tags in reader.directories(10)
        ]
    endless = FaxStrip(1728, 3_000_000, 204, 98, strips[0].strip)
    broken = FaxStrip(1728, strips[1].height, 204, 98, strips[1].strip[:200] + os.urandom(300))
    made = await converter.assemble([*strips, endless, broken], tmp_path / "out.tif")
    assert [page.treatment for page in made.pages[:2]] == ["received", "received"]
    assert made.pages[2].height == round(1200 / 25.4 * 98)
    assert made.pages[3].treatment == "damaged"
    for kept, given in zip(bitmaps(tmp_path / "out.tif"), bitmaps(documents / "fax.tif"), strict=False):
        assert np.array_equal(kept, given)


async def test_thumbnails_are_the_transmitted_bitmap(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: a receipt shows a page that was never sent, or a squashed one."""
    await converter.to_fax([Source("a", "", documents / "fax.tif")], Rendering(), tmp_path / "fax.tif")
    pictures = await converter.thumbnails(tmp_path / "fax.tif", [2, 1], 432)
    for data, given in zip(pictures, reversed(bitmaps(documents / "fax.tif")), strict=True):
        picture = Image.open(io.BytesIO(data))
        assert picture.mode == "L"
        assert picture.size == (432, round(432 * (len(given) / 98) / (1728 / 204)))
        darkness = 255 - np.asarray(picture, np.float64)
        assert darkness.mean() / 255 == pytest.approx(np.unpackbits(given).mean(), abs=0.004)


@pytest.mark.parametrize("resolution", list(Resolution))
async def test_a_preview_has_the_pixels_that_are_sent(
    converter: Converter, documents: Path, tmp_path: Path, resolution: Resolution
) -> None:
    """Lost otherwise: what one looks at before sending is not what the far machine prints, or is squashed."""
    source = Source("a.pdf", "", documents / "one-page.pdf")
    await converter.to_fax([source], Rendering(resolution=resolution), tmp_path / "out.tif")
    await converter.preview(tmp_path / "out.tif", 1, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.mode == "1"
        times = 2 if resolution is Resolution.SUPERFINE else 1
        assert picture.width == times * 1728
        assert picture.height == pytest.approx(297 / 25.4 * 204 * times, abs=2)
        seen = ~np.asarray(picture)[:, ::times]
    sent = np.unpackbits(bitmaps(tmp_path / "out.tif")[0], axis=1).astype(np.bool_)
    rows = ((np.arange(len(seen)) + 0.5) * len(sent) / len(seen)).astype(np.int64)
    assert np.array_equal(seen, sent[rows])


async def test_more_pages_than_allowed_are_refused(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: somebody faxes a book, or the limit counts each file by itself."""
    sources = [Source(name, "", documents / name) for name in ("one-page.pdf", "two-pages.pdf")]
    with pytest.raises(Refused) as refusal:
        await converter.to_fax(sources, Rendering(max_pages=2), tmp_path / "out.tif")
    assert refusal.value.reason is Reason.TOO_MANY_PAGES
    assert refusal.value.sentence == ('"two-pages.pdf" brings the fax to more than 2 pages. Please send it in parts.')


async def test_modes_differ(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the policy's mode has no effect."""
    made = {}
    for mode in Mode:
        source = Source("p.pdf", "", documents / "two-pages.pdf")
        made[mode] = await converter.to_fax([source], Rendering(mode=mode), tmp_path / f"{mode.value}.tif")
    assert [made[mode].pages[1].treatment for mode in Mode] == ["mixed", "mixed", "photo", "mixed"]
    assert len({document.sha256 for document in made.values()}) == 4
    assert made[Mode.QUALITY].size > 1.1 * made[Mode.AUTO].size, "finer dots have more edges"


async def test_letter_paper_is_shorter(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: American readers get pages that do not fit their paper."""
    source = Source("languages.txt", "text/plain; charset=utf-8", documents / "languages.txt")
    made = await converter.to_fax([source], Rendering(paper=Paper.LETTER), tmp_path / "out.tif")
    assert {page.height for page in made.pages} == {11 * 196}


async def test_text_of_any_script_is_drawn_whole(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the end of a long line, or all Hebrew, is missing from the page."""
    from converters import text

    data = (documents / "languages.txt").read_bytes()
    drawn = pdfium.PdfDocument(text.as_pdf(data, "text/plain", Rendering()))
    words = [page.get_textpage().get_text_range() for page in drawn]
    assert len(words) == 2
    assert "Здравствуйте! Заказ номер 26-1187 готов." in words[0]
    assert "END" in words[0]
    assert "Second page" in words[1]
    assert any("\u0590" < letter < "\u05ff" for letter in words[0])
    await converter.to_fax([Source("l.txt", "", documents / "languages.txt")], Rendering(), tmp_path / "out.tif")
    first = np.unpackbits(bitmaps(tmp_path / "out.tif")[0], axis=1)
    lines = first[:, : 1728 // 2].any(axis=1)
    right_only = first[:, 1728 * 3 // 4 :].any(axis=1) & ~lines
    assert right_only.sum() > 8, "the Hebrew line stands at the right margin"
