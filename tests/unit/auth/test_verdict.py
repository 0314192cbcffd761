"""A message examined as a whole, and the seam to the child that reads it."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from relay.auth.arc import ChainResult
from relay.auth.dkim import Signature
from relay.auth.dmarc import DmarcResult
from relay.auth.reading import (
    MAX_KEYS,
    BadReading,
    Reading,
    Wanted,
    as_json,
    checked,
    from_json,
    key_names,
    keys_as_json,
    keys_from_json,
    read_message,
)
from relay.auth.resolver import TEMPERROR, Answer, Kind, Lookups, Status, labels
from relay.auth.results import parse_results
from relay.auth.signature import DkimResult
from relay.auth.spf import SpfResult
from relay.auth.testing import BROKEN, ZoneResolver
from relay.auth.verdict import Envelope, Trust, examine

from .signing import MESSAGE, rsa_record, signed, zone_with_key
from .test_arc import LIST, ONE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CLIENT = ip_address("192.0.2.1")
ENVELOPE = Envelope(CLIENT, "mail.good.example", "alice@good.example")
NOW = Wanted(time.time())


def world() -> ZoneResolver:
    """good.example with everything, and a list's key."""
    zone = zone_with_key()
    zone.add("good.example", Kind.TXT, "v=spf1 ip4:192.0.2.1 -all")
    zone.add("_dmarc.good.example", Kind.TXT, "v=DMARC1; p=reject")
    zone.add(f"s1._domainkey.{LIST}", Kind.TXT, rsa_record())
    return zone


async def test_a_good_mail() -> None:
    """Lost otherwise: mail of an honest sender is not taken."""
    verdict = await examine(signed(), ENVELOPE, world())
    assert verdict.dmarc.result is DmarcResult.PASS
    assert {each.method.value for each in verdict.dmarc.aligned} == {"spf", "dkim"}
    assert (verdict.local, verdict.domain) == ("alice", "good.example")
    assert verdict.sentence == "The mail was shown to come from good.example."
    assert not verdict.temporary
    assert verdict.details == (
        "spf pass for good.example: sender SPF authorized",
        "dkim pass of good.example (s1)",
        "dmarc pass for good.example",
        "arc none",
    )


async def test_its_results_can_be_read_again() -> None:
    """Lost otherwise: the field that records a verdict is not one that other programs read."""
    message = signed(signed(length=True), domain="evil.example", which=1)
    verdict = await examine(message, ENVELOPE, world())
    value = verdict.results("relay.example")
    assert all(len(line) < 900 for line in value.split("\r\n"))
    found = parse_results(value.replace("\r\n", "").encode())
    assert found.server == "relay.example"
    assert found.dmarc_passed("good.example")
    assert [each.result for each in found.of("dkim")] == ["permerror", "neutral"]
    unsigned = await examine(MESSAGE, None, ZoneResolver())
    assert (
        unsigned.results("relay.example") == "relay.example;\r\n\tdkim=none;\r\n\tdmarc=none header.from=good.example"
    )


async def test_a_file_is_a_message_too(tmp_path: Path) -> None:
    """Lost otherwise: a mail that lies on the disk cannot be examined."""
    path = tmp_path / "mail"
    path.write_bytes(signed())
    with ThreadPoolExecutor(1) as executor:
        verdict = await examine(path, ENVELOPE, world(), executor=executor)
    assert verdict.dmarc.result is DmarcResult.PASS


async def test_a_polled_mailbox_has_no_client() -> None:
    """Lost otherwise: a mail fetched by IMAP passes by the address of somebody else."""
    verdict = await examine(signed(), None, world())
    assert verdict.spf.result is SpfResult.NONE
    assert verdict.dmarc.result is DmarcResult.PASS
    assert (await examine(MESSAGE, None, world())).dmarc.result is DmarcResult.FAIL


@pytest.mark.parametrize("name", ["good.example", "_dmarc.good.example", "s1._domainkey.good.example"])
async def test_a_broken_name_server_is_temporary(name: str) -> None:
    """Lost otherwise: an honest sender's mail is refused for good while a name server is away."""
    zone = world()
    zone.zone[name] = {Kind.TXT: BROKEN}
    envelope = ENVELOPE if name == "good.example" else None
    message = MESSAGE if name == "good.example" else signed()
    verdict = await examine(message, envelope, zone)
    assert verdict.temporary
    assert "could not be checked now" in verdict.sentence


async def test_time_runs_out() -> None:
    """Lost otherwise: a slow name server holds a mail for minutes."""
    verdict = await examine(signed(), ENVELOPE, world(), seconds=0)
    assert verdict.temporary


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("Alice@GOOD.example", DmarcResult.PASS),
        ("bob@good.example", DmarcResult.PERMERROR),
        ("alice@evil.example", DmarcResult.PERMERROR),
        ("alice@[192.0.2.1]", DmarcResult.PERMERROR),
        ("", DmarcResult.PERMERROR),
    ],
)
async def test_two_readers_have_to_agree(address: str, result: DmarcResult) -> None:
    """Lost otherwise: one reader proves one address and the other bills another."""
    verdict = await examine(signed(), ENVELOPE, world(), from_address=address)
    assert verdict.dmarc.result is result
    assert bool(verdict.domain) == (result is DmarcResult.PASS)


async def test_no_policy_and_no_proof_are_told_apart() -> None:
    """Lost otherwise: people are not told what to mend."""
    assert "no DMARC policy" in (await examine(MESSAGE, None, ZoneResolver())).sentence
    assert "neither SPF nor" in (await examine(MESSAGE, None, world())).sentence
    assert "no From line" in (await examine(b"To: x\r\n\r\n", None, world())).sentence
    malformed = await examine(b"To: x\n\n", None, world())
    assert malformed.dmarc.result is DmarcResult.PERMERROR
    assert "malformed" in malformed.sentence


async def test_a_trusted_hop() -> None:
    """Lost otherwise: behind a company's mail gateway nobody can prove anything."""
    message = b"Authentication-Results: mx.corp.example; dmarc=pass header.from=good.example\r\n" + MESSAGE
    zone = ZoneResolver()
    assert (await examine(message, None, zone, trust=Trust(hop="mx.corp.example"))).hop_passed
    assert not (await examine(message, None, zone)).hop_passed
    assert not (await examine(message, None, zone, trust=Trust(hop="mx.other.example"))).hop_passed


async def test_a_trusted_forwarder() -> None:
    """Lost otherwise: mail over a list that the administrator trusts is refused."""
    trusted = await examine(ONE, None, world(), trust=Trust(sealers=frozenset({LIST})))
    assert (trusted.sealer, trusted.arc.result, trusted.dmarc.result) == (LIST, ChainResult.PASS, DmarcResult.FAIL)
    assert "arc=pass" in trusted.results("relay.example")
    other = await examine(ONE, None, world(), trust=Trust(sealers=frozenset({"other.example"})))
    assert other.sealer == ""
    untold = await examine(ONE, None, world())
    assert (untold.sealer, untold.arc.result) == ("", ChainResult.NONE)


def test_a_reading_crosses_the_channel() -> None:
    """Lost otherwise: the child's answer arrives as another than it was."""
    wanted = dataclasses.replace(NOW, arc=True, server="mx.example")
    message = b"Authentication-Results: mx.example; spf=pass smtp.mailfrom=a@b.example\r\n" + signed(ONE)
    zone = world()
    keys = {name: zone.lookup(name, Kind.TXT) for name in key_names(message, wanted)}
    assert len(keys) == 2
    reading = read_message(message, keys_from_json(keys_as_json(keys)), wanted)
    assert reading.signatures[0].result is DkimResult.PASS
    assert reading.arc.result is ChainResult.PASS
    assert from_json(as_json(reading)) == reading


@pytest.mark.parametrize("data", [b"", b"[]", b'{"local": 1}', b'{"signatures": [{"domain": "x"}]}', b"{", b"\xff"])
def test_what_is_no_reading(data: bytes) -> None:
    """Lost otherwise: a child that was taken over sends what crashes the service."""
    with pytest.raises(BadReading):
        from_json(data)


def test_no_keys_across_the_channel() -> None:
    """Lost otherwise: half an answer counts as one."""
    with pytest.raises(BadReading):
        keys_from_json(b'{"x": {"status": "found", "records": 1}}')


def test_a_pass_without_a_key_is_not_believed() -> None:
    """Lost otherwise: a child that was taken over vouches for domains that have no such key."""
    reading = Reading("a", "good.example", signatures=(Signature("good.example", "s9", DkimResult.PASS),))
    for keys in ({}, {"s9._domainkey.good.example": TEMPERROR}):
        assert checked(reading, keys).signatures[0].result is DkimResult.PERMERROR
    found = {"s9._domainkey.good.example": Answer(Status.FOUND, ("x",))}
    assert checked(reading, found) == reading


class Liar:
    """A child that was taken over."""

    async def key_names(self, message: Path | bytes, wanted: Wanted) -> tuple[str, ...]:
        """More names than any mail has."""
        del message, wanted
        return tuple(f"x{number}.good.example" for number in range(1000))

    async def read(self, message: Path | bytes, keys: Mapping[str, Answer], wanted: Wanted) -> Reading:
        """A pass for a key that was never asked for."""
        del message, keys, wanted
        return Reading("alice", "good.example", signatures=(Signature("good.example", "s1", DkimResult.PASS),) * 99)


async def test_a_child_that_was_taken_over() -> None:
    """Lost otherwise: who breaks into the child sends as anybody, and asks the world's name servers at will."""
    zone = world()
    verdict = await examine(MESSAGE, None, zone, reader=Liar())
    assert verdict.dmarc.result is DmarcResult.FAIL
    assert len(verdict.signatures) == 10
    assert len(zone.asked) < MAX_KEYS + 10


def test_keys_are_bounded_and_malformed_mail_has_none() -> None:
    """Lost otherwise: one mail makes the relay ask hundreds of questions."""
    message = MESSAGE
    for number in range(15):
        message = signed(message, selector=f"s{number}")
    assert len(key_names(message, NOW)) == 10 <= MAX_KEYS
    assert key_names(b"\n", NOW) == ()


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_lookups_ask_once_and_end() -> None:
    """Lost otherwise: one mail asks the same question a hundred times, or without end."""
    clock, zone = Clock(), ZoneResolver({"a.example": {Kind.A: ["192.0.2.1"]}})
    lookups = Lookups(zone, seconds=5, most=2, clock=clock)
    assert lookups.lookup("A.example", Kind.A) == lookups.lookup("a.EXAMPLE", Kind.A)
    assert len(zone.asked) == 1
    clock.now = 5.0
    assert lookups.lookup("b.example", Kind.A) == TEMPERROR
    assert lookups.lookup("a.example", Kind.A).records == ("192.0.2.1",)
    clock.now = 4.0
    assert lookups.lookup("b.example", Kind.A).status is Status.NO_SUCH_NAME
    assert lookups.lookup("c.example", Kind.A) == TEMPERROR
    assert lookups.exhausted


def test_names_that_cannot_be_asked_about() -> None:
    """Lost otherwise: a name from a mail crashes the question."""
    assert labels("a.example") == (b"a", b"example")
    for name in ("", ".", "a..b", "a.", "x" * 64 + ".example", "a." * 130 + "b", "b\u00fc.example"):
        assert labels(name) is None
