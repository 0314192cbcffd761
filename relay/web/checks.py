"""What the health page looks at: the database, the disk, the policy, the outbox. The lines add their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import sqlalchemy as sa

from converters import ocr
from relay import outbox
from relay.inbound import reading
from relay.mailer import writing
from relay.store import callback_log
from relay.store.routes import stranded
from relay.web.health import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.intake.imap.mailbox import Mailbox
    from relay.intake.tls import Certificate
    from relay.policy import PolicyHolder
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store
    from transport.seam import Line

_MIB = 1024 * 1024
#: Endpoints that one answer names.
_TOLD = 10
#: How old a delivery or an event may be before it is a fault, in seconds.
STALE = 900.0


def database(store: Store) -> Check:
    """Look whether the database can be written."""

    async def look() -> str | None:
        await store.write(lambda connection: connection.execute(sa.text("SELECT 1")).scalar())
        return None

    return Check("database", look)


def disk(blobs: LocalBlobs, reserve: int) -> Check:
    """Look whether there is room: mail is answered 452 while less than ``reserve`` bytes are left."""

    async def look() -> str | None:
        free = await asyncio.to_thread(blobs.free_bytes)
        if free >= reserve:
            return None
        return (
            f"the data directory has {free // _MIB} MiB left and no mail is taken below {reserve // _MIB} MiB; "
            "make room, or lower smtp.disk_reserve_bytes"
        )

    return Check("disk", look)


def routes(store: Store) -> Check:
    """Look whether a trunk of the policy serves each fax that waits."""

    async def look() -> str | None:
        count = await store.read(stranded)
        if not count:
            return None
        return (
            f"{count} fax{'es' * (count != 1)} wait{'s' * (count == 1)} for a trunk that the policy does not have; "
            "add one for their numbers to the policy, or cancel them"
        )

    return Check("routes", look)


def trunks(line: Line, holder: PolicyHolder) -> Check:
    """Look whether every trunk can carry calls: its password there, registered, answering."""

    async def look() -> str | None:
        if holder.line_faults:
            return "; ".join(holder.line_faults)
        down = [trunk for trunk in (await line.ask("status"))["trunks"] if not trunk["up"]]
        if not down:
            return None
        told = "; ".join(f"the trunk {trunk['name']} is down: {trunk['detail']}" for trunk in down)
        return f"{told}; `faxrelay trunk test {down[0]['name']}` tries it"

    return Check("trunks", look)


def certificates(found: Sequence[Certificate]) -> Check:
    """Look whether the listeners' certificates are good for a while, and were read again when they were renewed."""

    async def look() -> str | None:
        return "; ".join(told for one in found if (told := one.complaint())) or None

    return Check("certificates", look)


def mailbox(polled: Mailbox) -> Check:
    """Look whether a mailbox that is polled is served, and all that was taken from it could be filed."""

    async def look() -> str | None:
        return polled.trouble

    return Check(f"mailbox {polled.name}", look)


def policy(holder: PolicyHolder) -> Check:
    """Look whether the policy in force is the one in the folder."""

    async def look() -> str | None:
        if holder.errors is None:
            return None
        count = len(holder.errors.errors)
        return (
            f"the policy folder has {count} error{'s' * (count != 1)}, the policy before it is in force; "
            "`faxrelay policy check` shows what to mend"
        )

    return Check("policy", look)


def readers(holder: PolicyHolder, languages: str) -> Check:
    """Look whether received faxes can be read where the policy says so."""

    async def look() -> str | None:
        lacking = ocr.missing(languages) if reading.asked(holder.current) else ""
        if not lacking:
            return None
        return f"received faxes are not searchable as `ocr: true` says; `apt-get install {lacking}` mends it"

    return Check("ocr", look)


def callbacks(store: Store, holder: PolicyHolder, clock: Callable[[], float], stale: float = STALE) -> Check:
    """Look whether each endpoint of callbacks takes what it is told."""

    async def look() -> str | None:
        wrong = []
        for one in await store.read(callback_log.standings):
            entry = holder.current.callbacks.get(one.name)
            if entry is None or entry.suspended:  # by the policy: somebody meant it
                continue
            age = clock() - one.oldest if one.oldest is not None else 0.0
            if one.suspended_at is not None:
                wrong.append(f"{one.name} is suspended and {one.held} are held for it")
            elif one.failures and age > stale:
                wrong.append(
                    f"{one.name} has failed {one.failures} times, the oldest waits for {writing.duration(age)}"
                )
        return f"{'; '.join(wrong[:_TOLD])}; `faxrelay callback list` tells more" if wrong else None

    return Check("callbacks", look)


def deliveries(store: Store, clock: Callable[[], float], stale: float = STALE) -> Check:
    """Look whether mail goes out, and what machines of ours are to get."""

    async def look() -> str | None:
        wrong = []
        for lane in await store.read(outbox.states):
            if lane.lane == callback_log.LANE:
                continue  # each endpoint is looked at for itself
            age = clock() - lane.oldest if lane.oldest is not None else 0.0
            if age > stale:
                wrong.append(f"{lane.lane}: {lane.due} wait, the oldest for {writing.duration(age)}")
            if lane.suspended:
                wrong.append(
                    f"{lane.lane}: {lane.suspended} suspended, what is for them is held until they are resumed"
                )
        unrouted, oldest = await store.read(outbox.oldest_unrouted)
        if oldest is not None and clock() - oldest > stale:
            wrong.append(f"{unrouted} events could not be routed; the log tells why")
        return f"{'; '.join(wrong)}; `faxrelay fax show` tells the servers' answers" if wrong else None

    return Check("outbox", look)
