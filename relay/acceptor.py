"""The entry of an accepting process: ``python -m relay.acceptor LINK SETTINGS SOCKET...``.

It speaks SMTP on its listening sockets, reads and judges mails as main would, and keeps their files; main commits
(:mod:`relay.acceptors`). When main goes away, so does it: whoever heard no 250 tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from policies import PolicyErrors
from relay import log
from relay.confine import Confinement
from relay.doors import smtp_server
from relay.errors import RelayError
from relay.intake.remote import RemoteCommitter
from relay.policy import PolicyHolder
from relay.settings import Settings
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from transport.link import Link

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(arguments: list[str]) -> None:
    """Run until main says that it is enough, or is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C goes to the whole group: main decides
    settings = Settings.model_validate_json(arguments[1])
    log.configure(settings.log)
    asyncio.run(_serve(int(arguments[0]), settings, [int(one) for one in arguments[2:]]))


async def _serve(descriptor: int, settings: Settings, descriptors: Sequence[int]) -> None:
    for inherited in (descriptor, *descriptors):
        os.set_inheritable(inherited, False)  # noqa: FBT003  the function's only parameter
    link = Link.of_descriptor(descriptor)
    sockets = [socket.socket(fileno=one) for one in descriptors]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(link.close)
        try:
            await _run(settings, link, sockets, stack)
        except (RelayError, PolicyErrors, OSError) as fault:
            link.post({"say": "broken", "reason": str(fault)})


async def _run(
    settings: Settings, link: Link, sockets: Sequence[socket.socket], stack: contextlib.AsyncExitStack
) -> None:
    def confinement(*preload: str) -> Confinement:
        made = Confinement(settings.confinement, preload)
        stack.push_async_callback(made.close)
        return made

    store = Store(settings.database_url)  # for reading: who may log in
    stack.callback(store.close)
    policy = PolicyHolder(settings.policy_folder, real_lines=settings.lines.sip is not None)
    committer = RemoteCommitter(link)
    server = smtp_server(
        settings, LocalBlobs(settings.data / "blobs"), store, policy, committer, confinement, time.time, stack
    )
    watching = asyncio.create_task(policy.watch())
    stack.callback(watching.cancel)
    await server.start(sockets)
    link.post({"say": "up"})
    stopping = None
    while (received := await link.receive()) is not None:
        if received[0].get("do") == "stop" and stopping is None:
            # Mails that are being taken still need main: their answers are read on until the last of them.
            stopping = asyncio.create_task(server.close())
            stopping.add_done_callback(lambda _: link.close())
        committer.answered(received[0])
    committer.gone()
    await (stopping or server.close())


if __name__ == "__main__":
    main(sys.argv[1:])
