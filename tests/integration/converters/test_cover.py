"""The cover page, drawn in the confined child and read back as a fax machine gets it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pytest
from PIL import Image, ImageDraw
from pypdfium2 import raw

from converters import Converter, Cover, FaxDocument, Reason, Refused, Rendering, Resolution, Source
from converters import cover as covering

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")


def cover(*, language: str = "en", text: bool = True, title: str = "Offer <b>4711</b>") -> Cover:
    """A cover whose texts try to be markup."""
    return Cover(language, "+1 202-555-0123", ("Example Ltd", "user@example.com"), title, "21.9.2026", text)


def drawn(data: str, made: Cover, others: int = 2, rendering: Rendering | None = None) -> list[str]:
    """Return the text of each page of a cover."""
    rendering = rendering or Rendering()
    document = pdfium.PdfDocument(covering.as_pdf(data.encode(), "text/plain; charset=utf-8", made, others, rendering))
    return [page.get_textpage().get_text_bounded() for page in document]


async def test_a_cover_comes_first_and_counts_every_page(converter: Converter, documents: Path, tmp_path: Path) -> None:
    """Lost otherwise: the far side does not know whom the fax is for, or that a page is missing."""
    text = tmp_path / "text"
    text.write_text("Dear Sir,\n\nplease find the offer enclosed.\n")
    sources = [
        Source("text.txt", "text/plain; charset=utf-8", text),
        Source("two-pages.pdf", "application/pdf", documents / "two-pages.pdf"),
    ]
    plain = await converter.to_fax(sources[1:], Rendering(), tmp_path / "plain.tif")
    made = await converter.to_fax(sources, Rendering(), tmp_path / "fax.tif", cover=cover())
    assert [(page.number, page.source, page.source_page) for page in made.pages] == [
        (1, "the cover page", 1), (2, "two-pages.pdf", 1), (3, "two-pages.pdf", 2),
    ]  # fmt: skip
    assert [page.bytes for page in made.pages[1:]] == [page.bytes for page in plain.pages], "the others are unchanged"
    assert made.pages[0].bytes > 1000


async def test_a_cover_without_a_text_and_a_text_without_a_document(
    converter: Converter, documents: Path, tmp_path: Path
) -> None:
    """Lost otherwise: a mail without text has no cover, or one that is only text no fax."""
    one = [Source("one-page.pdf", "application/pdf", documents / "one-page.pdf")]
    bare = await converter.to_fax(one, Rendering(), tmp_path / "bare.tif", cover=cover(text=False))
    assert [page.source for page in bare.pages] == ["the cover page", "one-page.pdf"]
    text = tmp_path / "text"
    text.write_text("Only this.")
    alone = await converter.to_fax(
        [Source("text.txt", "text/plain", text)], Rendering(), tmp_path / "alone.tif", cover=cover()
    )
    assert [page.source for page in alone.pages] == ["the cover page"]


async def test_what_a_cover_says() -> None:
    """Lost otherwise: a cover that names the wrong number of pages, or runs its subject as markup."""
    (page,) = drawn("Dear Sir,\n<i>all</i> well?", cover(), others=4)
    for part in ("+1 202-555-0123", "Example Ltd", "user@example.com", "Offer <b>4711</b>", "21.9.2026", "<i>all</i>"):
        assert part in page
    assert "Pages\r\n5" in page or "Pages 5" in page


async def test_a_long_text_goes_on_and_is_counted() -> None:
    """Lost otherwise: the end of a letter is cut off, or the count is wrong."""
    pages = drawn("\n".join(f"line {number}" for number in range(100)), cover(), others=1)
    assert len(pages) > 1
    assert "line 99" in pages[-1]
    assert f"Pages\r\n{len(pages) + 1}" in pages[0] or f"Pages {len(pages) + 1}" in pages[0]
    with pytest.raises(Refused) as refused:
        drawn("\n".join("x" * 10 for _ in range(150)), cover(), others=1, rendering=Rendering(max_pages=2))
    assert refused.value.reason is Reason.TOO_MANY_PAGES


async def test_hebrew_stands_at_the_right() -> None:
    """Lost otherwise: a Hebrew letter begins at the left, its marks at the wrong end."""
    hebrew = covering.as_pdf(
        "שלום רב,".encode(), "text/plain; charset=utf-8", cover(language="he", title="הצעה"), 1, Rendering()
    )
    page = pdfium.PdfDocument(hebrew)[0]
    ink = np.asarray(page.render(scale=1, grayscale=True).to_numpy()).squeeze() < 128
    columns = np.flatnonzero(ink[: ink.shape[0] // 2].any(axis=0))
    assert columns.max() > ink.shape[1] * 0.85
    english = covering.as_pdf("שלום".encode(), "text/plain; charset=utf-8", cover(title=""), 1, Rendering())
    lines = pdfium.PdfDocument(english)[0]
    low = np.asarray(lines.render(scale=1, grayscale=True).to_numpy()).squeeze() < 128
    text = np.flatnonzero(low[int(low.shape[0] * 0.33) : int(low.shape[0] * 0.5)].any(axis=0))
    assert text.size == 0 or text.min() > low.shape[1] * 0.5


LOOKS = ("plain", "office", "letter")
LETTER = {
    "en": """Dear Ms Cohen,

please find enclosed our offer no. 4711 for the renovation of the second floor, as we
discussed on Monday. The prices hold until 31 October 2026.

If you have any questions, call me at +972 3 123 4567 or write to alice@example.com.

Kind regards,
Alice Levi
""",
    "he": """גברת כהן הנכבדה,

מצורפת הצעתנו מס' 4711 לשיפוץ הקומה השנייה, כפי שסוכם ביום שני.
המחירים תקפים עד 31 באוקטובר 2026.

לכל שאלה אפשר להתקשר אליי, 03-1234567, או לכתוב אל alice@example.com.

בברכה,
אליס לוי
""",
}
#: Bytes of a cover with a logo and a letter of ten lines: twice what they are today, a page of plain text has 30,000.
SMALL = {Resolution.STANDARD: 12_000, Resolution.FINE: 18_000}


def logo(kind: str = "PNG") -> bytes:
    """Return a logo in two colours, round and square."""
    picture = Image.new("RGB", (600, 200), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((0, 0, 199, 199), fill=(0, 102, 204))
    pen.rectangle((220, 40, 599, 160), fill=(240, 140, 40))
    coded = io.BytesIO()
    picture.save(coded, kind)
    return coded.getvalue()


def dressed(look: str, language: str = "en", *, logo: Path | None = None) -> Cover:
    """Return a cover with all that a policy can put on it."""
    company = {"en": "Northwind Ltd", "he": "נורת'ווינד בע\"מ"}[language]
    sender = (company, "+972 3-123-4567", "alice@example.com")
    title = {"en": "Second floor", "he": "הקומה השנייה"}[language]
    return Cover(
        language, "+1 202-555-0123", sender, title, "2026-09-21 17:13", has_text=True, look=look, company=company,
        phone="*2700", logo=logo,
    )  # fmt: skip


async def faxed(converter: Converter, made: Cover, folder: Path, rendering: Rendering) -> FaxDocument:
    """Make the fax of a cover alone, ``fax.tif`` in the folder."""
    text = folder / "letter"
    text.write_text(LETTER[made.language], encoding="utf-8")
    source = Source("letter", "text/plain; charset=utf-8", text)
    return await converter.to_fax([source], rendering, folder / "fax.tif", cover=made)


def ink_of(fax: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return the first page of a fax, true where it is black."""
    with Image.open(fax) as picture:
        return np.asarray(picture.convert("L")) < 128


def words_of(fax: Path, resolution: Resolution) -> set[str]:
    """Return what a program reads on the first page of a fax, drawn in true proportion."""
    drawn = Image.fromarray(~ink_of(fax)).convert("L")
    coded = io.BytesIO()
    drawn.resize((drawn.width, round(drawn.height * 204 / resolution.dpi))).save(coded, "PNG", dpi=(204, 204))
    command = ["tesseract", "-", "-", "--psm", "4"]
    read = subprocess.run(command, input=coded.getvalue(), capture_output=True, check=True).stdout
    return set(read.decode().split())


@pytest.mark.parametrize("language", ["en", "he"])
@pytest.mark.parametrize("look", LOOKS)
async def test_every_look_is_small_and_holds_its_shape(
    converter: Converter, tmp_path: Path, look: str, language: str
) -> None:
    """Lost otherwise: a cover costs more line time than the document, or its letters dissolve at 98 lines an inch."""
    (tmp_path / "logo").write_bytes(logo())
    pages = {}
    for resolution in Resolution:
        made = await faxed(
            converter, dressed(look, language, logo=tmp_path / "logo"), tmp_path, Rendering(resolution=resolution)
        )
        (page,) = made.pages
        assert page.bytes < SMALL.get(resolution, 1_000_000)
        pages[resolution] = ink_of(tmp_path / "fax.tif")
    coarse, exact = pages[Resolution.STANDARD], pages[Resolution.SUPERFINE]
    shrunk = Image.fromarray(exact.astype(np.uint8) * 255).resize(
        (coarse.shape[1], coarse.shape[0]), Image.Resampling.BOX
    )
    assert np.corrcoef(np.asarray(shrunk).ravel(), coarse.ravel())[0, 1] > 0.9


@pytest.mark.skipif(shutil.which("tesseract") is None and not os.environ.get("CI"), reason="tesseract is not here")
@pytest.mark.parametrize("resolution", [Resolution.STANDARD, Resolution.FINE])
@pytest.mark.parametrize("look", LOOKS)
async def test_every_look_can_be_read(converter: Converter, tmp_path: Path, look: str, resolution: Resolution) -> None:
    """Lost otherwise: the far side gets a handsome page whose words nobody can read."""
    (tmp_path / "logo").write_bytes(logo())
    made = dressed(look, logo=tmp_path / "logo")
    await faxed(converter, made, tmp_path, Rendering(resolution=resolution))
    read = words_of(tmp_path / "fax.tif", resolution)
    wanted = set(" ".join((LETTER["en"], made.to, made.title, made.company, "alice@example.com")).split())
    assert len(wanted - read) <= len(wanted) // 20, wanted - read


@pytest.mark.parametrize("language", ["en", "he"])
@pytest.mark.parametrize("look", LOOKS)
async def test_no_type_is_small_and_nothing_is_gray(look: str, language: str) -> None:
    """Lost otherwise: a change of the looks brings small or gray type, which a fax machine turns to crumbs."""
    made = dressed(look, language)
    pdf = covering.as_pdf(LETTER[language].encode(), "text/plain; charset=utf-8", made, 0, Rendering(), logo())
    document = pdfium.PdfDocument(pdf)
    page = document[0].get_textpage()
    # WeasyPrint counts in CSS pixels, 3/4 of a point; generated blanks have size 1.
    sizes = {raw.FPDFText_GetFontSize(page, at) * 0.75 for at in range(page.count_chars())}
    assert min(size for size in sizes if size > 1) >= 11 - 0.01
    grays = np.asarray(document[0].render(scale=4, grayscale=True).to_numpy()).squeeze()
    assert ((grays > 40) & (grays < 215)).mean() < 0.03, "only the edges of letters"


@pytest.mark.parametrize("look", LOOKS)
async def test_every_look_says_everything_and_runs_nothing(look: str) -> None:
    """Lost otherwise: a look without the number of pages, or one that takes a subject or a name as markup."""
    evil = "<b onclick='x'>&amp;{{ 7*7 }}</b>"
    made = Cover(
        "en", "+1 202-555-0123", (evil, "+972 3-123-4567", "user@example.com"), evil, "2026-09-21 17:13",
        has_text=True, look=look, company=evil, phone=evil,
    )  # fmt: skip
    (page,) = drawn(f"Dear Sir,\n{evil}", made, others=40)
    joined = " ".join(page.split())
    for part in ("+1 202-555-0123", "+972 3-123-4567", "user@example.com", "41", "2026"):
        assert part in joined
    assert joined.count(evil) >= 4
    assert "49" not in joined


@pytest.mark.parametrize("look", LOOKS)
async def test_a_long_text_goes_on_in_every_look(look: str) -> None:
    """Lost otherwise: the end of a letter is cut off in one look, or the count on its cover is wrong."""
    pages = drawn("\n".join(f"line {number}" for number in range(100)), dressed(look), others=6)
    assert len(pages) in {3, 4}
    assert "line 99" in pages[-1]
    assert f"{len(pages) + 6}" in pages[0].split("Second floor")[0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_a_logo_is_drawn_in_solid_black(converter: Converter, tmp_path: Path, kind: str) -> None:
    """Lost otherwise: a logo in colours arrives as dots, or not at all."""
    (tmp_path / "logo").write_bytes(logo(kind))
    with_logo = await faxed(converter, dressed("letter", logo=tmp_path / "logo"), tmp_path, Rendering())
    head = ink_of(tmp_path / "fax.tif")[: 45 * 196 // 25]
    solid = [all(row[at : at + 200]) for row in head for at in np.flatnonzero(np.diff(row.astype(np.int8)) == 1) + 1]
    assert sum(solid) > 60, "rows of the logo's bar, 31 mm x 10 mm"
    bare = await faxed(converter, dressed("letter"), tmp_path, Rendering())
    assert with_logo.pages[0].bytes < bare.pages[0].bytes + 1500


@pytest.mark.parametrize("data", [b"", b"GIF89a", logo()[:200], b"\x89PNG\r\n\x1a\n" + bytes(100)])
async def test_a_damaged_logo_does_not_stop_a_fax(converter: Converter, tmp_path: Path, data: bytes) -> None:
    """Lost otherwise: a logo that was overwritten by accident holds every fax of the house."""
    (tmp_path / "logo").write_bytes(data)
    made = await faxed(converter, dressed("office", logo=tmp_path / "logo"), tmp_path, Rendering())
    assert len(made.pages) == 1


async def test_a_letter_writes_its_date_out() -> None:
    """Lost otherwise: a formal letter bears the date of a machine."""
    (english,) = drawn("x", dressed("letter"))
    assert "21 September 2026" in english
    (other,) = drawn("x", Cover("en", "+1", ("a",), "t", "yesterday", has_text=True, look="letter"))
    assert "yesterday" in other


async def test_a_language_or_look_that_is_not_there_falls_back() -> None:
    """Lost otherwise: a fax that was accepted under a newer or older release cannot be made."""
    for language, look in (("xx", "office"), ("../en", "office"), ("en", "../office"), ("en", "parts"), ("en", "gone")):
        (page,) = drawn("x", Cover(language, "+1", ("a",), "t", "today", has_text=True, look=look))
        assert "Pages" in page
