"""Our own fax machines: what they send goes out once, what arrives is passed on to them, and the truth about both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from converters import Converter
from relay.errors import IllegalMove
from relay.fax import Outbound
from relay.ids import IdSource
from relay.inbound.arrival import Arrivals
from relay.outbound.rerouting import reroute
from relay.outbox.routing import Router
from relay.policy import PolicyHolder
from relay.resubmission import resubmit
from relay.store import faxes, schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.store.routes import NOWHERE
from relay.store.tables import document, fax, submission
from relay.testing import PlainConverter, ScriptedLine
from relay.web import checks
from relay.web.health import examine
from transport.seam import Arrived, Arriving, CallResult, Cause, Evidence, ReceivedPage

from .conftest import Clock

OURS, CUSTOMER = "+97231234567", "+12025550123"
POLICY = f"""\
numbers:
  - number: "{OURS}"
    deliver_to: [alice@example.com]
    deliver_to_devices: [lobby]
    limits: {{faxes_per_hour: 2}}
trunks:
  - name: carrier
    host: sip.carrier.example
devices:
  - name: lobby
    number: "{OURS}"
    password: env:LOBBY_PASSWORD
destinations:
  rules:
    - deny: {{prefix: "+1900"}}
"""


class Lobby:
    """The inbound stage of an office whose number has a machine in the lobby."""

    def __init__(self, folder: Path) -> None:
        (folder / "policies").mkdir()
        (folder / "policies" / "p.yaml").write_text(POLICY)
        self.store = Store(f"sqlite:///{folder / 'faxrelay.db'}")
        schema.upgrade(self.store.engine)
        self.line, self.ids, self.clock = ScriptedLine(), IdSource(), Clock()
        self.policy = PolicyHolder(folder / "policies", real_lines=True)
        converter = cast("Converter", PlainConverter())
        blobs = LocalBlobs(folder / "blobs")
        self.arrivals = Arrivals(
            self.store, blobs, converter, self.line, self.policy, self.ids, self.clock, owner="node", pause=0.01
        )

    async def call(self, arriving: Arriving, cause: Cause = Cause.CONFIRMED, pages: int = 2) -> None:
        """Let a call come in and end."""
        result = CallResult(arriving.call, cause, pages, last_page_offered=False, simulated=False)
        received = tuple(ReceivedPage(n + 1, 1728, 2292, 204, 196, b"page") for n in range(pages))
        self.line.left = [arriving]
        self.line.proofs[arriving.call] = Evidence(
            readable=True, complete=True, last_page_offered=False, pages_confirmed=pages, result=result, pages=received
        )
        self.line.incoming.put_nowait(arriving)
        self.line.incoming.put_nowait(Arrived(arriving.call, result, Path("journal")))
        async with asyncio.timeout(10):
            while arriving.call not in self.line.forgotten:
                await asyncio.sleep(0.01)

    def faxes(self) -> list[Any]:
        """Return every fax, the oldest first."""
        return self.store.read_now(lambda c: list(c.execute(sa.select(fax).order_by(fax.c.id))))


@pytest.fixture
async def lobby(tmp_path: Path) -> AsyncIterator[Lobby]:
    """A running stage."""
    made = Lobby(tmp_path)
    running = asyncio.create_task(made.arrivals.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    made.store.close()


def dials(number: str, call: str = "in-1") -> Arriving:
    """Return the call of the machine in the lobby."""
    return Arriving(call, "device:lobby", number, OURS, "lobby")


async def test_what_a_machine_sends_goes_out_as_its_numbers_fax(lobby: Lobby) -> None:
    """Lost otherwise: whoever lays paper into the machine in the lobby sends nothing."""
    await lobby.call(dials(CUSTOMER))
    (made,) = lobby.faxes()
    assert (made.direction, made.state, made.number, made.peer) == ("outbound", "accepted", OURS, CUSTOMER)
    assert made.route == "carrier"
    asked = lobby.store.read_now(lambda c: c.execute(sa.select(submission)).one())
    assert (asked.source, asked.sender, asked.proof, asked.answerable) == (
        "device",
        "alice@example.com",
        "device",
        True,
    )


async def test_a_machines_call_that_is_finished_twice_is_one_fax(lobby: Lobby) -> None:
    """Lost otherwise: a crash between the fax and the journal sends the customer the fax twice."""
    await lobby.call(dials(CUSTOMER))
    lobby.line.forgotten.clear()
    await lobby.call(dials(CUSTOMER))
    assert len(lobby.faxes()) == 1


async def test_a_machine_cannot_dial_what_the_policy_denies(lobby: Lobby) -> None:
    """Lost otherwise: a taken-over telephone adapter calls premium numbers all night."""
    await lobby.call(dials("+19005550123"))
    (made,) = lobby.faxes()
    assert made.state == "failed"
    assert made.document_id is None


async def test_a_machines_fax_needs_the_approval_that_its_number_needs(lobby: Lobby) -> None:
    """Lost otherwise: who may not send by mail lays the paper into the machine."""
    path = lobby.policy.folder / "p.yaml"
    path.write_text(POLICY.replace("    limits:", "    approval: {by: [boss@example.com]}\n    limits:"))
    await lobby.policy.reload()
    await lobby.call(dials(CUSTOMER))
    (made,) = lobby.faxes()
    assert made.settings["approval"]["by"] == ["boss@example.com"]


async def test_a_machines_call_that_was_cut_sends_nothing_and_says_so(lobby: Lobby) -> None:
    """Lost otherwise: the customer gets half a fax and then, when it is laid in again, the whole one."""
    await lobby.call(dials(CUSTOMER), Cause.LOST_CALL, pages=1)
    (made,) = lobby.faxes()
    assert made.state == "failed"
    assert "after 1 page" in made.reason
    assert "send it again" in made.reason


async def test_a_received_fax_is_passed_on_to_the_machine(lobby: Lobby) -> None:
    """Lost otherwise: the machine in the lobby stays empty although the policy gives it the number's faxes."""
    await lobby.call(Arriving("in-2", "carrier", OURS, CUSTOMER))
    received, onward = lobby.faxes()
    assert (received.direction, received.state) == ("inbound", "received")
    assert (onward.direction, onward.route, onward.passes_on) == ("outbound", "device:lobby", received.id)
    asked = lobby.store.read_now(
        lambda c: c.execute(sa.select(submission).where(submission.c.id == onward.submission_id)).one()
    )
    assert not asked.answerable


@pytest.mark.parametrize(("ends", "then"), [("sent", "delivered"), ("failed", "undeliverable")])
async def test_a_fax_for_the_machine_alone_is_delivered_when_it_is_printed(lobby: Lobby, ends: str, then: str) -> None:
    """Lost otherwise: a fax that only the machine gets is called delivered before paper came out, or never."""
    await lobby.call(Arriving("in-2", "carrier", OURS, CUSTOMER))
    received, onward = lobby.faxes()
    router = Router(lobby.store, lobby.ids, lobby.clock, [])

    def end(connection: sa.Connection) -> None:
        for after in (Outbound.PREPARING, Outbound.QUEUED, Outbound.DIALING, Outbound(ends)):
            faxes.move(connection, lobby.ids, onward.id, after, at=lobby.clock(), reason="as a call would")

    await router.step()
    assert lobby.store.read_now(faxes.get, received.id).state == "received"
    lobby.store.write_now(end)
    await router.step()
    row = lobby.store.read_now(faxes.get, received.id)
    assert row.state == then
    assert "lobby" in row.reason


async def test_a_call_whose_line_died_behind_the_last_page_is_sent_on(lobby: Lobby) -> None:
    """Lost otherwise: the machine printed 'OK', and nothing was ever sent."""
    arriving = dials(CUSTOMER)
    received = (ReceivedPage(1, 1728, 2292, 204, 196, b"page"),)
    lobby.line.left = [arriving]
    lobby.line.proofs[arriving.call] = Evidence(
        readable=True, complete=False, last_page_offered=False, pages_confirmed=1, result=None, pages=received,
        whole=True,
    )  # fmt: skip
    await lobby.arrivals.recover()
    (made,) = lobby.faxes()
    assert made.state == "accepted"


async def test_a_machine_that_left_the_policy_fails_what_was_for_it(lobby: Lobby) -> None:
    """Lost otherwise: a received fax stays 'received' for ever, since nothing will ever print it."""
    await lobby.call(Arriving("in-2", "carrier", OURS, CUSTOMER))
    file = lobby.policy.folder / "p.yaml"
    file.write_text(
        POLICY.replace("    deliver_to_devices: [lobby]\n", "").replace("  - name: lobby", "  - name: cellar")
    )
    await lobby.policy.reload()
    assert lobby.policy.errors is None
    assert await reroute(lobby.store, lobby.policy, lobby.ids, lobby.clock) == 1
    received, onward = lobby.faxes()
    assert (onward.state, onward.reason) == ("failed", "the policy has no device lobby any more")
    await Router(lobby.store, lobby.ids, lobby.clock, []).step()
    assert lobby.store.read_now(faxes.get, received.id).state == "undeliverable"


async def test_a_fax_that_waits_goes_by_the_trunks_of_the_new_policy(lobby: Lobby) -> None:
    """Lost otherwise: after a change of carrier the queue waits for a trunk that is gone."""
    await lobby.call(dials(CUSTOMER))
    file = lobby.policy.folder / "p.yaml"
    file.write_text(POLICY.replace("name: carrier", "name: other"))
    await lobby.policy.reload()
    await reroute(lobby.store, lobby.policy, lobby.ids, lobby.clock)
    (made,) = lobby.faxes()
    assert (made.route, made.settings["trunks"]) == ("other", ["other"])
    file.write_text(POLICY.replace("host: sip.carrier.example", "host: sip.carrier.example\n    prefixes: ['+44']"))
    await lobby.policy.reload()
    await reroute(lobby.store, lobby.policy, lobby.ids, lobby.clock)
    assert lobby.faxes()[0].route == NOWHERE
    assert (await examine([checks.routes(lobby.store)]))[0].wrong == (
        "1 fax waits for a trunk that the policy does not have; add one for their numbers to the policy, or cancel them"
    )


async def test_a_machine_keeps_within_its_numbers_limits(lobby: Lobby) -> None:
    """Lost otherwise: a taken-over telephone adapter sends all night, whatever the policy limits."""
    for call in ("in-1", "in-2", "in-3"):
        await lobby.call(dials(CUSTOMER, call))
    assert [row.state for row in lobby.faxes()] == ["accepted", "accepted", "failed"]
    assert "has sent its faxes for this hour" in lobby.faxes()[2].reason


async def test_a_call_to_a_machine_that_leaves_the_policy_is_the_last(lobby: Lobby) -> None:
    """Lost otherwise: a fax that was on the line when its machine left the policy waits for ever."""
    await lobby.call(Arriving("in-2", "carrier", OURS, CUSTOMER))
    _, onward = lobby.faxes()
    lobby.store.write_now(lambda c: c.execute(fax.update().where(fax.c.id == onward.id).values(state="dialing")))
    file = lobby.policy.folder / "p.yaml"
    text = POLICY.replace("    deliver_to_devices: [lobby]\n", "").replace("  - name: lobby", "  - name: cellar")
    file.write_text(text)
    await lobby.policy.reload()
    assert await reroute(lobby.store, lobby.policy, lobby.ids, lobby.clock) == 1
    assert lobby.faxes()[1].settings["gone"] == "the policy has no device lobby any more"
    with pytest.raises(IllegalMove, match="no telephone line serves"):
        lobby.store.write_now(
            lambda c: (
                c.execute(fax.update().where(fax.c.id == onward.id).values(state="failed"))
                and c.execute(document.update().values(blob="ab" * 32, pages=1))
                and resubmit(c, lobby.ids, onward.id, lobby.clock(), "a test", lobby.policy.trunks_again)
            )
        )
