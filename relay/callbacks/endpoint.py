"""An endpoint as its dialect sees it: where a callback goes and what it is signed with.

How often and how long it is tried, and who hears of its suspension, is the lane's matter and not in here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.event import Name


class When(Enum):
    """Which results are told of."""

    NEVER = "never"
    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    ALWAYS = "always"


class Trigger(Enum):
    """How closely a submission is told of; each holds those below it.

    ``ACTION``: every event; ``STEP``: each recipient that ends; ``FLOW``: the end of the whole submission.
    """

    ACTION = "action"
    STEP = "step"
    FLOW = "flow"


class Unfit(ValueError):
    """A dialect cannot serve an endpoint. ``field``: which setting, as policy files name it; the text says why."""

    def __init__(self, field_name: str, why: str) -> None:
        super().__init__(why)
        self.field = field_name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where callbacks go.

    ``url``: for faxes that we send; ``inbound_url``: for those that we receive; an empty one gets none of them.
    ``events``: those that are wanted, empty for all. ``headers``: extra ones. ``secrets``: the newest first, two while
    one is rolled. ``user`` and ``password``: HTTP basic authentication where the dialect knows it. ``method``: where
    the dialect leaves a choice, empty for its usual one. ``options``: what
    only one dialect knows, by the names of its module's ``OPTIONS``.
    """

    name: str
    url: str
    dialect: str = "standard"
    inbound_url: str = ""
    events: frozenset[Name] = frozenset()
    when: When = When.ALWAYS
    trigger: Trigger = Trigger.ACTION
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    method: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
