"""Run the simulated telephone network: ``python -m transport.simulated --socket PATH [--log FILE] [--pages FOLDER]``.

A line starts its own with ``--descriptor``, an end of a socket pair, and the network ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from pathlib import Path

from transport.link import Link
from transport.simulated.exchange import Exchange
from transport.simulated.record import Record
from transport.spandsp import LibraryMissing, library


def main() -> int:
    """Serve until the line that started us is gone, or until killed."""
    parser = argparse.ArgumentParser(
        prog="python -m transport.simulated", description="The simulated telephone network."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--socket", type=Path, help="Unix socket to listen on; relays name it in lines.simulated.exchange"
    )
    where.add_argument("--descriptor", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help="append what the far ends see, one JSON object a line")
    parser.add_argument("--pages", type=Path, help="folder to keep what the far ends receive, a TIFF a call")
    arguments = parser.parse_args()
    try:
        library()
    except LibraryMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    record = Record(arguments.log)
    if arguments.pages is not None:
        arguments.pages.mkdir(parents=True, exist_ok=True)
    exchange = Exchange(arguments.pages, record)
    if arguments.socket is not None:
        asyncio.run(_listen(exchange, arguments.socket))
    else:
        asyncio.run(_attend(exchange, arguments.descriptor))
    return 0


async def _attend(exchange: Exchange, descriptor: int) -> None:
    await exchange.serve(Link.of_descriptor(descriptor))


async def _listen(exchange: Exchange, path: Path) -> None:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.setblocking(False)  # noqa: FBT003  its only parameter
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as lines:
            while True:
                end, _ = await loop.sock_accept(listener)
                lines.create_task(exchange.serve(Link(end)))


if __name__ == "__main__":
    sys.exit(main())
