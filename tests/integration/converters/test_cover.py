"""The cover page, drawn in the confined child and read back as a fax machine gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pytest

from converters import Converter, Cover, Reason, Refused, Rendering, Source
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
