"""One HTTP request to one endpoint, and what came of it.

httpcore2 is used without a client above it, since what a dialect writes must go out byte for byte (lower-case escapes,
``+``), and what a client adds would have to be turned off again: redirects, cookies, proxies of the environment,
decoding of compressed answers. Connections are kept and used again among endpoints that may call the same ranges, and
never among others: a connection that one may make is not lent to one that may not.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from zlib import crc32

import httpcore2

from policies.urls import BadUrl, parse_url
from relay.callbacks.guard import Forbidden, GuardedBackend, Network, Unresolved
from relay.store.callback_log import KEPT

if TYPE_CHECKING:
    from relay.callbacks.guard import Resolver
    from relay.callbacks.request import Request

#: The longest answer that counts as one, bytes.
LONGEST: Final = 64 * 1024
#: Seconds to connect, TLS included, where the whole time allows as much.
_CONNECT: Final = 10.0
#: Seconds that an idle connection is kept.
_IDLE: Final = 30.0
_AGENT: Final = "faxrelay"
#: Pools that share the connections of one set of ranges: a pool looks at all of its connections for each request.
_SHARDS: Final = 64
#: Idle connections that are kept, for one set of ranges.
_KEPT_ALIVE: Final = 256
#: Pools of other ranges than these last ones are closed: policies change.
_POOLS: Final = 32 * _SHARDS

_Shard: TypeAlias = tuple[frozenset[Network], int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said. ``body``: its first :data:`KEPT` bytes; ``seconds``: from the request to its end.

    ``retry_after``: seconds, where the endpoint named them (RFC 9110 10.2.3).
    """

    status: int
    body: bytes
    seconds: float
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No whole answer came. ``reason``: why, as a sentence; ``body``: the first bytes of what did come."""

    reason: str
    seconds: float
    body: bytes = b""
    status: int | None = None


class Client:
    """Calls endpoints. ``inner``: the network, for tests; ``context``: whose certificates are believed."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        context: ssl.SSLContext | None = None,
        inner: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._resolver = resolver
        self._context = context or ssl.create_default_context()
        self._inner = inner
        self._pools: dict[_Shard, httpcore2.AsyncConnectionPool] = {}

    async def call(
        self,
        request: Request,
        *,
        permitted: frozenset[Network] = frozenset(),
        seconds: float = 15.0,
        group: str = "",
    ) -> Answer | NoAnswer:
        """Send one request and return what came of it within ``seconds``; never raises for what the far side does.

        ``group``: what shares connections, such as an endpoint's name.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                return await self._call(began, request, (permitted, crc32(group.encode()) % _SHARDS), seconds)
        except BadUrl as fault:
            reason = f"the URL cannot be called: {fault}"
        except (Forbidden, Unresolved) as fault:
            reason = str(fault)
        except (TimeoutError, httpcore2.TimeoutException):
            reason = f"no whole answer within {seconds:g} seconds"
        except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError, OSError) as fault:
            reason = _words(fault)
        return NoAnswer(reason, time.monotonic() - began)

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    async def _call(self, began: float, wanted: Request, shard: _Shard, seconds: float) -> Answer | NoAnswer:
        parsed = parse_url(wanted.url)
        connect = min(_CONNECT, seconds)
        limits = {"connect": connect, "read": seconds, "write": seconds, "pool": seconds}
        sent = [("Host", parsed.authority), ("User-Agent", _AGENT), *wanted.headers]
        if wanted.body or wanted.method != "GET":
            sent.append(("Content-Length", str(len(wanted.body))))
        pool = await self._pool(shard)
        request = httpcore2.Request(
            wanted.method,
            httpcore2.URL(scheme=parsed.scheme, host=parsed.host, port=parsed.port, target=parsed.target),
            headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in sent],
            content=wanted.body,
            extensions={"timeout": limits},
        )
        response = await pool.handle_async_request(request)
        taken, whole = bytearray(), True
        try:
            async for part in response.aiter_stream():
                taken += part[: LONGEST + 1 - len(taken)]
                if len(taken) > LONGEST:
                    whole = False
                    break
        finally:
            await response.aclose()
        kept, took = bytes(taken[:KEPT]), time.monotonic() - began
        if not whole:
            return NoAnswer(f"the answer is longer than {LONGEST // 1024} KiB", took, kept, response.status)
        told = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
        return Answer(response.status, kept, took, retry_after(told.decode("latin-1"), time.time()) if told else None)

    async def _pool(self, shard: _Shard) -> httpcore2.AsyncConnectionPool:
        pool = self._pools.pop(shard, None)
        if pool is None:
            backend = GuardedBackend(self._resolver, shard[0], self._inner)
            pool = httpcore2.AsyncConnectionPool(
                ssl_context=self._context, max_connections=None, max_keepalive_connections=_KEPT_ALIVE // _SHARDS,
                keepalive_expiry=_IDLE, network_backend=backend,
            )  # fmt: skip
        self._pools[shard] = pool  # the last one used is the last one closed
        while len(self._pools) > _POOLS:
            oldest = next(iter(self._pools))
            if self._pools[oldest].connections:
                break
            await self._pools.pop(oldest).aclose()
        return pool


def retry_after(text: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, ``None`` where it says nothing (RFC 9110 10.2.3).

    >>> retry_after("120", 0.0), retry_after("Thu, 01 Jan 1970 00:10:00 GMT", 0.0), retry_after("soon", 0.0)
    (120.0, 600.0, None)
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now, 0.0)


def _words(fault: Exception) -> str:
    """Return why there was no answer, in a sentence that holds nothing of the far side's bytes."""
    match fault:
        case httpcore2.ConnectError() if isinstance(_root(fault), ssl.SSLError):
            return f"no TLS connection: {_root(fault)}"
        case httpcore2.ConnectError():
            return "it refused the connection, or cannot be reached"
        case httpcore2.ProtocolError():
            return "it closed the connection, or did not answer in HTTP"
        case httpcore2.NetworkError():
            return "the connection broke"
        case _:
            return f"the connection failed ({type(fault).__name__})"


def _root(fault: BaseException) -> BaseException:
    while fault.__cause__ is not None or fault.__context__ is not None:
        fault = fault.__cause__ or fault.__context__  # type: ignore[assignment]  # one of them is there
    return fault
