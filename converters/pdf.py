"""PDF pages as gray drawings, by PDFium (ISO 32000).

Pages are drawn straight into the fax page's pixels, width and height scaled apart, so that nothing is resampled after.
Form values, annotations and what is meant for printing are drawn; scripts are not run (PDFium is built without them).
Limits (pages, sizes) are checked before anything is drawn; time is the caller's to limit, since a page's operators can
take for ever. Meant for a confined child.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
import pypdfium2 as pdfium  # type: ignore[import-untyped]
from pypdfium2 import raw

from converters import page as paging
from converters.errors import Reason, Refused
from converters.lighten import lightened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converters.document import Rendering

_POINT = 25.4 / 72
#: FPDF_RenderPageBitmap's rotation: a quarter against the clock, as printers put a landscape page on paper.
_QUARTER = 3
_FLAGS = raw.FPDF_ANNOT | raw.FPDF_PRINTING | raw.FPDF_GRAYSCALE


def pages(data: bytes, rendering: Rendering, room: int) -> Iterator[tuple[int, paging.Gray]]:
    """Yield ``(page of the PDF, gray fax page)``; a page longer than a fax page gives several.

    ``room``: how many pages the fax still has. Raises :class:`Refused`: ``ENCRYPTED``, ``DAMAGED``, ``NO_PAGES``,
    ``TOO_MANY_PAGES``, ``TOO_LARGE``.
    """
    document = opened(lightened(data))
    try:
        count = len(document)
        if count == 0:
            raise Refused(Reason.NO_PAGES)
        if count > room:
            raise Refused(Reason.TOO_MANY_PAGES, detail=str(rendering.max_pages))
        if document.get_formtype() != raw.FORMTYPE_NONE:
            document.init_forms()
        for index in range(count):
            for sheet in _page(document, index, rendering):
                yield index + 1, sheet
    finally:
        document.close()


def opened(data: bytes) -> pdfium.PdfDocument:
    """Open a PDF; raises :class:`Refused` if it cannot be or wants a password."""
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as fault:
        if (
            raw.FPDF_GetLastError() in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
            or "password" in str(fault).lower()
        ):
            raise Refused(Reason.ENCRYPTED) from fault
        raise Refused(Reason.DAMAGED) from fault


def _page(document: pdfium.PdfDocument, index: int, rendering: Rendering) -> Iterator[paging.Gray]:
    try:
        page = document[index]
    except pdfium.PdfiumError as fault:
        raise Refused(Reason.DAMAGED, detail=f" (page {index + 1})") from fault
    try:
        width, height = page.get_size()
        placement = paging.place_page(width * _POINT, height * _POINT, rendering.resolution.dpi, rendering.paper)
        if placement.pieces == 1:
            sheet, part = paging.blank(placement)
            _draw(document, page, part, turned=placement.turned)
            yield sheet
        else:
            whole = np.full((placement.height, (placement.width + 3) // 4 * 4), 255, np.uint8)[:, : placement.width]
            _draw(document, page, whole, turned=placement.turned)
            yield from paging.lay(whole, placement)
    finally:
        page.close()


def _draw(document: pdfium.PdfDocument, page: pdfium.PdfPage, pixels: paging.Gray, *, turned: bool) -> None:
    """Draw the page so that it fills ``pixels``, over what is there; rows lie a multiple of 4 bytes apart."""
    height, width = pixels.shape
    rotate = _QUARTER if turned else 0
    pointer = pixels.ctypes.data_as(ctypes.c_void_p)
    bitmap = raw.FPDFBitmap_CreateEx(width, height, raw.FPDFBitmap_Gray, pointer, pixels.strides[0])
    if not bitmap:
        raise Refused(Reason.TOO_LARGE, detail=f" ({width} x {height} pixels)")
    try:
        raw.FPDF_RenderPageBitmap(bitmap, page.raw, 0, 0, width, height, rotate, _FLAGS)
        if document.formenv is not None:
            raw.FPDF_FFLDraw(document.formenv.raw, bitmap, page.raw, 0, 0, width, height, rotate, _FLAGS)
    finally:
        raw.FPDFBitmap_Destroy(bitmap)
