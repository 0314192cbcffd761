"""The words over a page: what is written is what programs read back, and nothing in a word can leave its string."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pikepdf
import pypdfium2 as pdfium  # type: ignore[import-untyped]
import pytest

from converters.pdffile import PdfFile
from converters.textlayer import TextLayer, Word, dumped, loaded, visual


def drawn(*words: Word) -> bytes:
    """A page of 500 by 500 points with the words alone."""
    made = io.BytesIO()
    file, layer = PdfFile(made), TextLayer()
    tree, font = file.reserve(), file.reserve()
    code = layer.drawing(words, 1.0, 1.0, 500)
    content = file.add(f"<</Length {len(code)}>>", code)
    page = file.add(
        f"<</Type/Page/Parent {tree} 0 R/MediaBox[0 0 500 500]/Resources<</Font<</T {font} 0 R>>>>"
        f"/Contents {content} 0 R>>"
    )
    file.put(tree, f"<</Type/Pages/Count 1/Kids[{page} 0 R]>>")
    layer.font(file, font)
    file.finish(file.add(f"<</Type/Catalog/Pages {tree} 0 R>>"), file.add("<<>>"))
    return made.getvalue()


def read(pdf: bytes) -> str:
    """What PDFium, and so Chrome, finds."""
    found: str = pdfium.PdfDocument(pdf)[0].get_textpage().get_text_range()
    return found


def word(text: str, left: float = 100, width: float = 60, line: int = 1) -> Word:
    """A word on a line."""
    return Word(line, left, 100 * line, left + width, 100 * line + 20, 100 * line + 18, text)


@pytest.mark.parametrize(
    ("logical", "seen"),
    [
        ("plain", "plain"),
        ("2,860", "2,860"),
        ("שלום", "םולש"),
        ("ב-30", "30-ב"),
        ("(שלום)", "(םולש)"),
        ("09:35,", "09:35,"),
        ("ל-1,947.50", "1,947.50-ל"),
        ("مرحبا", "ابحرم"),
    ],
)
def test_a_word_is_written_as_it_is_drawn(logical: str, seen: str) -> None:
    """Lost otherwise: Hebrew words are found backwards, or their numbers are."""
    assert visual(logical) == seen


def test_what_is_written_is_read_back() -> None:
    """Lost otherwise: a search in a received fax finds nothing, or single letters and signs are missing."""
    words = (word("Total", 50), word("a", 120, 8), word("€5", 140, 20), word("\U0001f4e0", 170, 20))
    assert read(drawn(*words)) == "Total a €5 \U0001f4e0"
    hebrew = (word("שלום", 300), word("4", 280, 10), word("עולם.", 200, 60))
    assert read(drawn(*hebrew)) == "שלום 4 עולם."


def test_more_letters_than_one_block_of_the_map_are_read_back() -> None:
    """Lost otherwise: a page of Chinese is found in part."""
    text = "".join(chr(0x4E00 + count) for count in range(250))
    assert read(drawn(word(text, width=400))) == text


@pytest.mark.parametrize("text", [") Tj ET Q /JS", "<ab>", "\\", "%", "a\x00b", "\ud800", "\u202eabc", "x" * 5000])
def test_nothing_in_a_word_leaves_its_string(text: str) -> None:
    """Lost otherwise: who sends a fax writes instructions into our PDF."""
    pdf = drawn(word(text), word("after", line=2))
    with pikepdf.open(io.BytesIO(pdf)) as file:
        operators = [str(one.operator) for one in pikepdf.parse_content_stream(file.pages[0])]
    assert set(operators) == {"BT", "Tr", "Tf", "Tz", "Tm", "Tj", "ET"}
    assert "after" in read(pdf)


@pytest.mark.parametrize(
    "odd", [word("", 10), word("\x00\u200e", 10), word("x", 10, 0), word("x", 10, -5), Word(1, 5, 9, 9, 9, 9, "x")]
)
def test_a_word_without_letters_or_room_is_left_out(odd: Word) -> None:
    """Lost otherwise: a speck on the page makes a division by zero of the whole PDF."""
    assert TextLayer().drawing([odd], 1.0, 1.0, 500) in (b"", b"BT 3 Tr\nET\n")


def test_words_travel_between_children() -> None:
    """Lost otherwise: a page's words do not reach its PDF."""
    words = [word("שלום"), word('"\\\ud83d'), replace(word("x"), turned=True)]
    assert loaded(dumped(words)) == words


@pytest.mark.parametrize(
    "told",
    [b"", b"{}", b"[1]", b"[[1,2]]", b'[[1,NaN,0,0,0,0,"x",0]]', b'[[1,Infinity,0,0,0,0,"x",0]]',
     b'[[1,1e300,0,0,0,0,"x",0]]',
     b'[["x",1,0,0,0,0,"x",0]]', b"\xff", json.dumps([[1, None, 0, 0, 0, 0, "x", 0]]).encode()],
)  # fmt: skip
def test_words_that_a_taken_over_child_made_up_are_refused(told: bytes) -> None:
    """Lost otherwise: a hostile fax writes NaN into a PDF, which no program opens."""
    if told == b"{}":
        assert loaded(told) == []
        return
    with pytest.raises((ValueError, TypeError)):
        loaded(told)
