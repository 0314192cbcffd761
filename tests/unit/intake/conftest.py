"""Reading a message without a sandbox: the child's own function on bytes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relay.intake.mime_worker import read_message

if TYPE_CHECKING:
    from collections.abc import Callable

MAILS = Path(__file__).parents[2] / "data" / "mail"


@pytest.fixture
def read() -> Callable[[bytes], tuple[dict[str, Any], list[bytes]]]:
    """Read a message (LF counts as CRLF): what it says, and its files."""

    def read(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        sink = io.BytesIO()
        answer = read_message(data if b"\r" in data else data.replace(b"\n", b"\r\n"), sink)
        written = sink.getvalue()
        said = json.loads(written[answer["at"] :][: answer["size"]])
        files = [written[file["offset"] :][: file["size"]] for file in said["attachments"]]
        return said, files

    return read


@pytest.fixture
def sample(
    read: Callable[[bytes], tuple[dict[str, Any], list[bytes]]],
) -> Callable[[str], tuple[dict[str, Any], list[bytes]]]:
    """Read a message of ``tests/data/mail`` by its name."""
    return lambda name: read((MAILS / name).read_bytes())
