"""The composition root: the only place that builds things out of settings, and the order in which they start and stop.

Start: the data directory's lock, the database, the policy, the sandboxes, the line (whose predecessor must be dead
before any journal is read), recovery of what a crash left, the stages, and last the doors: nobody is told 250 before
everything behind the door stands. Stop: the doors first, then the stages; a call that is on the line is left to its
journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from policies import Feature, Proof
from relay.ids import IdSource
from relay.operations import Operations
from relay.policy import PolicyHolder, first_folder
from relay.store import schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from policies import Policy
    from relay.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the service listens; ``first``: a sender and a recipient that the policy lets through, for a first mail."""

    smtp: tuple[tuple[str, int], ...]
    web: tuple[str, int]
    first: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class House:
    """What every part shares: the store, the blobs, the policy, ids and the clock, on a locked data directory."""

    settings: Settings
    store: Store
    blobs: LocalBlobs
    policy: PolicyHolder
    ids: IdSource
    clock: Callable[[], float]

    @property
    def operations(self) -> Operations:
        """Return what people and programs can ask of it."""
        return Operations(self.store, self.blobs, self.policy, self.ids, self.clock)


@contextlib.contextmanager
def open_house(settings: Settings) -> Iterator[House]:
    """Lock the data directory and open what lies in it; raises :class:`relay.errors.DataDirectoryBusy`."""
    with schema.lock(settings.data):
        first_folder(settings.policy_folder)
        blobs = LocalBlobs(settings.data / "blobs")
        blobs.sweep()
        store = Store(settings.database_url)
        try:
            schema.upgrade(store.engine)
            yield House(settings, store, blobs, PolicyHolder(settings.policy_folder), IdSource(), time.time)
        finally:
            store.close()


@contextlib.contextmanager
def offline(settings: Settings) -> Iterator[Operations]:
    """Give the operations where no service runs."""
    with open_house(settings) as house:
        yield house.operations


async def serve(settings: Settings, ready: Callable[[Addresses], None]) -> None:
    """Run the service until SIGTERM or SIGINT; ``ready`` is called once it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with open_house(settings) as house:
        async with contextlib.AsyncExitStack() as stack:
            addresses = await _start(house, stack, stop)
            _write_ready(settings.data / "ready.json", addresses)
            ready(addresses)
            await stop.wait()
            log.info("stopping")


async def _start(house: House, stack: contextlib.AsyncExitStack, stop: asyncio.Event) -> Addresses:
    """Build and start everything in order; the stack ends it in the reverse order."""
    raise RuntimeError


def node_name(data: Path) -> str:
    """Return this node's name for leases, made once for a data directory: a new service is heir to the old one's claims."""
    file = data / "node"
    if not file.exists():
        file.write_text(f"node-{secrets.token_hex(8)}\n", encoding="ascii")
    return file.read_text(encoding="ascii").strip()


def secret_key(data: Path) -> bytes:
    """Return the key that signs links, made once for a data directory, readable by its owner alone."""
    file = data / "secret.key"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as written:
            written.write(secrets.token_hex(32))
            written.flush()
            os.fsync(written.fileno())
    return bytes.fromhex(file.read_text(encoding="ascii"))


def first_mail(policy: Policy) -> tuple[str, str] | None:
    """Return a sender that needs no proof on loopback and one of the relay's own numbers to write to."""
    domain = next(iter(policy.domains), None)
    receiving = [number for number, entry in policy.numbers.items() if Feature.FAX_TO_MAIL in entry.features]
    for rules in (*policy.senders.addresses.values(), *policy.senders.domains.values()):
        for rule in rules:
            others = [number for number in receiving if number != rule.number] or receiving
            if rule.proof is Proof.NONE and domain and others:
                return rule.pattern.example, f"{others[0]}@{domain}"
    return None


def _write_ready(file: Path, addresses: Addresses) -> None:
    """Tell programs on this machine where the service listens, at once and whole."""
    work = file.with_suffix(".tmp")
    work.write_text(json.dumps({"pid": os.getpid(), "smtp": addresses.smtp, "web": addresses.web}), encoding="utf-8")
    work.replace(file)
