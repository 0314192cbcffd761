"""A desk of the mail tests, with endpoints: what happened is routed and called step by step, by a clock of ours."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from policies.endpoints import CallbackEndpoint, Dialect, Trigger
from policies.policy import Source
from policies.secrets import parse_reference
from relay.callbacks.client import Client
from relay.callbacks.guard import DnsResolver
from relay.callbacks.lane import CallbackLane
from relay.store import callback_log
from relay.store.tables import callback_call, delivery, target

from ..mailer.desk import NOW, Desk, confirmed, ended

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    import sqlalchemy as sa

    from relay.callbacks.lane import Download
    from relay.ids import IdSource

__all__ = ["NOW", "SECRET", "CallbackDesk", "confirmed", "ended", "endpoint"]

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
LOOPBACK = frozenset({ip_network("127.0.0.0/8")})


def endpoint(name: str, port: int, **more: Any) -> CallbackEndpoint:
    """Return an endpoint on a port of loopback, which it may call."""
    values: dict[str, Any] = {
        "url": f"http://127.0.0.1:{port}/{name}", "dialect": Dialect.STANDARD, "source": Source("a.yaml", 1),
        "trigger": Trigger.STEP, "secrets": (parse_reference("env:SECRET"),), "networks": LOOPBACK, "timeout": 1.0,
    } | more  # fmt: skip
    return CallbackEndpoint(name=name, **values)


class CallbackDesk(Desk):
    """``endpoints``: the policy's."""

    def __init__(self, folder: Path, ids: IdSource, store: Any = None) -> None:
        super().__init__(folder, ids, store)
        self.endpoints: dict[str, CallbackEndpoint] = {}

    def sent(self, *results: Any, **more: Any) -> int:
        """Make a fax of a mail of its own."""
        self._mails = getattr(self, "_mails", 0) + 1
        return super().sent(*results, **({"message_id": f"<{self._mails}@example.com>"} | more))

    def has(self, *entries: CallbackEndpoint) -> None:
        """Put endpoints into the policy."""
        self.endpoints = self.endpoints | {entry.name: entry for entry in entries}

    def change(self, name: str, **changes: Any) -> None:
        """Change an endpoint of the policy."""
        self.endpoints = self.endpoints | {name: replace(self.endpoints[name], **changes)}

    def callback_lane(
        self, client: Client | None = None, *, context: ssl.SSLContext | None = None, download: Download | None = None
    ) -> CallbackLane:
        """Return the lane."""
        made = client or Client(DnsResolver(), context=context)
        return CallbackLane(
            made, lambda: self.endpoints, self.ids, self.clock, download=download, environ={"SECRET": SECRET}
        )

    async def settle(self, lane: CallbackLane | None = None) -> int:
        """Route all that happened and make each call that is due now; return how many calls there were."""
        made = lane or self.callback_lane()
        outbox = self.outbox(made)
        calls = 0
        while await outbox.route() or await outbox.step(made):
            calls = len(self.rows(callback_call))
        if lane is None:
            await made._client.close()
        return calls

    async def live(self, seconds: float, step: float, lane: CallbackLane | None = None) -> list[float]:
        """Let time pass in steps; return when calls were made, in seconds from now."""
        began = self.clock.now
        made = lane or self.callback_lane()
        outbox = self.outbox(made)
        while self.clock.now <= began + seconds:
            while await outbox.route() or await outbox.step(made):
                pass
            self.clock.now += step
        if lane is None:
            await made._client.close()
        return [row.at - began for row in self.rows(callback_call) if row.at >= began]

    def calls(self) -> list[sa.Row[Any]]:
        """Return the log."""
        return self.rows(callback_call)

    def waiting(self) -> list[sa.Row[Any]]:
        """Return the callbacks that are not done."""
        return [row for row in self.rows(delivery) if row.lane == "callback" and row.state == "due"]

    def standing(self, name: str) -> callback_log.Standing:
        """Return how an endpoint stands."""
        return next(one for one in self.store.read_now(callback_log.standings) if one.name == name)

    def target(self, name: str) -> sa.Row[Any]:
        """Return an endpoint's row."""
        return next(row for row in self.rows(target) if (row.lane, row.name) == ("callback", name))

    def alarms(self) -> list[dict[str, Any]]:
        """Return what persons are mailed of endpoints."""
        return [row.payload for row in self.rows(delivery) if row.kind == "alarm"]
