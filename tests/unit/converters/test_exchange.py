"""Large pictures in a PDF: exchanged where they are light, left alone where they are ink or numbers."""

from __future__ import annotations

import io

import numpy as np
import pikepdf
import pytest
from PIL import Image

from converters.lighten import lightened

SIDE = 3000


def document(space: pikepdf.Object | None) -> bytes:
    """A page with one JPEG 2000 picture of nine million pixels, nearly black where its numbers are light."""
    coded = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), 11, np.uint8)).save(coded, "JPEG2000")
    with pikepdf.new() as book:
        book.add_blank_page(page_size=(600, 600))
        picture = pikepdf.Stream(book, coded.getvalue())
        picture.Type, picture.Subtype = pikepdf.Name.XObject, pikepdf.Name.Image
        picture.Width = picture.Height = SIDE
        picture.BitsPerComponent, picture.Filter = 8, pikepdf.Name.JPXDecode
        if space is not None:
            picture.ColorSpace = space
        page = book.pages[0]
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(P=picture))
        page.Contents = pikepdf.Stream(book, b"600 0 0 600 0 0 cm /P Do")
        out = io.BytesIO()
        book.save(out)
        return out.getvalue()


def coding(data: bytes) -> str:
    """How the picture of a document is coded."""
    with pikepdf.open(io.BytesIO(data)) as book:
        return str(book.pages[0].Resources.XObject.P.Filter)


@pytest.mark.parametrize("space", [None, pikepdf.Name.DeviceGray, pikepdf.Array([pikepdf.Name.CalGray, {}])])
def test_gray_is_exchanged(space: pikepdf.Object | None) -> None:
    """Lost otherwise: a large scan takes the child's memory, and its page is blank."""
    assert coding(lightened(document(space))) == "/DCTDecode"


@pytest.mark.parametrize(
    "space",
    [
        pikepdf.Array([pikepdf.Name.Separation, pikepdf.Name.Black, pikepdf.Name.DeviceGray, {}]),
        pikepdf.Array([pikepdf.Name.Indexed, pikepdf.Name.DeviceGray, 255, pikepdf.String(bytes(range(255, -1, -1)))]),
        pikepdf.Name.DeviceCMYK,
        pikepdf.Name.DeviceRGB,
    ],
)
def test_ink_and_numbers_are_not_taken_for_light(space: pikepdf.Object) -> None:
    """Lost otherwise: the page is faxed in negative, and the far machine's paper turns black."""
    assert coding(lightened(document(space))) == "/JPXDecode"
