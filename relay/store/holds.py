"""Holds: faxes that wait for a person, and who decided. All functions run inside a caller's transaction.

A hold of kind ``approval`` waits for somebody whom the policy names, one of kind ``confirm`` for the click of the
sender whom its mail claims to be from. Faxes of one submission that begin to wait in the same transaction for the same
people are one question: one mail asks it, one decision answers it for all. Invariants:

* one decision counts: an open hold has no verdict, and a verdict never changes;
* a held fax is in no lane, so no claim can dial it; it leaves ``held`` here, or is cancelled;
* until its sender has clicked, a submission is not answerable (nobody mails an address that proved nothing) and its
  documents are not made (nobody parses what nobody answers for).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.errors import Decided, IllegalMove, NotFound
from relay.fax import Outbound
from relay.store import erasure, faxes
from relay.store.engine import Topic, announce
from relay.store.tables import document, fax, hold, submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relay.ids import IdSource

#: Holds that one transaction ends: bounds how long it keeps other writers waiting.
_BATCH = 100


class Kind(Enum):
    """What a hold waits for."""

    APPROVAL = "approval"
    CONFIRM = "confirm"


class Verdict(Enum):
    """How a hold ended. ``MOOT``: its fax was cancelled before anybody decided."""

    APPROVE = "approve"
    DENY = "deny"
    MOOT = "moot"


@dataclass(frozen=True, slots=True)
class Question:
    """An open hold with the others that are decided with it; ``rows`` are of the table ``hold``, the oldest fax first.

    ``asked``: the mail addresses of those who may decide.
    """

    kind: Kind
    asked: tuple[str, ...]
    until: float
    rows: tuple[sa.Row[Any], ...]

    @property
    def fax_ids(self) -> tuple[int, ...]:
        """The faxes that wait."""
        return tuple(row.fax_id for row in self.rows)


def ready(
    connection: sa.Connection,
    ids: IdSource,
    fax_ids: Iterable[int],
    pages: int,
    *,
    at: float,
    reason: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Queue faxes whose pages are made, but hold those that still need an approval."""
    changes = {"pages": pages, "not_before": at}
    waiting: dict[tuple[str, ...], list[tuple[int, float]]] = {}
    for fax_id in fax_ids:
        needs = _needs(connection, faxes.get(connection, fax_id), pages)
        if needs is None:
            faxes.move(connection, ids, fax_id, Outbound.QUEUED, at=at, reason=reason, detail=detail, changes=changes)
        else:
            waiting.setdefault(tuple(needs["by"]), []).append((fax_id, needs["seconds"]))
    for asked, held in waiting.items():
        why = f"it waits for approval by {' or '.join(asked)}"
        _hold(
            connection, ids, [fax_id for fax_id, _ in held], Kind.APPROVAL, asked, why, at=at,
            until=at + min(seconds for _, seconds in held), changes=changes,
        )  # fmt: skip


def unconfirmed(
    connection: sa.Connection, ids: IdSource, held: Mapping[int, str | None], sender: str, *, at: float, until: float
) -> None:
    """Hold the faxes of a submission that was just made until its sender clicks.

    ``held``: each fax, and why it is to be refused then, if it is.
    """
    why = "it waits for its sender to confirm it"
    _hold(connection, ids, held, Kind.CONFIRM, (sender,), why, at=at, until=until, refusals=held)


def unconfirmed_of(connection: sa.Connection, number: str) -> int:
    """Return how many faxes of a number wait for their senders."""
    both = hold.join(fax, fax.c.id == hold.c.fax_id)
    waits = sa.and_(fax.c.number == number, hold.c.kind == Kind.CONFIRM.value, hold.c.verdict.is_(None))
    return connection.execute(sa.select(sa.func.count()).select_from(both).where(waits)).scalar_one()


def question(connection: sa.Connection, fax_id: int, kind: Kind | None = None, *, lock: bool = False) -> Question:
    """Return what a fax waits for. ``kind``: of which question; the last one by default.

    A fax that was cancelled still stands for those that were asked about with it and wait.

    Raises :class:`relay.errors.NotFound`, :class:`relay.errors.Decided` where somebody has answered, and
    :class:`relay.errors.IllegalMove` where nobody was asked or it does not matter any more.
    """
    row = faxes.get(connection, fax_id)
    here = hold.c.fax_id == fax_id if kind is None else sa.and_(hold.c.fax_id == fax_id, hold.c.kind == kind.value)
    query = sa.select(hold).where(here).order_by(hold.c.created_at.desc(), hold.c.id.desc())
    last = connection.execute(query.limit(1).with_for_update() if lock else query.limit(1)).first()
    if last is None:
        raise IllegalMove(f"fax {fax_id} waits for nobody: it is {row.state}")
    if last.verdict in {Verdict.APPROVE.value, Verdict.DENY.value}:
        raise Decided(told(last))
    both = hold.join(fax, fax.c.id == hold.c.fax_id)
    same = sa.and_(
        fax.c.submission_id == row.submission_id, hold.c.kind == last.kind, hold.c.created_at == last.created_at,
        hold.c.verdict.is_(None), fax.c.state == Outbound.HELD.value,
    )  # fmt: skip
    rows = sa.select(hold).select_from(both).where(same).order_by(hold.c.fax_id)
    found = connection.execute(rows.with_for_update(of=hold) if lock else rows)
    kept = tuple(one for one in found if one.asked == last.asked)
    if not kept:
        raise IllegalMove(f"fax {fax_id} does not wait any more: it is {row.state}")
    return Question(Kind(last.kind), tuple(last.asked), last.until, kept)


def told(row: sa.Row[Any]) -> str:
    """Return what was decided, when and by whom, for whoever asks afterwards."""
    when = datetime.fromtimestamp(row.decided_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if row.kind == Kind.CONFIRM.value:
        return f"it was confirmed by {row.decided_by} on {when}"
    if row.decided_by is None:
        return f"it was refused on {when}: nobody had answered in time"
    word = "approved" if row.verdict == Verdict.APPROVE.value else "refused"
    return f"it was {word} by {row.decided_by} on {when}" + (f": {row.reason}" if row.reason else "")


def decide(
    connection: sa.Connection,
    ids: IdSource,
    fax_id: int,
    verdict: Verdict,
    *,
    by: str,
    at: float,
    reason: str = "",
    kind: Kind | None = None,
) -> Question:
    """Answer what a fax waits for, for it and all that wait with it; return the question.

    Raises as :func:`question` does, and :class:`relay.errors.IllegalMove` where the time to answer is over.
    """
    asked = question(connection, fax_id, kind, lock=True)
    if at >= asked.until:
        raise IllegalMove(f"the time to answer for fax {fax_id} is over")
    _close(connection, asked.rows, verdict, at=at, by=by, reason=reason)
    for row in asked.rows:
        detail = {"hold": asked.kind.value, "verdict": verdict.value, "by": by}
        if asked.kind is Kind.CONFIRM:
            _confirmed(connection, ids, row, verdict, at=at, by=by, detail=detail)
        elif verdict is Verdict.APPROVE:
            faxes.move(
                connection, ids, row.fax_id, Outbound.QUEUED, at=at, reason=f"approved by {by}", detail=detail,
                changes={"not_before": at},
            )  # fmt: skip
        else:
            why = f"it was not approved by {by}" + (f": {reason}" if reason else "")
            faxes.move(connection, ids, row.fax_id, Outbound.FAILED, at=at, reason=why, detail=detail)
    return asked


def expire(connection: sa.Connection, ids: IdSource, now: float) -> tuple[int, erasure.Erased]:
    """End some holds that nobody answered in time, or whose faxes were cancelled; return how many, and what is erased.

    A fax that nobody approved fails, and its sender hears of it. One whose sender did not click is erased without a
    word to anybody: nothing says that its sender ever knew of it.
    """
    over = sa.or_(hold.c.until <= now, fax.c.state != Outbound.HELD.value)
    query = (
        sa.select(hold, fax.c.state)
        .select_from(hold.join(fax, fax.c.id == hold.c.fax_id))
        .where(hold.c.verdict.is_(None), over)
        .order_by(hold.c.until, hold.c.id)
        .limit(_BATCH)
        .with_for_update(of=hold, skip_locked=True)
    )
    found = list(connection.execute(query))
    blobs: set[str] = set()
    for row in found:
        waits = row.state == Outbound.HELD.value
        _close(connection, [row], Verdict.DENY if waits else Verdict.MOOT, at=now, by=None)
        if row.kind == Kind.CONFIRM.value:
            if waits:
                why = "its sender did not confirm it in time"
                faxes.move(connection, ids, row.fax_id, Outbound.CANCELLED, at=now, reason=why)
            blobs |= erasure.rows(connection, ids, row.fax_id, now, "the end of its sender's time").blobs
        elif waits:
            why = f"it was not approved in time by {' or '.join(row.asked)}"
            detail = {"hold": row.kind, "verdict": Verdict.DENY.value, "by": None}
            faxes.move(connection, ids, row.fax_id, Outbound.FAILED, at=now, reason=why, detail=detail)
    return len(found), erasure.Erased(frozenset(blobs), None)


def approved(connection: sa.Connection, fax_id: int) -> bool:
    """Tell whether somebody has approved a fax."""
    here = sa.and_(hold.c.fax_id == fax_id, hold.c.kind == Kind.APPROVAL.value)
    verdict = connection.execute(sa.select(hold.c.verdict).where(here)).scalar()
    return bool(verdict == Verdict.APPROVE.value)


def of_fax(connection: sa.Connection, fax_id: int) -> list[sa.Row[Any]]:
    """Return a fax's holds in order."""
    return list(connection.execute(sa.select(hold).where(hold.c.fax_id == fax_id).order_by(hold.c.id)))


def _needs(connection: sa.Connection, row: sa.Row[Any], pages: int) -> Mapping[str, Any] | None:
    needs: Mapping[str, Any] | None = row.settings.get("approval")
    if needs is None or (needs["over_pages"] is not None and pages <= needs["over_pages"]):
        return None
    return None if approved(connection, row.id) else needs


def _hold(
    connection: sa.Connection,
    ids: IdSource,
    fax_ids: Iterable[int],
    kind: Kind,
    asked: Sequence[str],
    why: str,
    *,
    at: float,
    until: float,
    changes: Mapping[str, Any] | None = None,
    refusals: Mapping[int, str | None] | None = None,
) -> None:
    for position, fax_id in enumerate(fax_ids):
        connection.execute(
            hold.insert().values(
                id=ids(), fax_id=fax_id, kind=kind.value, why=why, asked=list(asked), created_at=at, until=until,
                reason=(refusals or {}).get(fax_id) or "",
            )
        )  # fmt: skip
        # The first of them asks for all: one mail, however many faxes.
        detail = {"hold": kind.value, "until": until, "asks": list(asked) if position == 0 else []}
        faxes.move(connection, ids, fax_id, Outbound.HELD, at=at, reason=why, detail=detail, changes=changes)


def _confirmed(
    connection: sa.Connection,
    ids: IdSource,
    row: sa.Row[Any],
    verdict: Verdict,
    *,
    at: float,
    by: str,
    detail: Mapping[str, Any],
) -> None:
    if verdict is not Verdict.APPROVE:
        faxes.move(connection, ids, row.fax_id, Outbound.CANCELLED, at=at, reason=f"cancelled by {by}", detail=detail)
        return
    held = faxes.get(connection, row.fax_id)
    connection.execute(submission.update().where(submission.c.id == held.submission_id).values(answerable=True))
    if held.document_id is None:
        faxes.move(connection, ids, row.fax_id, Outbound.FAILED, at=at, reason=row.reason, detail=detail)
        return
    made = connection.execute(sa.select(document).where(document.c.id == held.document_id).with_for_update()).first()
    if made is None:
        raise NotFound(f"the document of fax {row.fax_id} is gone")
    connection.execute(document.update().where(document.c.id == made.id).values(not_before=at))
    why = f"confirmed by {by}"
    faxes.move(connection, ids, row.fax_id, Outbound.PREPARING, at=at, reason=why, detail=detail)
    if made.blob is not None:
        ready(connection, ids, [row.fax_id], made.pages, at=at, reason="ready to dial")
    announce(connection, Topic.PREPARE)


def _close(
    connection: sa.Connection,
    rows: Iterable[sa.Row[Any]],
    verdict: Verdict,
    *,
    at: float,
    by: str | None,
    reason: str = "",
) -> None:
    for row in rows:
        values = {"verdict": verdict.value, "decided_at": at, "decided_by": by}
        if row.kind == Kind.APPROVAL.value:
            values["reason"] = reason
        done = connection.execute(hold.update().where(hold.c.id == row.id, hold.c.verdict.is_(None)).values(values))
        if done.rowcount != 1:
            raise Decided(f"fax {row.fax_id} has been decided meanwhile")
