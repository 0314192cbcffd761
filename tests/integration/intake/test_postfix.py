"""A real Postfix in front: what it is told of each recipient, by LMTP and by SMTP."""

from __future__ import annotations

import asyncio
import os
import re
import smtplib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.postfix import postfix

from .conftest import listening
from .test_listeners import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD, WRONG = "+12025550123@fax.example.com", "+1202555@fax.example.com"
_STATUS = re.compile(r"to=<([^>]+)>.* status=(\w+) \((.*)\)")


@pytest.fixture
def spool() -> Iterator[Path]:
    """A folder that Postfix's own user can enter."""
    need("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    with tempfile.TemporaryDirectory(prefix="fr-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
async def test_postfix_hears_of_each_recipient(
    tmp_path: Path, spool: Path, letter: Callable[..., bytes], protocol: str
) -> None:
    """Lost otherwise: behind a company's mail server the sender of a refused fax learns nothing, or the wrong thing."""
    listener = {"protocol": protocol, "trusted": True}
    if protocol == "lmtp":
        listener |= {"path": spool / "fax.sock", "socket_mode": "666"}
    async with listening(tmp_path, settings(**listener)) as relay:
        place = f"unix:{spool}/fax.sock" if protocol == "lmtp" else f"[127.0.0.1]:{relay.server.ports[0]}"
        log = spool / "log"
        with postfix(f"{protocol}:{place}", log=log) as (host, port):

            def send(sender: str, *recipients: str) -> None:
                with smtplib.SMTP(host, port, timeout=20) as smtp:
                    smtp.sendmail(sender, list(recipients), letter(sender=sender, Message_ID=f"<{sender}>"))

            await asyncio.to_thread(send, "alice@example.com", GOOD, WRONG)
            await asyncio.to_thread(send, "eve@stranger.example", GOOD)
            told = await _statuses(log, 3)
    reasons = {(to, status): reason for to, status, reason in told}
    assert set(reasons) == {(GOOD, "sent"), (WRONG, "bounced"), (GOOD, "bounced")}
    assert "250 2.0.0 Accepted as" in reasons[GOOD, "sent"]
    assert "553 5.1.3" in reasons[WRONG, "bounced"]
    assert "550 5.7.1" in reasons[GOOD, "bounced"]
    assert [(row.sender, row.source) for row in relay.submissions] == [("alice@example.com", protocol)]


async def _statuses(log: Path, count: int) -> list[tuple[str, str, str]]:
    """Return what Postfix wrote of so many recipients of the relay's."""
    async with asyncio.timeout(30):
        while True:
            lines = [line for line in log.read_text().splitlines() if "fax.example.com" in line]
            found = [match.groups() for line in lines if (match := _STATUS.search(line))]
            if len(found) >= count:
                return [(to, status, reason) for to, status, reason in found]
            await asyncio.sleep(0.1)
