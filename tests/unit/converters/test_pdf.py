"""PDF pages as they are drawn for the line."""

from __future__ import annotations

import io

import numpy as np
import pikepdf
import pytest

from converters import Rendering, Resolution
from converters.pdf import pages

FORM = pikepdf.Dictionary(
    Type=pikepdf.Name.Annot,
    Subtype=pikepdf.Name.Widget,
    FT=pikepdf.Name.Tx,
    T="amount",
    V="1,284.00",
    DA="/Helv 24 Tf 0 g",
    Rect=[100, 500, 400, 550],
    F=4,
)


def pdf(
    content: bytes = b"", size: tuple[int, int] = (595, 842), annotation: pikepdf.Dictionary | None = None
) -> bytes:
    """A page with a drawing and, if wanted, a form's field or another annotation."""
    file = pikepdf.new()
    page = file.add_blank_page(page_size=size)
    page.obj.Contents = pikepdf.Stream(file, content)
    if annotation is not None:
        added = file.make_indirect(annotation)
        page.obj.Annots = pikepdf.Array([added])
        helvetica = pikepdf.Dictionary(
            Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
        )
        fonts = pikepdf.Dictionary(Font=pikepdf.Dictionary(Helv=helvetica))
        if annotation.Subtype == pikepdf.Name.Widget:
            file.Root.AcroForm = pikepdf.Dictionary(Fields=[added], DR=fonts, DA="/Helv 0 Tf 0 g", NeedAppearances=True)
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def drawn(
    data: bytes, resolution: Resolution = Resolution.FINE
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """The gray fax pages."""
    return [sheet for _, sheet in pages(data, Rendering(resolution=resolution), 300)]


def test_form_values_are_drawn() -> None:
    """Lost otherwise: the filled-in form arrives empty, and nobody notices."""
    (empty,) = drawn(pdf())
    (filled,) = drawn(pdf(annotation=FORM))
    assert not (empty < 128).any()
    assert (filled < 128).sum() > 500


def test_marks_on_a_page_are_drawn() -> None:
    """Lost otherwise: a signature or a stamp put on with a PDF program is missing on the fax."""
    square = pikepdf.Dictionary(
        Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Square, Rect=[100, 500, 400, 550], C=[0, 0, 0], F=4
    )
    (page,) = drawn(pdf(annotation=square))
    assert (page < 128).sum() > 500


def test_a_landscape_page_is_turned_against_the_clock() -> None:
    """Lost otherwise: wide pages come out tiny or with their end at the top."""
    (page,) = drawn(pdf(b"0 0 842 40 re f", size=(842, 595)))  # the lower edge is black
    assert page.shape[0] == pytest.approx(297 / 25.4 * 196, abs=2)
    dark = (page < 128).mean(axis=0)
    assert dark[-200:].max() > 0.9, "the lower edge of the page is at the right"
    assert dark[:200].max() < 0.1


@pytest.mark.parametrize("resolution", list(Resolution))
def test_a_circle_stays_round(resolution: Resolution) -> None:
    """Lost otherwise: pages are squashed at one of the resolutions."""
    (page,) = drawn(pdf(b"q 1 0 0 1 200 500 cm 0 0 200 200 re f Q"), resolution)
    rows, columns = np.flatnonzero((page < 128).any(1)), np.flatnonzero((page < 128).any(0))
    tall, wide = len(rows) / resolution.dpi, len(columns) / 204
    assert tall == pytest.approx(wide, rel=0.02)
    assert wide == pytest.approx(200 / 72, rel=0.01)


def test_a_long_page_becomes_several() -> None:
    """Lost otherwise: the lower part of a long web page is not sent."""
    sheets = drawn(pdf(b"0 0 595 60 re f 0 2940 595 60 re f", size=(595, 3000)))
    assert len(sheets) == 4
    assert [bool((sheet < 128).any()) for sheet in sheets] == [True, False, False, True]
