"""A connection that knows its socket.

The pool asks each idle connection for each request whether the far side has closed it; the library beneath gathers all
that is known of the connection for that answer, which cost a tenth of a callback.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

import httpcore2

if TYPE_CHECKING:
    import ssl


class Stream(httpcore2.AsyncNetworkStream):
    """``inner``: the connection."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner
        self._socket = inner.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's name
        """Read at most so many bytes."""
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  httpcore's name
        """Write all of it."""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's name
    ) -> httpcore2.AsyncNetworkStream:
        """Begin TLS."""
        return Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what is known; ``is_readable``: whether something came, or its end, that nobody has read."""
        if info != "is_readable" or self._socket is None:
            return self._inner.get_extra_info(info)
        descriptor = self._socket.fileno()
        if descriptor < 0:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
