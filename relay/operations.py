"""What a person or a program can ask of the relay's faxes: list, show, cancel, send again, send, the queue.

The command line calls these through the service's control socket, or on the store itself where no service runs; the
API and the portal will call the same. Answers are JSON values as ``docs/json.md`` documents them: ids are text (19
digits exceed a JavaScript number), times are ISO 8601 in UTC.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from converters import HEAD, Refused, detect
from policies import Feature, RefusalKind, check_recipient
from relay import cover, housekeeping
from relay.errors import IllegalMove, NotFound, Refusal
from relay.fax import Inbound, Outbound, terminal
from relay.inbound.quarantine import release
from relay.ledger import submit
from relay.mailer.writing import one_line
from relay.policy import submission_settings
from relay.resubmission import resubmit
from relay.store import faxes, holds, routes, traces
from relay.store.tables import attempt, channel, delivery, document, fax, submission
from relay.submission import File, Recipient, Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies import Number
    from relay.ids import IdSource
    from relay.policy import PolicyHolder
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store

Json = dict[str, Any]

_TEST_PAGE = """faxrelay: a test page

This page was sent to try a telephone trunk. Nobody needs to answer it.

The quick brown fox jumps over the lazy dog. 0123456789
"""

_UNENDED = [state.value for state in (*Outbound, *Inbound) if not terminal(state)]


class Operations:
    """The operations on one store. ``who`` stands in the history of what they change."""

    def __init__(
        self, store: Store, blobs: LocalBlobs, policy: PolicyHolder, ids: IdSource, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._policy = policy
        self._ids = ids
        self._clock = clock

    async def fax_list(self, *, state: str | None = None, limit: int = 50) -> list[Json]:
        """Return the newest faxes, newest first; ``state`` keeps those of one state."""
        query = sa.select(fax).order_by(fax.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(fax.c.state == state)
        return [_summary(row) for row in await self._store.read(lambda c: list(c.execute(query)))]

    async def fax_show(self, fax_id: int) -> Json:
        """Return one fax with its submission, document, attempts and history; raises :class:`NotFound`."""
        return await self._store.read(self._show, fax_id)

    async def fax_cancel(self, fax_id: int) -> Json:
        """Cancel a fax; one that is on the line is hung up. Raises :class:`NotFound`, :class:`IllegalMove`."""
        done = await self._store.write(
            lambda c: faxes.request_cancel(c, self._ids, fax_id, at=self._clock(), who="the command line")
        )
        return {"id": str(fax_id), "cancelled": done, "requested": not done}

    async def fax_approve(self, fax_id: int) -> Json:
        """Approve a fax that waits for it, and those that wait with it.

        Raises :class:`NotFound`, and :class:`relay.errors.IllegalMove` for one that waits for no approval.
        """
        return await self._store.write(self._decide, fax_id, holds.Verdict.APPROVE, "")

    async def fax_deny(self, fax_id: int, *, reason: str = "") -> Json:
        """Refuse a fax that waits for a person, and those that wait with it; its sender reads ``reason``.

        Raises as :meth:`fax_approve` does.
        """
        return await self._store.write(self._decide, fax_id, holds.Verdict.DENY, reason)

    async def fax_resend(self, fax_id: int) -> Json:
        """Send an ended fax again as a new one; raises :class:`NotFound` and :class:`relay.errors.IllegalMove`."""
        new = await self._store.write(
            resubmit, self._ids, fax_id, self._clock(), "the command line", self._policy.trunks_again
        )
        return {"id": str(new), "resend_of": str(fax_id)}

    async def fax_release(self, fax_id: int) -> Json:
        """Let a fax out of the quarantine, to those whom it was for; raises :class:`NotFound`, :class:`IllegalMove`."""
        await self._store.write(release, self._ids, fax_id, self._clock(), "the command line")
        return {"id": str(fax_id), "released": True}

    async def fax_erase(self, fax_id: int) -> Json:
        """Erase an ended fax but for its line in the audit; raises :class:`NotFound`, :class:`IllegalMove`."""
        who = "the command line"
        erased = await housekeeping.erase_one(self._store, self._blobs, fax_id, self._clock(), self._ids, who=who)
        return {"id": str(fax_id), "erased": True, "files": len(erased.blobs)}

    async def fax_send(
        self, files: list[str], to: list[str], *, number: str | None = None, subject: str = "", covered: bool = False
    ) -> Json:
        """Send files as one fax to each number. The command line's user is the administrator: no proof is asked for.

        ``covered``: a cover page stands before them, in the number's look, with the subject and no text.
        Raises :class:`Refusal` naming what is wrong.
        """
        sending = self._sending_number(number)
        if len(to) > sending.limits.recipients:
            raise Refusal(
                550, "5.5.3", f"{len(to)} numbers; {sending.number} may send to {sending.limits.recipients} at once"
            )
        recipients = tuple(self._recipient(written, sending) for written in to)
        kept = [await asyncio.to_thread(self._keep, Path(name), sending.limits.attachment_bytes) for name in files]
        first = cover.settings_of(sending, None, has_text=False) if covered else {}
        asked = Submission(
            source="command",
            sender=sending.deliver_to[0] if sending.deliver_to else None,
            proof="command",
            number=sending.number,
            subject=subject,
            files=tuple(kept),
            recipients=recipients,
            answerable=bool(sending.deliver_to),
            settings=submission_settings(sending.settings, sending, self._policy.language) | first,
        )
        made = await self._store.write(submit, self._ids, asked, self._clock())
        return {"submission": str(made.id), "faxes": [str(fax_id) for fax_id in made.faxes]}

    async def call_trace(self, fax_id: int) -> Json:
        """Return what was said on the wire in each call of a fax; raises :class:`NotFound`."""
        row = await self._store.read(faxes.get, fax_id)
        kept = await self._store.read(traces.of_fax, fax_id)
        calls = [
            {
                "attempt": one.attempt,
                "call": one.call,
                "entries": [
                    {"at": at, "arrow": arrow, "layer": layer, "text": text} for at, arrow, layer, text in one.entries
                ],
            }
            for one in kept
        ]
        return {"id": str(fax_id), "number": row.number, "peer": row.peer, "calls": calls}

    async def trunk_test_fax(self, name: str, to: str, *, number: str | None = None) -> Json:
        """Send one page by one trunk, once, to a number that the policy allows; return its fax."""
        sending = self._sending_number(number)
        known = self._recipient(to, sending)
        blob = self._blobs.put(_TEST_PAGE.encode("ascii"))
        once = {"trunks": [name], "pinned": True, "retries": {"retries": 0}}
        if not self._policy.has_trunk(name):
            raise NotFound(f"there is no trunk {name}; `faxrelay trunk status` shows those there are")
        asked = Submission(
            source="command",
            sender=None,
            proof="command",
            number=sending.number,
            subject=f"Test of the trunk {name}",
            files=(File("test.txt", "text/plain", blob.size, blob.name),),
            recipients=(Recipient(known.number, to, {**known.settings, **once}),),
            answerable=False,
            settings=submission_settings(sending.settings, sending, self._policy.language),
        )
        made = await self._store.write(submit, self._ids, asked, self._clock())
        return {"fax": str(made.faxes[0])}

    async def queue(self) -> Json:
        """Return how much waits in each state, what is on the lines, and how old the oldest of each kind is."""
        return await self._store.read(self._queue)

    def _decide(self, connection: sa.Connection, fax_id: int, verdict: holds.Verdict, reason: str) -> Json:
        asked = holds.question(connection, fax_id)
        if fax_id not in asked.fax_ids:
            raise IllegalMove(f"fax {fax_id} does not wait any more; fax {asked.fax_ids[0]} of the same mail does")
        if verdict is holds.Verdict.APPROVE and asked.kind is not holds.Kind.APPROVAL:
            raise IllegalMove(f"fax {fax_id} waits until its sender has confirmed it; nobody else can")
        now, who = self._clock(), "the command line"
        done = holds.decide(connection, self._ids, fax_id, verdict, by=who, at=now, reason=one_line(reason))
        return {"id": str(fax_id), "verdict": verdict.value, "faxes": [str(one) for one in done.fax_ids]}

    def _show(self, connection: sa.Connection, fax_id: int) -> Json:
        row = faxes.get(connection, fax_id)
        tries = connection.execute(sa.select(attempt).where(attempt.c.fax_id == fax_id).order_by(attempt.c.ordinal))
        shown = _summary(row) | {
            "peer_written": row.peer_written,
            "resend_of": _id(row.resend_of),
            "settings": row.settings,
            "attempts": [_attempt(one) for one in tries],
            "holds": [_plain(one) | {"until": _time(one.until)} for one in holds.of_fax(connection, fax_id)],
            "history": [_event(one) for one in faxes.history(connection, fax_id)],
        }
        for key, table, row_id in (
            ("document", document, row.document_id),
            ("submission", submission, row.submission_id),
        ):
            found = connection.execute(sa.select(table).where(table.c.id == row_id)).first()
            shown[key] = _plain(found) if found is not None else None
        posts = sa.select(delivery).where(delivery.c.fax_id == fax_id).order_by(delivery.c.id)
        shown["deliveries"] = [_plain(one, leave=("payload",)) for one in connection.execute(posts)]
        return shown

    def _queue(self, connection: sa.Connection) -> Json:
        now = self._clock()
        waiting = sa.select(fax.c.state, sa.func.count(), sa.func.min(fax.c.created_at)).where(
            fax.c.state.in_(_UNENDED)
        )
        states = connection.execute(waiting.group_by(fax.c.state))
        lines = connection.execute(
            sa.select(channel.c.trunk, sa.func.count(), sa.func.count(channel.c.fax_id))
            .where(channel.c.enabled)
            .group_by(channel.c.trunk)
        )
        outbox = connection.execute(
            sa.select(delivery.c.lane, sa.func.count(), sa.func.min(delivery.c.created_at))
            .where(delivery.c.state == "due")
            .group_by(delivery.c.lane)
        )
        return {
            "faxes": {
                state: {"count": count, "oldest_seconds": round(now - oldest, 1)} for state, count, oldest in states
            },
            "without_trunk": routes.stranded(connection),
            "trunks": {trunk: {"channels": channels, "busy": busy} for trunk, channels, busy in lines},
            "outbox": {lane: {"due": due, "oldest_seconds": round(now - oldest, 1)} for lane, due, oldest in outbox},
        }

    def _sending_number(self, number: str | None) -> Number:
        senders = {
            key: entry for key, entry in self._policy.current.numbers.items() if Feature.MAIL_TO_FAX in entry.features
        }
        if number is None and senders:
            return next(iter(senders.values()))
        if number in senders:
            return senders[number]
        raise Refusal(
            550,
            "5.7.1",
            f"{number or 'no number'} is not a sending number of the policy; it has {', '.join(senders) or 'none'}",
        )

    def _recipient(self, written: str, sending: Number) -> Recipient:
        domains = self._policy.current.domains.values()
        region = sending.default_region or next((domain.default_region for domain in domains), None)
        verdict = check_recipient(self._policy.current, written, region)
        if verdict.refusal is not None or verdict.dialled is None:
            kind = verdict.refusal.kind if verdict.refusal else RefusalKind.BAD_NUMBER
            told = verdict.refusal.sentence if verdict.refusal else "this is no number"
            raise Refusal(kind.smtp_code, kind.enhanced_code, f"{written}: {told}")
        known = self._policy.recipient(sending.number, verdict.dialled, written, verdict)
        # The administrator needs nobody's approval.
        return replace(known, settings={key: value for key, value in known.settings.items() if key != "approval"})

    def _keep(self, path: Path, largest: int) -> File:
        """Keep a file of the administrator's own as a blob, once its first bytes say that it can be faxed."""
        try:
            if path.stat().st_size > largest:
                raise Refusal(
                    552, "5.3.4", f"{path.name} has {path.stat().st_size:,} bytes; the policy takes {largest:,}"
                )
            data = path.read_bytes()
            detect(data[:HEAD], path.name)
        except OSError as fault:
            raise Refusal(550, "5.6.0", f"{path} cannot be read: {fault.strerror}") from fault
        except Refused as refused:
            raise Refusal(550, "5.6.1", refused.sentence) from refused
        blob = self._blobs.put(data)
        return File(path.name, "application/octet-stream", blob.size, blob.name)


def _summary(row: sa.Row[Any]) -> Json:
    return {
        "id": str(row.id),
        "direction": row.direction,
        "state": row.state,
        "reason": row.reason,
        "number": row.number,
        "peer": row.peer,
        "pages": row.pages,
        "pages_confirmed": row.pages_confirmed,
        "attempts_made": row.attempts,
        "remote_ident": row.remote_ident,
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
        "not_before": _time(row.not_before) if row.state == "queued" else None,
    }


def _attempt(row: sa.Row[Any]) -> Json:
    return {
        "attempt": row.ordinal,
        "trunk": row.trunk,
        "rung": row.rung,
        "started_at": _time(row.started_at),
        "ended_at": _time(row.ended_at),
        "cause": row.cause,
        "pages_confirmed": row.pages_confirmed,
        "transmitted": row.transmitted,
        "transmitted_size": row.transmitted_size,
        "result": row.result,
        "next": row.next,
    }


def _event(row: sa.Row[Any]) -> Json:
    return {
        "seq": row.seq,
        "at": _time(row.at),
        "kind": row.kind,
        "before": row.before,
        "after": row.after,
        "reason": row.reason,
        "detail": row.detail,
    }


_INNER = ("lease_owner", "lease_until", "fence")


def _plain(row: sa.Row[Any], leave: tuple[str, ...] = ()) -> Json:
    """Return a row as JSON values: ids as text, times as ISO 8601, the lease's columns left out."""
    shown: Json = {}
    for key, value in row._mapping.items():  # noqa: SLF001  SQLAlchemy's public name for it
        if key in _INNER or key in leave:
            continue
        if key == "id" or key.endswith("_id"):
            shown[key] = value if isinstance(value, str) else _id(value)
        elif key.endswith("_at") or key == "not_before":
            shown[key] = _time(value)
        else:
            shown[key] = value
    return shown


def _id(value: int | None) -> str | None:
    return None if value is None else str(value)


def _time(value: float | None) -> str | None:
    return None if value is None else datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
