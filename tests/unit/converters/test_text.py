"""Plain text, laid out: nothing of it is lost and nothing of it is obeyed."""

from __future__ import annotations

import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pytest

from converters import Paper, Reason, Refused, Rendering
from converters.text import as_pdf


def pages(text: str, rendering: Rendering | None = None) -> list[str]:
    """The words of each page."""
    drawn = pdfium.PdfDocument(as_pdf(text.encode(), "text/plain; charset=utf-8", rendering or Rendering()))
    return [page.get_textpage().get_text_range() for page in drawn]


def test_a_line_without_blanks_is_kept_whole() -> None:
    """Lost otherwise: a line of a megabyte (a key, a log) takes minutes or silently disappears."""
    found = pages("x" * 50_000 + "\nEND\n")
    assert sum(page.count("x") for page in found) == 50_000
    assert "END" in found[-1]


def test_form_feeds_start_pages() -> None:
    """Lost otherwise: reports of old systems run together."""
    assert [page.strip() for page in pages("one\n\ftwo\n\f\n\fthree\n")] == ["one", "two", "", "three"]


def test_text_is_no_markup() -> None:
    """Lost otherwise: a text file fetches pictures, or hides its words in tags."""
    source = '<img src="file:///etc/passwd"> & <b>bold</b> <!-- seen --> </pre><script>x</script>'
    assert " ".join(" ".join(pages(source)).split()) == source


def test_leftovers_of_terminals_are_not_drawn() -> None:
    """Lost otherwise: coloured logs arrive full of boxes."""
    assert " ".join(pages("\x1b[31mred\x1b[0m\x07 and\r\nplain\x00\r")[0].split()) == "red and plain"


def test_tabs_stop_every_eight_columns() -> None:
    """Lost otherwise: tables in plain text fall apart."""
    document = pdfium.PdfDocument(as_pdf(b"a\tb\nlonger\tb\n", "", Rendering()))
    page = document[0].get_textpage()
    places = [page.get_charbox(index)[0] for index in range(page.count_chars()) if page.get_text_range(index, 1) == "b"]
    assert len(places) == 2
    assert places[0] == pytest.approx(places[1], abs=0.5)


@pytest.mark.parametrize("text", ["line\n" * 30_000, "x" * 3_000_000, "\f" * 301 + "x"])
def test_a_book_is_refused_before_it_is_laid_out(text: str) -> None:
    """Lost otherwise: a log file of a gigabyte occupies a worker until its time runs out."""
    with pytest.raises(Refused) as refusal:
        as_pdf(text.encode(), "", Rendering())
    assert refusal.value.reason is Reason.TOO_MANY_PAGES


def test_the_paper_is_the_rendering_s() -> None:
    """Lost otherwise: text for American machines runs off the page."""
    document = pdfium.PdfDocument(as_pdf(b"x", "", Rendering(paper=Paper.LETTER)))
    assert document[0].get_size() == pytest.approx((612, 792), abs=0.5)
