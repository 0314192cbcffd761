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
import random
import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import phonenumbers
import structlog

from converters import Converter
from policies import Feature, Proof, Reach
from relay import control, housekeeping, lines, office, waiting
from relay.callbacks import holding
from relay.callbacks.operations import CallbackOperations
from relay.confine import Confinement
from relay.doors import Doors
from relay.ids import IdSource
from relay.inbound.arrival import Arrivals
from relay.inbound.reading import Overdue, Reading
from relay.keys import node_name, secret_key
from relay.mailer.enclosures import Enclosures
from relay.mailer.language import Languages
from relay.operations import Operations
from relay.outbound.conclusion import Conclusion
from relay.outbound.dial import Dialling
from relay.outbound.prepare import Preparing
from relay.outbound.recovery import recover, watch_lost
from relay.outbound.rerouting import reroute
from relay.outbox import Outbox
from relay.outgoing import DAY, Outgoing
from relay.policy import PolicyHolder, first_folder
from relay.policy_operations import PolicyOperations
from relay.roles import EVERYTHING, Role
from relay.store import queue, schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.telephone import TelephoneOperations
from relay.users import UserOperations
from relay.web import checks as checking
from relay.web.application import Services, build
from relay.web.health import Check
from relay.web.links import Links
from relay.web.server import serve as serve_http

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from policies import Pattern, Policy
    from relay.settings import Settings
    from transport.seam import Line

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the service listens; ``first``: a sender and a recipient that the policy lets through, for a first mail."""

    smtp: tuple[tuple[str, int], ...]
    web: tuple[str, int] | None
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
        """Return what people and programs can ask of its faxes."""
        return Operations(self.store, self.blobs, self.policy, self.ids, self.clock)

    @property
    def desks(self) -> tuple[object, ...]:
        """Return all that people and programs can ask."""
        users = UserOperations(self.store, self.clock, lambda: self.policy.current.users)
        callbacks = CallbackOperations(self.store, self.policy, self.ids, self.clock)
        return self.operations, users, PolicyOperations(self.policy), callbacks


@contextlib.contextmanager
def open_house(settings: Settings) -> Iterator[House]:
    """Lock the data directory and open what lies in it; raises :class:`relay.errors.DataDirectoryBusy`."""
    with schema.lock(settings.data):
        if settings.policies is None:
            first_folder(settings.policy_folder)
        blobs = LocalBlobs(settings.data / "blobs")
        blobs.sweep()
        store = Store(settings.database_url)
        try:
            schema.upgrade(store.engine)
            yield House(settings, store, blobs, _policy(settings), IdSource(), time.time)
        finally:
            store.close()


def _policy(settings: Settings) -> PolicyHolder:
    return PolicyHolder(settings.policy_folder, real_lines=settings.lines.sip is not None)


@contextlib.contextmanager
def offline(settings: Settings) -> Iterator[dict[str, Callable[..., Any]]]:
    """Give the operations by their names where no service runs."""
    with open_house(settings) as house:
        yield control.named(house.desks)


async def serve(settings: Settings, ready: Callable[[Addresses], None], roles: frozenset[Role] = EVERYTHING) -> None:
    """Run the service until SIGTERM or SIGINT, or until a stage fails; ``ready`` is called once it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with open_house(settings) as house:
        async with contextlib.AsyncExitStack() as stack:
            service = Service(house, stack, roles, stop)
            addresses = await service.start()
            ready(addresses)  # said before the file is there, on which those wait who read what was said
            _write_ready(settings.data / "ready.json", addresses)
            await stop.wait()
            log.info("stopping")
    if service.failed is not None:
        raise service.failed


class Service:
    """One running service: its parts in the order in which they start. What is entered last is left first."""

    def __init__(
        self, house: House, stack: contextlib.AsyncExitStack, roles: frozenset[Role], stop: asyncio.Event
    ) -> None:
        self.failed: BaseException | None = None
        self._house = house
        self._stack = stack
        self._roles = roles
        self._stop = stop
        self._settings = house.settings
        self._lease = queue.Lease(node_name(house.settings.data))
        self._spread = random.SystemRandom()
        opener = office.opened(house.settings, stack, bake=Role.PREPARE in roles)
        self._converter = Converter(self._confinement("converters.worker"), office=opener)
        self._enclosures = Enclosures(self._converter, house.blobs)
        self._languages = Languages()
        self._checks: list[Check] = []
        self._line: Line | None = None
        self._doors = Doors(
            house.settings, house.store, house.blobs, house.policy, house.ids, house.clock, stack, self._checks,
            self._confinement,
        )  # fmt: skip
        self._key = secret_key(house.settings.data)

    async def start(self) -> Addresses:
        """Start everything; when this returns, the doors are open."""
        house = self._house
        await house.store.write(queue.release_leases, self._lease.owner)
        if Role.LINES in self._roles:
            await self._start_line()
        if Role.PREPARE in self._roles:
            stage = Preparing(house.store, house.blobs, self._converter, house.ids, house.clock, lease=self._lease)
            self._run(stage.run())
            reading = Reading(
                house.store, house.blobs, self._converter, house.ids, house.clock, lease=self._lease,
                limits=self._settings.ocr,
            )  # fmt: skip
            self._run(reading.run())
            self._checks.append(checking.readers(house.policy, self._settings.ocr.languages))
        elif Role.LINES in self._roles:
            # Where no node reads, what came in here would wait for its words for ever.
            self._run(Overdue(house.store, house.ids, house.clock, self._settings.ocr.fax_seconds).run())
        self._run(house.policy.watch())
        trace_days = self._settings.lines.trace_days
        forget = self._line.forget if self._line is not None else None
        self._run(
            housekeeping.run(
                house.store, house.blobs, house.clock, lambda: house.policy.current, house.ids,
                trace_days=trace_days, forget=forget,
            )
        )  # fmt: skip
        self._run(waiting.run(house.store, house.blobs, house.ids, house.clock))
        boxes = self._doors.mailboxes(self._spread) if Role.IMAP in self._roles and self._settings.mailboxes else []
        web = await self._start_web() if Role.HTTP in self._roles else None
        if Role.OUTBOX in self._roles:
            await self._start_outbox(web)
        asked = control.named((*house.desks, TelephoneOperations(self._line)))
        control_socket = await control.serve(self._settings.data / "control.sock", asked)
        self._stack.push_async_callback(_close, control_socket)
        for polled in boxes:
            self._run(polled.run())
        smtp = await self._doors.smtp() if Role.SMTP in self._roles else ()
        return Addresses(smtp, web, first_mail(house.policy.current))

    async def _start_line(self) -> None:
        """Bring the line up, conclude what a predecessor left on it, and let it work."""
        house, journals = self._house, self._settings.data / "journals"
        journals.mkdir(exist_ok=True)
        line = lines.build(self._settings, journals)
        if line is None:
            return
        self._line = line
        self._stack.push_async_callback(line.close)
        await line.start()
        conclusion = Conclusion(house.store, house.ids, house.clock, self._spread)
        arrivals = Arrivals(
            house.store, house.blobs, self._converter, line, house.policy, house.ids, house.clock,
            owner=self._lease.owner,
        )  # fmt: skip
        dialling = Dialling(
            house.store, house.blobs, self._converter, line, conclusion, house.ids, house.clock, lease=self._lease
        )
        await recover(house.store, line, conclusion, self._lease.owner)
        self._run(watch_lost(house.store, conclusion, self._lease.owner, house.clock))
        await arrivals.recover()
        await line.publish(await asyncio.to_thread(house.policy.line_table))
        await reroute(house.store, house.policy, house.ids, house.clock)
        house.policy.on_change.append(lambda: self._lines_changed(line))
        self._checks += [
            Check("line", line.trouble), checking.trunks(line, house.policy), checking.routes(house.store),
        ]  # fmt: skip
        self._run(arrivals.run())
        self._run(dialling.run())

    async def _lines_changed(self, line: Line) -> None:
        """Tell the line what the policy says now, and send the faxes that wait by its trunks."""
        await line.publish(await asyncio.to_thread(self._house.policy.line_table))
        house = self._house
        await reroute(house.store, house.policy, house.ids, house.clock)

    async def _start_web(self) -> tuple[str, int]:
        house, settings = self._house, self._settings
        self._checks += [
            checking.database(house.store),
            checking.disk(house.blobs, settings.smtp.disk_reserve_bytes),
            checking.policy(house.policy),
            checking.deliveries(house.store, house.clock),
            checking.callbacks(house.store, house.policy, house.clock),
        ]
        links = Links(self._key, life=settings.web.link_days * DAY)
        services = Services(
            house.store, house.ids, house.clock, links, self._enclosures, self._languages,
            house.policy.trunks_again, self._checks,
        )  # fmt: skip
        server = await serve_http(build(services), settings.web.address, settings.web.port)
        self._stack.push_async_callback(server.close)
        return settings.web.address, server.port

    async def _start_outbox(self, web: tuple[str, int] | None) -> None:
        house, settings = self._house, self._settings
        outgoing = Outgoing(
            settings, house.store, house.blobs, house.policy, house.ids, house.clock, self._key, self._enclosures,
            self._languages, self._stack,
        )  # fmt: skip
        lanes = outgoing.lanes(*(web or (settings.web.address, settings.web.port)))
        house.policy.on_change.append(self._endpoints_changed)
        await self._endpoints_changed()
        outbox = Outbox(house.store, house.ids, house.clock, lanes, lease=self._lease, spread=self._spread)
        self._run(outbox.run())

    async def _endpoints_changed(self) -> None:
        """Hold what is for the endpoints that the policy suspends, and let go what it held."""
        house = self._house
        held = [name for name, entry in house.policy.current.callbacks.items() if entry.suspended]
        await house.store.write(holding.follow, held, house.clock())

    def _confinement(self, *preload: str) -> Confinement:
        confinement = Confinement(self._settings.confinement, preload)
        self._stack.push_async_callback(confinement.close)
        return confinement

    def _run(self, stage: Coroutine[None, None, None]) -> None:
        """Run a stage for as long as the service runs. One that fails ends the service, whose next start recovers."""
        task = asyncio.create_task(stage)

        def ended(done: asyncio.Task[None]) -> None:
            if not done.cancelled():
                self.failed = done.exception() or RuntimeError("a stage of the service ended by itself")
                log.critical("a stage failed", exc_info=self.failed)
                self._stop.set()

        task.add_done_callback(ended)
        self._stack.push_async_callback(_cancel, task)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _close(server: asyncio.Server) -> None:
    server.close()


def first_mail(policy: Policy) -> tuple[str, str] | None:
    """Return a sender that needs no proof on loopback and one of the relay's own numbers to write to."""
    domain = next((name for name, entry in policy.domains.items() if entry.default_region), None)
    receiving = [number for number, entry in policy.numbers.items() if Feature.FAX_TO_MAIL in entry.features]
    for rules in (*policy.senders.addresses.values(), *policy.senders.domains.values()):
        for rule in rules:
            others = [number for number in receiving if number != rule.number] or receiving
            if rule.proof is Proof.NONE and domain and others:
                return _somebody(rule.pattern), f"{_as_dialled_at_home(others[0])}@{domain}"
    return None


def _as_dialled_at_home(number: str) -> str:
    """Return a number in national digits: swaks takes an argument that begins with a plus for an option."""
    parsed = phonenumbers.parse(number)
    return re.sub(r"\D", "", phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL))


def _somebody(pattern: Pattern) -> str:
    """Return an address that a rule names."""
    match pattern.reach:
        case Reach.ADDRESS:
            return pattern.subject
        case Reach.DOMAIN:
            return f"user@{pattern.subject}"
        case Reach.SUBDOMAINS:
            return f"user@mail.{pattern.subject}"


def _write_ready(file: Path, addresses: Addresses) -> None:
    """Tell programs on this machine where the service listens, at once and whole."""
    work = file.with_suffix(".tmp")
    work.write_text(json.dumps({"pid": os.getpid(), "smtp": addresses.smtp, "web": addresses.web}), encoding="utf-8")
    work.replace(file)
