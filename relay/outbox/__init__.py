"""The outbox: what the relay owes the world after a fax has moved. One table, a lane for each way out.

Two committed steps. (1) :class:`~relay.outbox.routing.Router` turns each unrouted event into deliveries and marks it
routed, in one transaction: a kill makes neither a loss nor a double. (2) :class:`~relay.outbox.dispatch.Outbox`
claims a delivery, hands it to its lane and commits how it ended: a kill between the two repeats it, under the same
name, so that a receiver can tell. Nothing is dropped: a delivery ends ``done`` or ``failed`` with the far side's
words, or waits.
"""

from relay.outbox.deliveries import LaneState, oldest_unrouted, post, replay, resume, states, suspend, suspended
from relay.outbox.dispatch import Outbox
from relay.outbox.lane import (
    ALARM,
    REFUSAL,
    Deferred,
    Delivered,
    Lane,
    Outcome,
    Patience,
    Post,
    Refused,
    Skipped,
    Terms,
)
from relay.outbox.routing import Router
from relay.store.tables import RECEIVED_FAX

__all__ = [
    "ALARM",
    "RECEIVED_FAX",
    "REFUSAL",
    "Deferred",
    "Delivered",
    "Lane",
    "LaneState",
    "Outbox",
    "Outcome",
    "Patience",
    "Post",
    "Refused",
    "Router",
    "Skipped",
    "Terms",
    "oldest_unrouted",
    "post",
    "replay",
    "resume",
    "states",
    "suspend",
    "suspended",
]
