"""DMARC at the door: what a mail proves by itself, in a real dialogue, with the child that verifies signatures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

import dkim
import pytest

from relay.auth.reading import BadReading
from relay.auth.resolver import Kind
from relay.auth.testing import BROKEN, ZoneResolver
from relay.auth.verdict import Envelope
from relay.confine import Confinement, Sandbox
from relay.errors import Refusal
from relay.intake.proving import Prover
from tests.unit.auth.signing import signed
from tests.unit.auth.test_spoofs import EVIL, FROMS, with_from, world

from .conftest import POLICY, Relay, listening
from .test_listeners import settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TO = "+12025550123@fax.example.com"
DMARC_RULE = '      - match: "@good.example"\n        proof: dmarc\n'
RULES = POLICY.replace("        proof: none\n", "        proof: none\n" + DMARC_RULE, 1)
ALICE, EVE = "alice@good.example", "eve@evil.example"


@pytest.fixture
def zone() -> ZoneResolver:
    """The DNS of the victim and of the attacker, whose own mails come from this machine."""
    made = world()
    made.zone["evil.example"][Kind.TXT] = ("v=spf1 ip4:127.0.0.1 -all",)
    return made


@pytest.fixture
async def door(tmp_path: Path, zone: ZoneResolver) -> AsyncIterator[Relay]:
    """A listener that examines mails."""
    async with listening(tmp_path, settings(proofs=["dmarc"]), RULES, resolver=zone) as relay:
        yield relay


async def test_a_signed_mail_is_its_senders(door: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: an ordinary company cannot send a fax by mail without passwords."""
    reply = await door.send(signed(letter(sender=ALICE)), TO, sender="bounces@elsewhere.example")
    assert reply.startswith("250 2.0.0 Accepted"), reply
    assert [(row.sender, row.proof) for row in door.submissions] == [(ALICE, "dmarc")]


async def test_a_mail_from_the_domains_own_server_is_its_senders(
    door: Relay, zone: ZoneResolver, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: a company that signs nothing cannot send though its SPF record says where it sends from."""
    zone.zone["good.example"][Kind.TXT] = ("v=spf1 ip4:127.0.0.1 -all",)
    assert (await door.send(letter(sender=ALICE), TO, sender=ALICE)).startswith("250 2.0.0 Accepted")


async def test_a_mail_that_proves_nothing_is_told_what_is_missing(door: Relay, letter: Callable[..., bytes]) -> None:
    """Lost otherwise: anybody faxes in anybody's name, or an honest sender cannot find out what to mend."""
    reply = await door.send(letter(sender=ALICE), TO, sender=ALICE)
    assert reply.startswith("550 5.7.1 ")
    assert "good.example" in reply
    assert door.submissions == []


async def test_a_dns_that_does_not_answer_asks_to_wait(
    door: Relay, zone: ZoneResolver, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: a name server that is down for a minute bounces good mail."""
    zone.zone["s1._domainkey.good.example"][Kind.TXT] = BROKEN
    zone.zone["good.example"][Kind.TXT] = BROKEN
    assert (await door.send(signed(letter(sender=ALICE)), TO, sender=ALICE)).startswith("451 4.4.3 ")
    assert door.submissions == []


async def test_nothing_is_asked_of_the_dns_for_nothing(
    door: Relay, zone: ZoneResolver, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: strangers' mail, and mail that needs no proof of the kind, costs questions and time."""
    assert (await door.send(letter(sender="stranger@nowhere.example"), TO)).startswith("550 5.7.1")
    assert zone.asked == []


async def test_from_lines_that_lie_are_refused(door: Relay) -> None:
    """Lost otherwise: one of the published tricks sends faxes in somebody's name."""
    taken = {}
    for name, lines in FROMS.items():
        forged = with_from(*lines)
        with contextlib.suppress(dkim.DKIMException, IndexError):  # the signer refuses, an attacker's would not
            forged = signed(forged, **EVIL)
        reply = await door.send(forged, TO, sender=EVE)
        # What is missing besides is said only to those who proved themselves.
        if not reply.startswith(("550 5.7.1 ", "550 5.6.0 ")) or "no attachment" in reply:
            taken[name] = reply
    assert taken == {}
    assert len(FROMS) >= 40
    assert door.submissions == []


async def test_the_word_of_the_server_in_front_counts_where_it_is_trusted(
    tmp_path: Path, letter: Callable[..., bytes]
) -> None:
    """Lost otherwise: behind a filter that changes mails no signature is good any more, and nobody can send."""
    findings = "mx.example.com; dmarc=pass header.from=good.example"
    front = settings(proofs=["dmarc"], authserv_id="mx.example.com")
    async with listening(tmp_path, front, RULES, resolver=world()) as relay:
        believed = b"Authentication-Results: " + findings.encode() + b"\r\n" + letter(sender=ALICE)
        forged = b"Authentication-Results: other.example; dmarc=fail header.from=good.example\r\n" + believed
        assert (await relay.send(forged, TO)).startswith("550 5.7.1")
        assert (await relay.send(believed, TO)).startswith("250 2.0.0 Accepted")
        assert len(relay.submissions) == 1


async def test_one_clients_slow_name_servers_hold_up_nobody_else(
    tmp_path: Path, letter: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a stranger whose name servers never answer turns the mail of all others away."""
    monkeypatch.setattr("relay.intake.proving._SHARE", 1)
    running, most = 0, 0

    async def examine(*_: object, **__: object) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        raise BadReading("enough")

    monkeypatch.setattr("relay.auth.verdict.examine", examine)
    confinement = Confinement(Sandbox.BUBBLEWRAP, ["relay.intake.proof_worker"])
    prover = Prover(confinement, ZoneResolver(), time.time, message_bytes=1024)
    message = tmp_path / "message"
    message.write_bytes(letter())

    async def ask(address: str) -> None:
        with pytest.raises(Refusal):
            await prover.proofs(message, "alice@example.com", Envelope(ip_address(address), "x", ""))

    await asyncio.gather(*(ask("192.0.2.1") for _ in range(3)))
    assert most == 1
    await asyncio.gather(ask("192.0.2.1"), ask("192.0.2.2"))
    assert most == 2
    await prover.close()
    await confinement.close()
