"""What a line reports during a call, written into the fax's history as it happens; both directions use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.store import faxes
from relay.store.tables import fax
from transport.messages import encode
from transport.seam import Answered, CallEvent, Negotiated, PageConfirmed, Ringing, T38Started

if TYPE_CHECKING:
    import sqlalchemy as sa

    from relay.ids import IdSource

_KINDS: dict[type[CallEvent], str] = {
    Ringing: "fax.ringing",
    Answered: "fax.answered",
    T38Started: "fax.t38_started",
    Negotiated: "fax.negotiated",
    PageConfirmed: "fax.page_confirmed",
}


def note(connection: sa.Connection, ids: IdSource, fax_id: int, happened: CallEvent, at: float) -> None:
    """Write one event of a call, and what it changes of the fax: the far ident, the pages confirmed so far."""
    detail = {name: value for name, value in encode(happened).items() if name != "call"}
    faxes.note(connection, ids, fax_id, _KINDS[type(happened)], at=at, detail=detail)
    here = fax.update().where(fax.c.id == fax_id)
    if isinstance(happened, Negotiated):
        connection.execute(here.values(remote_ident=happened.remote_ident))
        if happened.subaddress:
            settings = faxes.get(connection, fax_id, lock=True).settings
            connection.execute(here.values(settings={**settings, "subaddress": happened.subaddress}))
    elif isinstance(happened, PageConfirmed):
        connection.execute(here.where(fax.c.pages_confirmed < happened.page).values(pages_confirmed=happened.page))
