"""The one way in: mail and the command line (the API and devices too) make a :class:`Submission` for :func:`submit`.

A submission is what one sender asked for at once: files, and one recipient or many. :func:`submit` writes its rows in
the caller's transaction; when that is committed the relay owes each recipient a fax or an answer. Invariants:

* the blobs that the files name are on the disk before the rows are written;
* a repeat (same sender, same Message-ID, same decoded attachments, same number) makes no second fax: the key is unique,
  whichever process sees the repeat first;
* a recipient that was refused after the others were accepted becomes a failed fax, so that its sender is told.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.errors import IllegalMove
from relay.fax import Direction, Outbound
from relay.store import destinations, faxes, routes
from relay.store.engine import Topic, announce
from relay.store.tables import attachment, document, fax, submission, submission_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.ids import IdSource

#: How long a repeat is recognised, in seconds.
KEY_LIFE = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class File:
    """One attachment: its name as the sender wrote it (for people, never a path) and the blob of its decoded bytes."""

    name: str
    media_type: str
    size: int
    blob: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where one fax goes: E.164 ``number`` as dialled, and the recipient as ``written``.

    ``settings`` are the effective ones for this destination, as JSON values (see :mod:`relay.policy`). ``refusal``: the
    sentence for the sender where this recipient may not be dialled.
    """

    number: str
    written: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What a sender asked for. ``number``: the sending number, E.164; ``sender``: the proven address, if any.

    ``answerable`` is false for automatic mail, which is never answered (RFC 3834 section 2). ``thread``: the
    References that an answer carries. ``once``: names the deed where there is no Message-ID to know a repeat by.
    ``facts``: what the policy was asked (:func:`relay.replay.kept`).
    """

    source: str
    sender: str | None
    proof: str
    number: str
    subject: str
    files: tuple[File, ...]
    recipients: tuple[Recipient, ...]
    message_id: str | None = None
    thread: str = ""
    answerable: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    resend_of: int | None = None
    once: str | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The submission's id (``None`` if every recipient was a repeat) and each recipient's fax, in order."""

    id: int | None
    faxes: tuple[int, ...]
    repeats: int


def submit(connection: sa.Connection, ids: IdSource, asked: Submission, now: float) -> Submitted:
    """Write the rows of a submission; the caller's transaction makes it safe."""
    keys = [submission_key_of(asked, recipient) for recipient in asked.recipients]
    known = _known_keys(connection, [key for key in keys if key is not None], now)
    fresh = [(key, recipient) for key, recipient in zip(keys, asked.recipients, strict=True) if key not in known]
    submission_id = _insert(connection, ids, asked, now) if fresh else None
    made: dict[int, int] = {}
    for index, (key, recipient) in enumerate(zip(keys, asked.recipients, strict=True)):
        if key is not None and key in known:
            made[index] = known[key]
        elif submission_id is not None:
            made[index] = _insert_fax(connection, ids, asked, recipient, submission_id, now)
            if key is not None:
                known[key] = made[index]
                connection.execute(
                    submission_key.insert().values(key=key, fax_id=made[index], expires_at=now + KEY_LIFE)
                )
    if fresh:
        announce(connection, Topic.PREPARE)
    return Submitted(submission_id, tuple(made[index] for index in range(len(keys))), len(keys) - len(fresh))


def submission_key_of(asked: Submission, recipient: Recipient) -> str | None:
    """Return the key by which a repeat is known; ``None`` where nothing tells it: no Message-ID, no name."""
    if asked.once:
        return hashlib.sha256(f"once {asked.once} {recipient.written}".encode()).hexdigest()
    if not asked.message_id:
        return None
    digest = hashlib.sha256()
    for part in (asked.sender or "", asked.message_id, *(file.blob for file in asked.files), recipient.number):
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def _known_keys(connection: sa.Connection, keys: list[str], now: float) -> dict[str, int]:
    connection.execute(submission_key.delete().where(submission_key.c.expires_at < now))
    rows = connection.execute(
        sa.select(submission_key.c.key, submission_key.c.fax_id).where(submission_key.c.key.in_(keys))
    )
    return {row.key: row.fax_id for row in rows}


def _insert(connection: sa.Connection, ids: IdSource, asked: Submission, now: float) -> int:
    submission_id = ids()
    connection.execute(
        submission.insert().values(
            id=submission_id,
            source=asked.source,
            sender=asked.sender,
            proof=asked.proof,
            number=asked.number,
            message_id=asked.message_id,
            subject=asked.subject,
            answerable=asked.answerable,
            thread=asked.thread,
            settings=dict(asked.settings),
            facts=dict(asked.facts) if asked.facts is not None else sa.null(),
            created_at=now,
        )
    )
    for position, file in enumerate(asked.files):
        connection.execute(
            attachment.insert().values(
                submission_id=submission_id,
                position=position,
                name=file.name,
                media_type=file.media_type,
                size=file.size,
                blob=file.blob,
            )
        )
    return submission_id


def _insert_fax(
    connection: sa.Connection,
    ids: IdSource,
    asked: Submission,
    recipient: Recipient,
    submission_id: int,
    now: float,
) -> int:
    settings = {**asked.settings, **recipient.settings}
    if destinations.recall(connection, recipient.number, settings, now).resolution is not None:
        settings["resolution"] = COARSEST
    fax_id = faxes.create(
        connection,
        ids,
        {
            "direction": Direction.OUTBOUND.value,
            "submission_id": submission_id,
            "document_id": None if recipient.refusal else _document(connection, ids, submission_id, settings, now),
            "number": asked.number,
            "peer": recipient.number,
            "peer_written": recipient.written,
            "peer_slots": settings.get("concurrency", 1),
            "priority": settings.get("priority", 5),
            "resend_of": asked.resend_of,
            "passes_on": settings.get("passes_on"),
            "settings": settings,
            "route": routes.written(connection, settings["trunks"]) if settings.get("trunks") else "",
            "created_at": now,
        },
        reason=f"accepted by {asked.source}",
    )
    if recipient.refusal:
        faxes.move(connection, ids, fax_id, Outbound.FAILED, at=now, reason=recipient.refusal)
    return fax_id


def _document(
    connection: sa.Connection, ids: IdSource, submission_id: int, settings: Mapping[str, Any], now: float
) -> int:
    """Return the document of this submission in the rendering that the settings ask for: each is made once."""
    rendering = ":".join(str(settings.get(key, default)) for key, default in RENDERING.items())
    here = sa.and_(document.c.submission_id == submission_id, document.c.rendering == rendering)
    known = connection.execute(sa.select(document.c.id).where(here)).scalar()
    if known is not None:
        return int(known)
    document_id = ids()
    connection.execute(
        document.insert().values(id=document_id, submission_id=submission_id, rendering=rendering, created_at=now)
    )
    return document_id


#: The settings that make a rendering, with their defaults, in the order of ``document.rendering``.
RENDERING = {"resolution": "fine", "mode": "auto", "paper": "a4", "max_pages": 300}
#: The resolution that every fax machine takes (T.30 table 2).
COARSEST = "standard"


def coarser_document(connection: sa.Connection, ids: IdSource, row: sa.Row[Any], now: float) -> None:
    """Give a fax that is ``preparing`` again the document in standard resolution, and queue it if that is made."""
    settings = {**row.settings, "resolution": COARSEST}
    document_id = _document(connection, ids, row.submission_id, settings, now)
    connection.execute(
        fax.update().where(fax.c.id == row.id).values(document_id=document_id, settings=settings, pages_confirmed=0)
    )
    made = connection.execute(sa.select(document).where(document.c.id == document_id).with_for_update()).one()
    if made.refusal is not None:
        faxes.move(connection, ids, row.id, Outbound.FAILED, at=now, reason=made.refusal)
    elif made.blob is not None:
        _ready(connection, ids, row.id, made.pages, now)
    announce(connection, Topic.PREPARE)


def _ready(connection: sa.Connection, ids: IdSource, fax_id: int, pages: int, now: float) -> None:
    changes = {"pages": pages, "not_before": now}
    faxes.move(connection, ids, fax_id, Outbound.QUEUED, at=now, reason="ready to dial", changes=changes)


def resubmit(
    connection: sa.Connection,
    ids: IdSource,
    fax_id: int,
    now: float,
    who: str,
    trunks_again: Callable[[sa.Row[Any]], list[str]],
) -> int:
    """Make a new fax of an ended one, to the same number with the same document, and return its id.

    ``trunks_again``: gives the trunks of a fax as the policy has them now (:meth:`PolicyHolder.trunks_again`). A
    person's decision: it may deliver twice what was ``uncertain``. Raises :class:`relay.errors.NotFound` and, for a
    fax that has not ended, :class:`relay.errors.IllegalMove`.
    """
    row = faxes.get(connection, fax_id)
    faxes.check_resend(row)
    made = connection.execute(sa.select(document).where(document.c.id == row.document_id).with_for_update()).one()
    if made.refusal is not None:
        raise IllegalMove(f"the document of fax {fax_id} cannot be faxed: {made.refusal} Send a new one.")
    trunks = trunks_again(row)
    if trunks == [routes.NOWHERE]:
        raise IllegalMove(f"no telephone line serves {row.peer} now; add a trunk to the policy, then send it again")
    settings = {key: value for key, value in row.settings.items() if key != "gone"} | (
        {"trunks": trunks} if trunks else {}
    )
    new = faxes.create(
        connection,
        ids,
        {
            column: getattr(row, column)
            for column in (
                "direction",
                "submission_id",
                "document_id",
                "number",
                "peer",
                "peer_written",
                "peer_slots",
                "priority",
                "pages",
            )
        }
        | {"settings": settings, "route": routes.written(connection, trunks) if trunks else ""}
        | {"resend_of": fax_id, "created_at": now},
        reason=f"resend of {fax_id}, asked for by {who}",
    )
    if made.blob is not None:
        faxes.move(connection, ids, new, Outbound.PREPARING, at=now, reason="the document is made already")
        _ready(connection, ids, new, made.pages, now)
    announce(connection, Topic.PREPARE)
    return new
