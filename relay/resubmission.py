"""Faxes that are made again: of an ended one, because a person asks for it, and with pages that more machines take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.errors import IllegalMove
from relay.fax import Outbound
from relay.store import faxes, holds, routes
from relay.store.engine import Topic, announce
from relay.store.tables import document, fax
from relay.submission import COARSEST, rendering_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.ids import IdSource


def coarser_document(connection: sa.Connection, ids: IdSource, row: sa.Row[Any], now: float) -> None:
    """Give a fax that is ``preparing`` again the document in standard resolution, and queue it if that is made."""
    settings = {**row.settings, "resolution": COARSEST}
    document_id = _document(connection, ids, row.submission_id, settings, row.peer, now)
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
    holds.ready(connection, ids, [fax_id], pages, at=now, reason="ready to dial")


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
    left = {"gone", "earliest"} | ({"approval"} if holds.approved(connection, fax_id) else set())
    settings = {key: value for key, value in row.settings.items() if key not in left} | (
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


def _document(
    connection: sa.Connection,
    ids: IdSource,
    submission_id: int,
    settings: Mapping[str, Any],
    peer: str,
    now: float,
) -> int:
    """Return the document of this submission in the rendering that the settings ask for: each is made once."""
    rendering = rendering_of(settings, peer)
    here = sa.and_(document.c.submission_id == submission_id, document.c.rendering == rendering)
    known = connection.execute(sa.select(document.c.id).where(here)).scalar()
    if known is not None:
        return int(known)
    document_id = ids()
    connection.execute(
        document.insert().values(id=document_id, submission_id=submission_id, rendering=rendering, created_at=now)
    )
    return document_id
