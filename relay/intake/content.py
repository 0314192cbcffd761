"""A message's content on its way in, by DATA (RFC 5321 section 4.1.1.4) or in chunks by BDAT (RFC 3030), into a spool.

A deadline holds for the whole message, since each octet puts off the session's own. What is larger than the limit is
read on and thrown away, so that the client hears why; whoever sends on and on is cut off.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from relay.intake.dotted import DotDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.intake.spool import Spool

#: More than the stream ever buffers, so that it is empty afterwards and what is put back keeps its place.
_READ: Final = 1024 * 1024
#: A client that sends on and on behind its limit is cut off after so many times the limit.
_PATIENCE: Final = 4


class TooMuch(Exception):
    """The client goes on far behind the limit."""


class Content:
    """One message's content. ``spool`` None: it is thrown away, for what may not be sent now."""

    def __init__(self, spool: Spool | None, limit: int, seconds: float, heard: Callable[[], None]) -> None:
        """``limit``: bytes; ``seconds``: for all of it; ``heard`` is called at each piece."""
        self.spool = spool
        self._limit = limit
        self._size = 0
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._heard = heard

    @property
    def fits(self) -> bool:
        """Whether it is within the limit so far."""
        return self._size <= self._limit

    async def dotted(self, reader: asyncio.StreamReader) -> None:
        """Read what DATA brings, up to its end.

        Raises :class:`TimeoutError`, :class:`TooMuch`, and :class:`ConnectionResetError` where the client leaves.
        """
        decoder = DotDecoder()
        async with asyncio.timeout_at(self._deadline):
            while not decoder.ended:
                self._take(decoder.feed(await self._more(reader, _READ)))
        if decoder.rest:
            reader.feed_data(decoder.rest)

    async def chunk(self, reader: asyncio.StreamReader, size: int) -> None:
        """Read a chunk of ``size`` bytes; raises as :meth:`dotted` does."""
        async with asyncio.timeout_at(self._deadline):
            while size:
                data = await self._more(reader, min(size, _READ))
                size -= len(data)
                self._take(data)

    def close(self) -> None:
        """Throw it away."""
        if self.spool is not None:
            self.spool.close()

    async def _more(self, reader: asyncio.StreamReader, most: int) -> bytes:
        data = await reader.read(most)
        if not data:
            raise ConnectionResetError
        self._heard()
        return data

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _PATIENCE * self._limit:
            raise TooMuch
        if self.fits and self.spool is not None:
            self.spool.write(data)
