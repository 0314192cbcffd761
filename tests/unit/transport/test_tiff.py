"""What goes into and comes out of libspandsp as TIFF."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from transport.tiff import NotFax, check_document, received_page

FAX = Path(__file__).resolve().parents[2] / "data" / "faxes" / "three-pages.tif"


def made(width: int = 1728, mode: str = "1", compression: str = "group4", dpi: tuple[int, int] = (204, 196)) -> bytes:
    """Return a TIFF of one blank page."""
    kept = io.BytesIO()
    options: dict[str, Any] = {"format": "TIFF", "compression": compression, "dpi": dpi}
    Image.new(mode, (width, 100), 1).save(kept, **options)
    return kept.getvalue()


def test_a_fax_document_passes() -> None:
    """Lost otherwise: no fax can be sent."""
    check_document(FAX.read_bytes(), 3)
    for down in (98, 196, 391, 200):
        check_document(made(dpi=(204, down)), 1)
    check_document(made(compression="group3"), 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (made(width=1700), "page 1 is 1700 pixels wide; a fax line has 1728"),
        (made(mode="L", compression="tiff_lzw"), "not black and white"),
        (made(compression="packbits"), "not in a fax coding"),
        (made(dpi=(72, 72)), "resolution of 72 x 72"),
        (made(dpi=(204, 300)), "resolution of 204 x 300"),
        (b"%PDF-1.7", "not a TIFF"),
        (b"", "not a TIFF"),
        (made()[:40], "cut short"),
    ],
)
def test_what_libspandsp_would_send_as_nothing_is_refused_by_name(data: bytes, words: str) -> None:
    """Lost otherwise: a fax is called delivered although not one page was transmitted."""
    with pytest.raises(NotFax, match=words):
        check_document(data, 1)


def test_the_number_of_pages_must_be_the_one_that_was_asked_for() -> None:
    """Lost otherwise: a document that lost pages on its way is called delivered when fewer were confirmed."""
    with pytest.raises(NotFax, match="has 3 pages, not 4"):
        check_document(FAX.read_bytes(), 4)


@given(at=st.integers(0, 20000), value=st.binary(min_size=1, max_size=4), cut=st.integers(0, 20000))
def test_a_broken_file_raises_nothing_else(at: int, value: bytes, cut: int) -> None:
    """Lost otherwise: a hostile fax makes the worker stumble, and the pages before it are not reported."""
    data = bytearray(FAX.read_bytes())
    data[at % len(data) : at % len(data) + len(value)] = value
    for mutant in (bytes(data), bytes(data[:cut])):
        for page in (1, 3):
            try:
                found = received_page(mutant, page)
            except NotFax:
                continue
            assert len(found.strip) <= len(mutant)
