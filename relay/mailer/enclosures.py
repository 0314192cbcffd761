"""What a mail or a download encloses: PDFs and pictures of a fax, made by the converters in a confined child.

A receipt's PDF and a thumbnail are additions: where one cannot be made there is none, and the mail goes without. A
received fax's PDF is the fax: it is a blob of its own, and its absence is an error.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from converters import Broken, Converter, Paper, Refused

if TYPE_CHECKING:
    from relay.mailer.receipt import Receipt
    from relay.mailer.record import Record
    from relay.store.blobs import LocalBlobs

log = structlog.get_logger()

#: Width of the picture in a received fax's mail, in pixels: twice what it is shown at.
THUMBNAIL = 480


class Enclosures:
    """Makes them from a fax's blobs."""

    def __init__(self, converter: Converter, blobs: LocalBlobs) -> None:
        self._converter = converter
        self._blobs = blobs

    async def receipt_pdf(self, receipt: Receipt, record: Record) -> bytes | None:
        """Return the receipt as a PDF with the pages that the policy lets it show, or ``None`` where that fails."""
        settings = record.fax.settings
        sent = record.attempts[-1].transmitted if record.attempts else None
        count = record.fax.pages or 0
        shown = {"none": 0, "first": min(count, 1), "all": count}[settings.get("receipt_pages", "first")] if sent else 0
        try:
            with self._blobs.scratch(".pdf") as output:
                await self._converter.receipt_pdf(
                    receipt.as_sheet(),
                    settings.get("language", "en"),
                    output,
                    paper=Paper(settings.get("paper", Paper.A4.value)),
                    fax=self._blobs.path(sent) if sent and shown else None,
                    pages=range(1, shown + 1),
                )
                return await asyncio.to_thread(output.read_bytes)
        except (Broken, Refused, OSError):
            log.exception("the receipt's PDF cannot be made", fax=record.fax.id)
            return None

    async def fax_pdf(self, record: Record) -> bytes:
        """Return the fax's pages as a PDF: as received, or as last transmitted.

        Raises :class:`relay.errors.NotFound` for a blob that is gone, :class:`LookupError` for a fax without pages.
        """
        if record.document is not None and record.document.pdf is not None:
            return await asyncio.to_thread(self._blobs.read, record.document.pdf)
        sent = next((one.transmitted for one in reversed(record.attempts) if one.transmitted), None)
        tiff = sent or (record.document.blob if record.document is not None else None)
        if tiff is None:
            raise LookupError(f"fax {record.fax.id} has no pages")
        with self._blobs.scratch(".pdf") as output:
            await self._converter.to_pdf(self._blobs.path(tiff), output, title=f"Fax {record.fax.id}")
            return await asyncio.to_thread(output.read_bytes)

    async def thumbnail(self, record: Record) -> bytes | None:
        """Return a picture of the first page, or ``None`` where the policy withholds it or it cannot be made."""
        withheld = record.fax.settings.get("receipt_pages", "first") == "none"
        if withheld or record.document is None or record.document.blob is None:
            return None
        try:
            pictures = await self._converter.thumbnails(self._blobs.path(record.document.blob), [1], THUMBNAIL)
        except (Broken, Refused, OSError):
            log.exception("the first page's picture cannot be made", fax=record.fax.id)
            return None
        return pictures[0]
