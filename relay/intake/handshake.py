"""TLS from the first octet (RFC 8314), for clients that are counted before their handshake.

The event loop's own TLS servers tell of a client when its handshake has ended. Clients that never end it could then be
any number, and each costs a descriptor and a quarter of a megabyte.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import ssl


class Client(Protocol):
    """Whoever is counted."""

    @property
    def peer(self) -> Any:
        """The client's socket address."""

    def close(self, reply: str) -> None:
        """End the connection, with a last word where it can be heard."""


class Counting(Protocol):
    """Counts clients."""

    def admit(self, client: Client) -> bool:
        """Count one in, or not where there are too many."""

    def leave(self, client: Client) -> None:
        """Count one out, if it was counted in."""


class Handshake(SSLProtocol):
    """The TLS layer of one connection, counted until ``session`` begins, which counts itself.

    The loop's class is made for its own use; what is known of it here is what its servers do with it.
    """

    def __init__(self, counting: Counting, session: asyncio.Protocol, tls: ssl.SSLContext) -> None:
        waiter: Any = None  # the loop's servers wait for nobody either
        super().__init__(asyncio.get_running_loop(), session, tls, waiter, server_side=True)
        self._counting = counting
        self._below: asyncio.BaseTransport | None = None

    @property
    def peer(self) -> Any:
        """The client's socket address."""
        return self._below.get_extra_info("peername") if self._below is not None else None

    def close(self, _reply: str) -> None:
        """End the connection; nothing can be said in the middle of a handshake."""
        if isinstance(self._below, asyncio.Transport):
            self._below.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, where there is room."""
        self._below = transport
        if self._counting.admit(self):
            super().connection_made(transport)
        else:
            self.close("")

    def connection_lost(self, error: BaseException | None) -> None:
        """Count it out, whether or not the handshake had ended."""
        self._counting.leave(self)
        super().connection_lost(error)

    def _on_handshake_complete(self, failure: BaseException | None) -> None:
        self._counting.leave(self)
        super()._on_handshake_complete(failure)
