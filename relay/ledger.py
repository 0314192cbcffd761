"""The rows of submissions, written in the caller's transaction, for twenty with as many statements as for one.

When that transaction is committed the relay owes each recipient a fax or an answer. Invariants:

* the blobs that the files name are on the disk before the rows are written;
* a repeat (same sender, same Message-ID, same decoded attachments, same number) makes no second fax: the key is unique,
  whichever process sees the repeat first;
* a recipient that was refused after the others were accepted becomes a failed fax, so that its sender is told;
* what its sender has to confirm first is held, and nothing is made of it before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from relay.fax import Direction, Outbound
from relay.notification import ORIGINAL
from relay.store import destinations, faxes, holds, routes
from relay.store.engine import Topic, announce
from relay.store.tables import attachment, document, fax, submission, submission_key
from relay.submission import COARSEST, KEY_LIFE, Submitted, rendering_of, submission_key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.ids import IdSource
    from relay.submission import Recipient, Submission

#: Seconds after the end of its sender's time before a document could be made: it is erased by then.
_SPARE: Final = 3600.0


def submit(connection: sa.Connection, ids: IdSource, asked: Submission, now: float) -> Submitted:
    """Write the rows of a submission; the caller's transaction makes it safe."""
    ledger = Ledger(connection, ids, [asked], now)
    made = ledger.add(asked)
    ledger.write()
    return made


class Ledger:
    """Submissions that are written together: as many statements for twenty as for one.

    What is known of ``asked`` is looked up at once; :meth:`add` decides what is new, :meth:`write` writes it.
    """

    def __init__(self, connection: sa.Connection, ids: IdSource, asked: Sequence[Submission], now: float) -> None:
        self._connection = connection
        self._ids = ids
        self._now = now
        keys = [key for one in asked for recipient in one.recipients if (key := submission_key_of(one, recipient))]
        self._known = _known_keys(connection, keys, now)
        self._lessons = destinations.lessons(
            connection,
            {
                destinations.taught_by(to.number, {**one.settings, **to.settings})
                for one in asked
                for to in one.recipients
            },
        )
        self._submissions: list[dict[str, Any]] = []
        self._attachments: list[dict[str, Any]] = []
        self._documents: list[dict[str, Any]] = []
        self._faxes: list[dict[str, Any]] = []
        self._keys: list[dict[str, Any]] = []
        self._refusals: dict[int, str] = {}
        self._unconfirmed: list[tuple[Submission, dict[int, str | None]]] = []
        self._routes: dict[tuple[str, ...], str] = {}

    def fresh(self, asked: Submission) -> list[Recipient]:
        """Return the recipients that are no repeats."""
        return [one for one in asked.recipients if submission_key_of(asked, one) not in self._known]

    def add(self, asked: Submission) -> Submitted:
        """Take a submission in."""
        submission_id = self._ids()
        documents: dict[str, int] = {}
        made: list[tuple[int, int]] = []
        repeats = 0
        for recipient in asked.recipients:
            key = submission_key_of(asked, recipient)
            known = self._known.get(key) if key else None
            repeats += known is not None
            if known is None:
                known = self._fax(asked, recipient, submission_id, documents), submission_id
                if key:
                    self._known[key] = known
                    self._keys.append({"key": key, "fax_id": known[0], "expires_at": self._now + KEY_LIFE})
            made.append(known)
        new = repeats < len(made)
        if new:
            self._submission(asked, submission_id)
        if new and asked.confirm_until is not None:
            mine = {fax_id for fax_id, submitted in made if submitted == submission_id}
            self._unconfirmed.append((asked, {fax_id: self._refusals.pop(fax_id, None) for fax_id in sorted(mine)}))
        return Submitted(submission_id if new else None, made[0][1], tuple(fax_id for fax_id, _ in made), repeats)

    def write(self) -> None:
        """Write the rows of all that was added since the last time."""
        for table, rows in (
            (submission, self._submissions),
            (attachment, self._attachments),
            (document, self._documents),
        ):
            if rows:
                self._connection.execute(table.insert(), rows)
        faxes.create_all(self._connection, self._ids, self._faxes)
        if self._keys:
            self._connection.execute(submission_key.insert(), self._keys)
        for fax_id, sentence in self._refusals.items():
            faxes.move(self._connection, self._ids, fax_id, Outbound.FAILED, at=self._now, reason=sentence)
        for asked, held in self._unconfirmed:
            until, sender = asked.confirm_until or self._now, asked.sender or ""
            holds.unconfirmed(self._connection, self._ids, held, sender, at=self._now, until=until)
        if self._faxes:
            announce(self._connection, Topic.PREPARE)
        for written in (self._submissions, self._attachments, self._documents, self._faxes, self._keys):
            written.clear()
        self._refusals.clear()
        self._unconfirmed.clear()

    def _submission(self, asked: Submission, submission_id: int) -> None:
        self._submissions.append(
            {
                "id": submission_id,
                "source": asked.source,
                "sender": asked.sender,
                "proof": asked.proof,
                "number": asked.number,
                "message_id": asked.message_id,
                "subject": asked.subject,
                "answerable": asked.answerable,
                "thread": asked.thread,
                "settings": dict(asked.settings),
                "created_at": self._now,
            }
        )
        self._attachments += [
            {
                "submission_id": submission_id,
                "position": position,
                "name": file.name,
                "media_type": file.media_type,
                "size": file.size,
                "blob": file.blob,
            }
            for position, file in enumerate(asked.files)
        ]

    def _fax(self, asked: Submission, recipient: Recipient, submission_id: int, documents: dict[str, int]) -> int:
        settings = {**asked.settings, **recipient.settings}
        settings.pop(ORIGINAL, None)  # once with the submission is enough
        taught_by = destinations.taught_by(recipient.number, settings)
        if destinations.still(self._lessons.get(taught_by), settings, self._now).resolution is not None:
            settings["resolution"] = COARSEST
        fax_id = self._ids()
        self._faxes.append(
            {
                "id": fax_id,
                "direction": Direction.OUTBOUND.value,
                "submission_id": submission_id,
                "document_id": None
                if recipient.refusal
                else self._document(asked, recipient, settings, submission_id, documents),
                "number": asked.number,
                "peer": recipient.number,
                "peer_written": recipient.written,
                "peer_slots": settings.get("concurrency", 1),
                "priority": settings.get("priority", 5),
                "resend_of": asked.resend_of,
                "passes_on": settings.get("passes_on"),
                "settings": settings,
                "route": self._route(settings),
                "created_at": self._now,
                "reason": f"accepted by {asked.source}",
            }
        )
        if recipient.refusal:
            self._refusals[fax_id] = recipient.refusal
        return fax_id

    def _route(self, settings: Mapping[str, Any]) -> str:
        trunks = tuple(settings.get("trunks") or ())
        if trunks and trunks not in self._routes:
            self._routes[trunks] = routes.written(self._connection, trunks)
        return self._routes[trunks] if trunks else ""

    def _document(
        self,
        asked: Submission,
        recipient: Recipient,
        settings: Mapping[str, Any],
        submission_id: int,
        documents: dict[str, int],
    ) -> int:
        """Return the document of a submission in the rendering that the settings ask for: each is made once."""
        rendering = rendering_of(settings, recipient.number)
        if rendering not in documents:
            documents[rendering] = self._ids()
            self._documents.append(
                {
                    "id": documents[rendering],
                    "submission_id": submission_id,
                    "rendering": rendering,
                    "created_at": self._now,
                    "not_before": 0.0 if asked.confirm_until is None else asked.confirm_until + _SPARE,
                }
            )
        return documents[rendering]


def _known_keys(connection: sa.Connection, keys: list[str], now: float) -> dict[str, tuple[int, int]]:
    """Return fax and submission by the keys that are known."""
    connection.execute(_FORGET_KEYS, {"now": now})
    if not keys:
        return {}
    return {row.key: (row.fax_id, row.submission_id) for row in connection.execute(_KNOWN_KEYS, {"keys": keys})}


_FORGET_KEYS: Final = submission_key.delete().where(submission_key.c.expires_at < sa.bindparam("now"))
_KNOWN_KEYS: Final = (
    sa.select(submission_key.c.key, submission_key.c.fax_id, fax.c.submission_id)
    .join(fax, fax.c.id == submission_key.c.fax_id)
    .where(submission_key.c.key.in_(sa.bindparam("keys", expanding=True)))
)
