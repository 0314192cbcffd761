"""Kamailio as the carrier: registrar with digest, or proxy before the line, on UDP, TCP and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .peers import LOOPBACK, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """One authority, and a certificate of it for 127.0.0.1 (PEM files)."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority of our own and a certificate for this machine's loopback address."""
    made = Certificates(folder / "ca.pem", folder / "certificate.pem", folder / "key.pem")
    authority_key, extensions = folder / "ca-key.pem", folder / "extensions"
    extensions.write_text(f"subjectAltName=IP:{LOOPBACK},DNS:trunk.test\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    commands: list[list[str | Path]] = [
        ["req", "-x509", *curve, "-keyout", authority_key, "-out", made.authority, "-days", "2", "-subj", "/CN=tests"],
        ["req", *curve, "-keyout", made.key, "-out", folder / "request.pem", "-subj", "/CN=trunk.test"],
        ["x509", "-req", "-in", folder / "request.pem", "-CA", made.authority, "-CAkey", authority_key, "-out",
         made.certificate, "-days", "2", "-extfile", extensions, "-CAcreateserial"],
    ]  # fmt: skip
    for command in commands:
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return made


@dataclass
class Kamailio:
    """One running server; ``tls_port`` 0 without TLS."""

    port: int
    tls_port: int
    log: Path


@contextlib.asynccontextmanager
async def kamailio(
    folder: Path,
    port: int,
    *,
    far: int,
    relay: str = "",
    algorithm: str = "",
    limit: int = 0,
    certificates: Certificates | None = None,
) -> AsyncIterator[Kamailio]:
    """Run a server on ``port`` (TLS on the next one) that joins the UA at port ``far`` and the line.

    ``relay``: where the line is; empty: it registers, with the password of the tests. ``algorithm``: of its digests.
    ``limit``: it hangs up on both sides after so many seconds.
    """
    folder.mkdir()
    running = Kamailio(port, port + 1 if certificates else 0, folder / "log")
    text = (SCENARIOS / "kamailio.cfg").read_text()
    defined = (
        ["WITH_TLS"] * (certificates is not None) + ["WITH_REGISTRATION"] * (not relay) + ["WITH_LIMIT"] * (limit > 0)
    )
    text = "\n".join(["#!KAMAILIO", *(f"#!define {name}" for name in defined), text.partition("\n")[2]])
    if certificates is not None:
        text = text.replace("@KEY@", str(certificates.key)).replace("@CERTIFICATE@", str(certificates.certificate))
    values = {
        "PORT": str(port),
        "TLS_PORT": str(port + 1),
        "FAR_PORT": str(far),
        "RELAY": relay,
        "ALGORITHM": algorithm,
        "LIMIT": str(limit),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    path = folder / "kamailio.cfg"
    path.write_text(text)
    with running.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "kamailio", "-f", path, "-DD", "-E", "-m", "32", "-M", "4", "-w", folder, "-Y", folder,
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        await _up(running, process)
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _up(server: Kamailio, process: asyncio.subprocess.Process) -> None:
    """Wait until it takes connections, on TLS where it has that: its last listener."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(200):
        assert process.returncode is None, server.log.read_text()[-2000:]
        try:
            if server.tls_port:
                _, writer = await asyncio.open_connection(LOOPBACK, server.tls_port, ssl=context)
            else:
                _, writer = await asyncio.open_connection(LOOPBACK, server.port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError(f"Kamailio does not listen:\n{server.log.read_text()[-2000:]}")
