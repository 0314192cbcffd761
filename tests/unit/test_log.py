"""The log: what strangers say is not in it."""

from __future__ import annotations

import subprocess
import sys

# A process of its own: the log is set up once for all.
_SAYS = """
import asyncio
from aiosmtpd.smtp import SMTP
from relay import log
from relay.settings import Log

log.configure(Log())

async def main():
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(object(), hostname="h"), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"c2VjcmV0\\x1b[2J\\rERROR forged\\r\\nQUIT\\r\\n")
    await reader.read()

asyncio.run(main())
"""


def test_what_the_smtp_library_does_not_understand_is_not_logged() -> None:
    """Lost otherwise: a password typed at the wrong moment stands in the log, and anybody writes lines of his own."""
    said = subprocess.run([sys.executable, "-c", _SAYS], capture_output=True, text=True, timeout=60, check=True)
    assert said.stderr == ""
