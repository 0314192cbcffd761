"""Submissions on their way from an accepting process to main."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay.intake.remote import CommitterGone, RemoteCommitter
from relay.submission import Submission
from transport.link import Link


async def test_a_mail_that_was_still_read_when_main_went_away_is_refused() -> None:
    """Lost otherwise: the accepting process waits for an answer that nobody gives, and its client for its reply."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = Link(ours)
    committer = RemoteCommitter(link)
    theirs.close()
    assert await link.receive() is None
    committer.gone()
    asked = Submission("smtp", "alice@example.com", "none", "+97231234567", "", (), (), None)
    with pytest.raises(CommitterGone):
        await asyncio.wait_for(committer.commit(asked), 5)
    link.close()
