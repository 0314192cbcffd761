"""Gray into black and white: writing survives whatever it stands on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from converters import binarise as binarising
from converters.document import Mode
from converters.tiff import Page, Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS = "Sphinx of black quartz 5531"
FACE = ImageFont.truetype("DejaVuSans.ttf", 34)
BOX = (100, 300, 1300, 420)  # a banner of 150 by 15 mm


def binarise(page: NDArray[np.uint8], y_dpi: int, mode: Mode) -> tuple[NDArray[np.bool_], str]:
    """The page's ink, a truth for each pixel, and its treatment."""
    rows, treatment = binarising.binarise(page, y_dpi, mode)
    return np.unpackbits(rows, axis=1, count=page.shape[1]).astype(np.bool_), treatment


def sheet(ground: int, ink: int, paper: int = 255) -> NDArray[np.uint8]:
    """A page with a banner of gray ``ground`` on which words of gray ``ink`` stand."""
    page = Image.new("L", (1728, 1000), paper)
    pen = ImageDraw.Draw(page)
    pen.rectangle(BOX, fill=ground)
    pen.text((200, 340), WORDS, fill=ink, font=FACE)
    return np.asarray(page)


def letters() -> NDArray[np.bool_]:
    """Where the words' ink is."""
    return np.asarray(sheet(255, 0) < 128)


def scanned(page: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The page as a scanner in a shadow sees it."""
    y, x = np.mgrid[0 : page.shape[0], 0 : page.shape[1]]
    shade = 0.72 + 0.2 * x / page.shape[1] + 0.05 * y / page.shape[0]
    noise = np.random.default_rng(3).normal(0, 4, page.shape)
    return np.asarray(np.clip((12 + page * 0.94) * shade + noise, 0, 255), np.uint8)


def coded(ink: NDArray[np.bool_]) -> int:
    """Bytes of the page as it is sent."""
    descriptor = os.memfd_create("page")
    writer = Writer(descriptor)
    writer.add(Page(ink.shape[1], ink.shape[0], 204, 196, np.packbits(ink, axis=1).tobytes()))
    size = writer.close()[0]
    os.close(descriptor)
    return size


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize(
    ("ground", "ink"),
    [(255, 0), (255, 150), (187, 0), (222, 0), (222, 70), (58, 255), (119, 255), (85, 0), (0, 255), (100, 230)],
)
def test_words_can_be_read_on_any_ground(ground: int, ink: int, scan: bool) -> None:
    """Lost otherwise: the amount on a coloured invoice arrives as a black bar or a cloud of dots."""
    page = sheet(ground, ink)
    out, _ = binarise(scanned(page) if scan else page, 196, Mode.AUTO)
    region = (slice(330, 400), slice(190, 800))
    drawn, meant = out[region], letters()[region]
    if drawn.mean() > 0.5:  # turned: light words on black
        drawn = ~drawn
    agree = (drawn & meant).sum() / (drawn | meant).sum()
    assert agree > (0.6 if scan else 0.75)


def test_very_light_writing_is_kept() -> None:
    """Lost otherwise: gray or yellow text on a letter vanishes, which plain cutting at half does to it."""
    page = sheet(255, 200)
    assert not (page < 128).any()
    out, _ = binarise(page, 196, Mode.AUTO)
    assert out.sum() == pytest.approx(letters().sum(), rel=0.25)


def test_the_bars_of_a_chart_stay_apart() -> None:
    """Lost otherwise: all bars turn black or white and the chart says nothing."""
    page = Image.new("L", (1728, 1000), 255)
    pen = ImageDraw.Draw(page)
    for place, gray in ((100, 60), (300, 136), (500, 187), (700, 221)):
        pen.rectangle((place, 300, place + 80, 700), fill=gray)
    out, _ = binarise(np.asarray(page), 196, Mode.AUTO)
    shares = [float(out[320:680, place + 10 : place + 70].mean()) for place in (100, 300, 500, 700)]
    assert shares[0] == 1.0
    assert 0.2 < shares[1] < 0.6
    assert 0.02 < shares[2] < 0.2
    assert 0.02 < shares[3] < 0.2


@pytest.mark.parametrize("y_dpi", [98, 196])
@pytest.mark.parametrize("width", [28, 34, 48])
def test_narrow_bars_side_by_side_stay_apart(y_dpi: int, width: int) -> None:
    """Lost otherwise: bars of 4 mm that stand close turn solid, because the paper between them is taken for writing."""
    page = Image.new("L", (1728, 700 * y_dpi // 196), 255)
    pen = ImageDraw.Draw(page)
    grays = (90, 136, 187, 221)
    for index, gray in enumerate(grays * 3):
        left = 100 + index * (width + 20)
        pen.rectangle((left, 100 * y_dpi // 196, left + width - 1, 600 * y_dpi // 196), fill=gray)
    out, _ = binarise(np.asarray(page), y_dpi, Mode.AUTO)
    for index, gray in enumerate(grays * 3):
        left = 100 + index * (width + 20)
        ink = out[120 * y_dpi // 196 : 580 * y_dpi // 196, left + 4 : left + width - 4].mean()
        assert (ink == 1.0) if gray == 90 else (0.02 < ink < 0.6)


def test_a_few_words_on_a_long_banner_are_kept() -> None:
    """Lost otherwise: the heads of a table, white on orange, drown in a hatch."""
    page = Image.new("L", (1728, 1000), 255)
    pen = ImageDraw.Draw(page)
    pen.rectangle((100, 300, 1600, 360), fill=149)
    pen.text((130, 314), "Item", fill=255, font=ImageFont.truetype("DejaVuSans-Bold.ttf", 28))
    out, _ = binarise(scanned(np.asarray(page)), 196, Mode.AUTO)
    assert out[305:355, 400:1590].mean() > 0.97
    assert 0.5 < out[310:350, 130:205].mean() < 0.9


def test_a_tint_leaves_no_edge() -> None:
    """Lost otherwise: each coloured box gets stray lines around it, which cost time and look like a fault."""
    for ground in (222, 187, 230):
        out, _ = binarise(sheet(ground, 0), 196, Mode.AUTO)
        assert (out & ~letters()).sum() < 0.1 * letters().sum()


def test_paper_in_a_shadow_is_white() -> None:
    """Lost otherwise: a page photographed on a desk arrives half black and takes minutes."""
    page = scanned(sheet(255, 0))
    out, _ = binarise(page, 196, Mode.AUTO)
    assert out.mean() < 0.02
    assert coded(out) < 6_000


def test_a_photograph_is_screened_within_reason() -> None:
    """Lost otherwise: a photo is unrecognisable, or one page of it takes ten minutes of line."""
    rng = np.random.default_rng(5)
    clouds = sum(
        np.asarray(
            Image.fromarray(rng.random((n, n)).astype(np.float32)).resize((1600, 1200), Image.Resampling.BICUBIC)
        )
        / n
        for n in (3, 6, 12, 24, 48)
    )
    gray = np.clip((clouds - np.min(clouds)) / np.ptp(clouds) * 255, 0, 255).astype(np.uint8)
    page = np.full((1400, 1728), 255, np.uint8)
    page[100:1300, 64:1664] = gray
    out, treatment = binarise(page, 196, Mode.AUTO)
    assert treatment in {"photo", "mixed"}
    blocks = (1200 // 40, 1600 // 40)
    tone = gray.reshape(blocks[0], 40, blocks[1], 40).mean(axis=(1, 3))
    ink = out[100:1300, 64:1664].reshape(blocks[0], 40, blocks[1], 40).mean(axis=(1, 3))
    assert np.corrcoef(255 - tone.ravel(), ink.ravel())[0, 1] > 0.95
    assert coded(out) < 260_000


@pytest.mark.parametrize("height", [1, 7, 31, 97, 1000])
@pytest.mark.parametrize("y_dpi", [98, 196, 391])
@pytest.mark.parametrize("level", [0, 90, 200, 255])
def test_any_height_and_level_is_taken(height: int, y_dpi: int, level: int) -> None:
    """Lost otherwise: an odd page ends the conversion with an error instead of a fax."""
    page = np.full((height, 1728), level, np.uint8)
    page[: height // 2, :700] = 30
    for mode in Mode:
        out, _ = binarise(page, y_dpi, mode)
        assert out.shape == page.shape
        assert out.dtype == np.bool_


def enlarged(factor: float, top: int = 40) -> NDArray[np.uint8]:
    """A picture of a gray page with a dark banner and two lines of text, enlarged: its edges ring, as Lanczos's do."""
    small = Image.new("L", (round(700 / factor), round(480 / factor)), 235)
    pen = ImageDraw.Draw(small)
    bold, plain = (ImageFont.truetype(name, round(34 / factor)) for name in ("DejaVuSans-Bold.ttf", "DejaVuSerif.ttf"))
    pen.rectangle((0, 60 / factor, small.width, 120 / factor), fill=66)
    pen.text((20 / factor, 70 / factor), "Metric", fill=255, font=bold)
    for line in range(8):
        pen.text((20 / factor, (150 + 40 * line) / factor), f"{line}. The levels", fill=30, font=plain)
    page = np.full((1100, 1728), 255, np.uint8)
    page[top : top + 480, 500:1200] = np.asarray(small.resize((700, 480), Image.Resampling.LANCZOS))
    return page


@pytest.mark.parametrize("factor", [1.2, 1.36, 2.0, 2.72])
def test_a_banner_of_an_enlarged_picture_is_whole(factor: float) -> None:
    """Lost otherwise: white blocks beside the bold letters of small banners, where the picture rings."""
    out, _ = binarise(enlarged(factor), 196, Mode.AUTO)
    banner = out[106:154, 506:1190]
    assert banner[:8].all()
    assert banner[:, 160:].all()
    assert 0.03 < 1 - banner[:, :160].mean() < 0.4


@pytest.mark.parametrize("factor", [1.2, 1.36, 2.0, 2.72])
def test_text_below_a_banner_is_what_it_is_without_it(factor: float) -> None:
    """Lost otherwise: letters that the edge of the banner's band runs through become blots."""
    for top in range(40, 72, 4):
        page = enlarged(factor, top)
        alone = page.copy()
        alone[top : top + 140, 500:1200] = 235
        (with_banner, _), (without, _) = (binarise(one, 196, Mode.AUTO) for one in (page, alone))
        below = slice(top + 146, top + 480)
        assert (with_banner[below] != without[below]).sum() < 60
