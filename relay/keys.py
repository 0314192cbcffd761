"""What is made once for a data directory, and kept: the node's name, and the key that signs."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from relay.store.blobs import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def node_name(data: Path) -> str:
    """Return this node's name for leases, made once for a data directory: a service is heir to its last one."""
    return _made_once(data / "node", f"node-{secrets.token_hex(8)}")


def secret_key(data: Path) -> bytes:
    """Return the key that signs links and addresses, made once for a data directory, readable by its owner alone."""
    return bytes.fromhex(_made_once(data / "secret.key", secrets.token_hex(32)))


def _made_once(file: Path, text: str) -> str:
    """Return a file's text; a file that is not there, or that a crash left empty, is written whole and synced first."""
    if not file.exists() or not file.read_text(encoding="ascii").strip():
        work = file.with_suffix(".tmp")
        descriptor = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as written:
            written.write(text + "\n")
            written.flush()
            os.fsync(written.fileno())
        work.replace(file)
        sync_folder(file.parent)
    return file.read_text(encoding="ascii").strip()
