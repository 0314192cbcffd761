"""The life of a fax: two enums, two tables, one function that says whether a move is legal.

Nothing but :func:`relay.store.faxes.move` writes a fax's state, and it asks :func:`check` first. Invariants:

* a terminal state never changes; a resend is a new fax;
* ``SENT`` is reached from ``DIALING`` alone, and only with the far machine's confirmation (MCF) of the last page
  (ITU-T T.30 section 5.3.6.1.7);
* ``UNCERTAIN`` is terminal for the relay: only a person or an explicit policy dials again.

``docs/states.md`` draws the two tables; a test compares them.
"""

from __future__ import annotations

from enum import Enum

from relay.errors import IllegalMove


class Direction(Enum):
    """Which way a fax goes."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Outbound(Enum):
    """Where a fax that we send stands; the values are what the database, the API and the portal show."""

    ACCEPTED = "accepted"
    PREPARING = "preparing"
    HELD = "held"
    QUEUED = "queued"
    DIALING = "dialing"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"


class Inbound(Enum):
    """Where a fax that we receive stands."""

    RECEIVING = "receiving"
    READING = "reading"
    QUARANTINED = "quarantined"
    RECEIVED = "received"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"


State = Outbound | Inbound

OUTBOUND_MOVES: dict[Outbound, frozenset[Outbound]] = {
    Outbound.ACCEPTED: frozenset({Outbound.PREPARING, Outbound.HELD, Outbound.FAILED, Outbound.CANCELLED}),
    Outbound.PREPARING: frozenset({Outbound.QUEUED, Outbound.HELD, Outbound.FAILED, Outbound.CANCELLED}),
    Outbound.HELD: frozenset({Outbound.PREPARING, Outbound.QUEUED, Outbound.FAILED, Outbound.CANCELLED}),
    Outbound.QUEUED: frozenset({Outbound.DIALING, Outbound.FAILED, Outbound.CANCELLED}),
    Outbound.DIALING: frozenset(
        {
            Outbound.SENT,
            Outbound.QUEUED,
            Outbound.PREPARING,
            Outbound.FAILED,
            Outbound.UNCERTAIN,
            Outbound.CANCELLED,
        }
    ),
    Outbound.SENT: frozenset(),
    Outbound.FAILED: frozenset(),
    Outbound.UNCERTAIN: frozenset(),
    Outbound.CANCELLED: frozenset(),
}

INBOUND_MOVES: dict[Inbound, frozenset[Inbound]] = {
    Inbound.RECEIVING: frozenset({Inbound.READING, Inbound.RECEIVED, Inbound.QUARANTINED, Inbound.UNDELIVERABLE}),
    Inbound.READING: frozenset({Inbound.RECEIVED}),
    Inbound.QUARANTINED: frozenset({Inbound.READING, Inbound.RECEIVED}),
    Inbound.RECEIVED: frozenset({Inbound.DELIVERED, Inbound.UNDELIVERABLE}),
    Inbound.DELIVERED: frozenset(),
    Inbound.UNDELIVERABLE: frozenset(),
}


def state(direction: Direction, value: str) -> State:
    """Return the state that a row of ``direction`` holds as ``value``."""
    return Outbound(value) if direction is Direction.OUTBOUND else Inbound(value)


def moves(before: State) -> frozenset[State]:
    """Return the states that may follow ``before``."""
    if isinstance(before, Outbound):
        return frozenset(OUTBOUND_MOVES[before])
    return frozenset(INBOUND_MOVES[before])


def terminal(where: State) -> bool:
    """Tell whether a fax stays where it is.

    >>> terminal(Outbound.UNCERTAIN), terminal(Outbound.QUEUED)
    (True, False)
    """
    return not moves(where)


def check(before: State, after: State) -> None:
    """Raise :class:`IllegalMove` unless a fax may go from ``before`` to ``after``.

    >>> check(Outbound.DIALING, Outbound.SENT)
    >>> check(Outbound.SENT, Outbound.QUEUED)
    Traceback (most recent call last):
        ...
    relay.errors.IllegalMove: a fax cannot go from sent to queued
    """
    if after not in moves(before):
        raise IllegalMove(f"a fax cannot go from {before.value} to {after.value}")
