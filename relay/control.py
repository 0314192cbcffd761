"""The control socket: how the command line reaches a running service.

A Unix socket in the data directory, for its owner alone (mode 0600). One request a connection: a line of JSON
``{"operation": "fax_show", "arguments": {...}}``, answered by a line ``{"answer": ...}`` or ``{"error": ..., "kind":
...}``. Only the operations of :mod:`relay.operations`, :mod:`relay.users` and :mod:`relay.telephone` can be named.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import structlog

from relay.errors import NotFound, RelayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

log = structlog.get_logger()

#: The longest request and answer, bytes.
MAX_LINE = 64 * 1024 * 1024


class ControlError(RelayError):
    """The service refused a request; the message is its sentence."""


def named(desks: Iterable[object]) -> dict[str, Callable[..., Any]]:
    """Return the public methods of ``desks`` by their names: what can be asked for."""
    return {name: getattr(desk, name) for desk in desks for name in vars(type(desk)) if not name.startswith("_")}


async def serve(path: Path, operations: Mapping[str, Callable[..., Any]]) -> asyncio.Server:
    """Listen; the caller closes the server and the socket's file goes with it. ``operations``: by their names."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            reply = await _carry_out(operations, await reader.readline())
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)  # of a predecessor: the data directory's lock says that it is dead
    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(answer, path, limit=MAX_LINE)
    finally:
        os.umask(before)


async def ask(path: Path, operation: str, **arguments: Any) -> Any:
    """Ask a running service; raises :class:`ConnectionError` where none listens, :class:`ControlError` on a refusal."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
    except FileNotFoundError as fault:
        raise ConnectionRefusedError(f"no service listens at {path}") from fault
    writer.write(json.dumps({"operation": operation, "arguments": arguments}).encode() + b"\n")
    reply = json.loads(await reader.readline() or b'{"error": "the service went away", "kind": "RelayError"}')
    writer.close()
    if "error" in reply:
        raise (NotFound if reply["kind"] == "NotFound" else ControlError)(reply["error"])
    return reply["answer"]


async def _carry_out(operations: Mapping[str, Callable[..., Any]], line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
        name, arguments = request["operation"], request["arguments"]
        if name not in operations:
            return {"error": f"there is no operation {name}", "kind": "ControlError"}
        return {"answer": await operations[name](**arguments)}
    except RelayError as refused:
        return {"error": str(refused), "kind": type(refused).__name__}
    except (KeyError, TypeError, ValueError) as fault:
        return {"error": f"a malformed request: {fault}", "kind": "ControlError"}
    except Exception:
        log.exception("an operation failed", operation=line[:100])
        return {"error": "the service could not do that; its log says why", "kind": "RelayError"}
