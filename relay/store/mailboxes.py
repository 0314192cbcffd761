"""What was done with each message of a mailbox that is polled.

A message is named by its mailbox, UIDVALIDITY and UID (RFC 9051 section 2.3.1.1); ``received`` (its INTERNALDATE) tells
when a server gave the same name to another message. The row is written in the transaction that makes the faxes, so
that a message whose row says ``accepted`` is never judged again, however the poller ends before it is filed. After a
change of UIDVALIDITY it is known by the ``digest`` of its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import sqlalchemy as sa

from relay.store.tables import mailbox_message


class Fate(Enum):
    """What became of a message. ``WAITING``: it is judged again later."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Place:
    """A message on a server."""

    mailbox: str
    validity: int
    uid: int
    received: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a row says; ``since``: when the message was first judged, seconds since 1970."""

    fate: Fate
    since: float


class AlreadyJudged(Exception):
    """Somebody else has judged the message meanwhile: this transaction must not count."""


def find(connection: sa.Connection, place: Place) -> Known | None:
    """Return what is known of the message at a place."""
    row = connection.execute(sa.select(mailbox_message).where(*_at(place))).first()
    if row is None or row.received != place.received:
        return None
    return Known(Fate(row.fate), row.created_at)


def has(connection: sa.Connection, mailbox: str, digest: str, fate: Fate) -> bool:
    """Whether a message of these bytes met this fate in this mailbox before."""
    here = sa.and_(mailbox_message.c.mailbox == mailbox, mailbox_message.c.digest == digest)
    query = sa.select(mailbox_message.c.uid).where(here, mailbox_message.c.fate == fate.value).limit(1)
    return connection.execute(query).first() is not None


def record(connection: sa.Connection, place: Place, digest: str, fate: Fate, now: float) -> None:
    """Write a message's fate; raises :class:`AlreadyJudged` where a final one stands."""
    row = connection.execute(sa.select(mailbox_message).where(*_at(place)).with_for_update()).first()
    values = {"received": place.received, "digest": digest, "fate": fate.value, "seen_at": now}
    if row is None:
        names = {"mailbox": place.mailbox, "validity": place.validity, "uid": place.uid}
        try:
            with connection.begin_nested():
                connection.execute(mailbox_message.insert().values(names | values | {"created_at": now}))
        except sa.exc.IntegrityError:  # another node has just written it
            raise AlreadyJudged from None
        return
    same = row.received == place.received
    if same and row.fate != Fate.WAITING.value:
        raise AlreadyJudged
    created = {} if same else {"created_at": now}
    connection.execute(mailbox_message.update().where(*_at(place)).values(values | created))


def touch(connection: sa.Connection, place: Place, now: float) -> None:
    """Note that the message is still on its server, so that its row is kept."""
    connection.execute(mailbox_message.update().where(*_at(place)).values(seen_at=now))


def drop(connection: sa.Connection, before: float) -> int:
    """Delete the rows of messages that were last seen before a time; return how many went."""
    return connection.execute(mailbox_message.delete().where(mailbox_message.c.seen_at < before)).rowcount


def _at(place: Place) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        mailbox_message.c.mailbox == place.mailbox,
        mailbox_message.c.validity == place.validity,
        mailbox_message.c.uid == place.uid,
    )
