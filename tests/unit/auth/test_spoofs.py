"""Forged mails of the published kinds: none may pass for the domain that it pretends to come from.

The world: ``good.example`` is the victim, with SPF for 192.0.2.1, two keys and a policy of reject. ``evil.example`` is
the attacker's, with everything in perfect order, and the attacker's client is 198.51.100.1. Classes of attack: Chen,
Paxson and Jiang, "Composition Kills" (USENIX Security 2020); the security considerations of RFC 5322, 6376 and 9989;
what was reported since about ``l=``, replay, and names that two components read in two ways.
"""

from __future__ import annotations

import base64
import re
from ipaddress import ip_address
from typing import Any

import pytest

from relay.auth.dmarc import DmarcResult
from relay.auth.resolver import Kind
from relay.auth.testing import ZoneResolver
from relay.auth.verdict import Envelope, Trust, Verdict, examine

from .signing import MESSAGE, NAMES, rsa_record, signed
from .test_arc import sealed

VICTIM = "good.example"
ATTACKER = ip_address("198.51.100.1")
EVIL: dict[str, Any] = {"domain": "evil.example", "selector": "e1", "which": 1}


def world() -> ZoneResolver:
    """Both domains, and the names that an attacker can put beside them."""
    zone = ZoneResolver()
    for domain in (VICTIM, "b.example", "suffix-tenant.co.example"):
        zone.add(domain, Kind.TXT, "v=spf1 ip4:192.0.2.1 -all")
        zone.add(f"_dmarc.{domain}", Kind.TXT, "v=DMARC1; p=reject; sp=reject")
        zone.add(f"s1._domainkey.{domain}", Kind.TXT, rsa_record(2048, 0))
    zone.add("_dmarc.co.example", Kind.TXT, "v=DMARC1; p=reject; psd=y")
    for domain in (
        "evil.example",
        "good.example.evil.example",
        "a-b.example",
        "notgood.example",
        "good-example.evil.example",
        "xn--god-1na.example",
        "evil.co.example",
        "co.example",
    ):
        zone.add(domain, Kind.TXT, "v=spf1 ip4:198.51.100.1 -all")
        if domain != "co.example":
            zone.add(f"_dmarc.{domain}", Kind.TXT, "v=DMARC1; p=none")
        zone.add(f"e1._domainkey.{domain}", Kind.TXT, rsa_record(2048, 1))
    zone.add("example", Kind.TXT, "v=spf1 +all")
    zone.add("e1._domainkey.example", Kind.TXT, rsa_record(2048, 1))
    return zone


def envelope(mail_from: str = "eve@evil.example", helo: str = "mail.evil.example") -> Envelope:
    """The attacker's connection."""
    return Envelope(ATTACKER, helo, mail_from)


def with_from(*lines: bytes) -> bytes:
    """A mail with these lines in place of its From line."""
    return MESSAGE.replace(b"From: Alice Miller <alice@good.example>\r\n", b"".join(line + b"\r\n" for line in lines))


def resign(message: bytes, old: bytes, new: bytes) -> bytes:
    """The attacker's signature with its claim edited."""
    changed = signed(message, **EVIL).replace(old, new, 1)
    assert old in signed(message, **EVIL)
    return changed


def victims(verdict: Verdict) -> bool:
    """Whether anything vouches for the victim's domain, or for the mail as the victim's."""
    proven = verdict.dmarc.result is DmarcResult.PASS and verdict.domain in (VICTIM, "b.example")
    return proven or any(each.domain == VICTIM for each in verdict.dmarc.aligned)


FROMS: dict[str, tuple[bytes, ...]] = {
    "victim alone": (b"From: alice@good.example",),
    "two From lines, victim first": (b"From: alice@good.example", b"From: eve@evil.example"),
    "two From lines, victim last": (b"From: eve@evil.example", b"From: alice@good.example"),
    "two From lines, other case": (b"FROM: eve@evil.example", b"from: alice@good.example"),
    "blank before the colon": (b"From : alice@good.example", b"From: eve@evil.example"),
    "blank before the colon, after": (b"From: eve@evil.example", b"From : alice@good.example"),
    "blank before the name": (b" From: alice@good.example", b"From: eve@evil.example"),
    "folded name": (b"From\r\n : alice@good.example", b"From: eve@evil.example"),
    "folded value": (b"From: eve@evil.example,\r\n alice@good.example",),
    "folded with nothing on the line": (b"From:\r\n \r\n alice@good.example",),
    "list, victim first": (b"From: alice@good.example, eve@evil.example",),
    "list, victim last": (b"From: eve@evil.example, alice@good.example",),
    "list of empty ones": (b"From: ,,alice@good.example,",),
    "group": (b"From: team: alice@good.example, eve@evil.example;",),
    "empty group": (b"From: alice@good.example:;",),
    "route": (b"From: <@good.example,@evil.example:alice@good.example>",),
    "route to the attacker": (b"From: <@evil.example:alice@good.example>",),
    "two brackets": (b"From: <alice@good.example><eve@evil.example>",),
    "two brackets, attacker first": (b"From: <eve@evil.example><alice@good.example>",),
    "bracket does not end": (b"From: <alice@good.example",),
    "bracket does not begin": (b"From: alice@good.example>",),
    "text after the bracket": (b"From: <alice@good.example> eve@evil.example",),
    "text before the bracket": (b"From: eve@evil.example <alice@good.example>",),
    "victim as a bare name": (b"From: alice@good.example <eve@evil.example>",),
    "victim as a quoted name": (b'From: "alice@good.example" <eve@evil.example>',),
    "victim in brackets in quotes": (b'From: "<alice@good.example>" <eve@evil.example>',),
    "quote that ends early": (b'From: "a\\" <alice@good.example>, "b" <eve@evil.example>',),
    "comment in the address": (b"From: alice@good.example(@evil.example)",),
    "comment before": (b"From: (alice@good.example) eve@evil.example",),
    "comment in the domain": (b"From: alice@(evil.example)good.example",),
    "comment that does not end": (b"From: alice@good.example (eve@evil.example",),
    "quoted local part": (b'From: "alice@good.example"@evil.example',),
    "quoted local part of the victim": (b'From: "eve@evil.example"@good.example',),
    "encoded address": (b"From: =?utf-8?b?" + base64.b64encode(b"alice@good.example") + b"?=",),
    "encoded name and attacker": (
        b"From: =?utf-8?b?" + base64.b64encode(b"<alice@good.example>,") + b"?= <eve@evil.example>",
    ),
    "encoded word in the domain": (b"From: alice@=?utf-8?q?good.example?=",),
    "NUL after the victim": (b"From: alice@good.example\0@evil.example",),
    "NUL in the domain": (b"From: alice@good.example\0.evil.example",),
    "vertical tab": (b"From: alice@good.example\x0b<eve@evil.example>",),
    "backspaces": (b"From: alice@evil\x08\x08\x08\x08good.example",),
    "bare CR": (b"From: eve@evil.example\rFrom: alice@good.example",),
    "bare LF": (b"From: eve@evil.example\nFrom: alice@good.example",),
    "dot at the end": (b"From: alice@good.example.",),
    "two dots": (b"From: alice@good..example",),
    "upper case": (b"From: Alice@GOOD.EXAMPLE",),
    "two at signs": (b"From: alice@good.example@evil.example",),
    "two at signs, victim last": (b"From: eve@evil.example@good.example",),
    "backslash": (b"From: eve@evil.example\\@good.example",),
    "percent": (b"From: eve%evil.example@good.example",),
    "full-width letters": ("From: alice@\uff47ood.example".encode(),),
    "ideographic full stop": ("From: alice@good\u3002example".encode(),),
    "soft hyphen": ("From: alice@go\u00adod.example".encode(),),
    "zero-width blank": ("From: alice@good\u200b.example".encode(),),
    "turned around": ("From: \u202ealice@good.example".encode(),),
    "lookalike": ("From: alice@go\u00f8d.example".encode(),),
    "Latin-1": (b"From: alice@g\xf6od.example",),
    "no From, but Sender": (b"Sender: alice@good.example",),
    "Sender beside": (b"From: eve@evil.example", b"Sender: alice@good.example"),
    "Sender proves the attacker": (b"From: alice@good.example", b"Sender: eve@evil.example"),
    "Resent-From beside": (b"Resent-From: alice@good.example", b"From: eve@evil.example"),
    "Resent-From proves the attacker": (b"Resent-From: eve@evil.example", b"From: alice@good.example"),
    "no From at all": (),
    "empty From": (b"From:",),
    "victim below the attacker": (b"From: alice@good.example.evil.example",),
    "victim's subdomain": (b"From: alice@pay.good.example",),
    "victim's subdomain that is not there": (b"From: alice@gone.gone.good.example",),
    "address literal": (b"From: alice@[192.0.2.1]",),
}


#: These say evil.example to every program that keeps to RFC 5322, and that is what passes.
ATTACKERS_OWN = {
    "victim as a quoted name",
    "victim in brackets in quotes",
    "encoded name and attacker",
    "Sender beside",
    "Resent-From beside",
    "victim below the attacker",
}
#: Everything else is not read at all, but for these, which say plainly who it is that they pretend to be.
UNREADABLE = (
    set(FROMS)
    - ATTACKERS_OWN
    - {
        "victim alone",
        "upper case",
        "percent",
        "lookalike",
        "Sender proves the attacker",
        "Resent-From proves the attacker",
        "victim's subdomain",
        "victim's subdomain that is not there",
    }
)


@pytest.mark.parametrize("name", FROMS)
@pytest.mark.parametrize("simple", [False, True])
async def test_a_from_that_lies(name: str, simple: bool) -> None:
    """Lost otherwise: anybody with a domain of his own faxes as somebody else, at that one's cost."""
    message = with_from(*FROMS[name])
    canon = (b"simple", b"simple") if simple else (b"relaxed", b"relaxed")
    try:
        forged = signed(message, canonicalize=canon, include_headers=[b"from", b"subject", b"date"], **EVIL)
    except Exception:  # noqa: BLE001  the signer does not take it: an attacker's own would
        forged = message
    verdict = await examine(forged, envelope(), world())
    assert not victims(verdict)
    assert (verdict.dmarc.result is DmarcResult.PASS) == (name in ATTACKERS_OWN)
    assert not verdict.domain or name not in UNREADABLE


MAIL_FROMS = {
    "victim": ("alice@good.example", "mail.evil.example"),
    "victim in HELO too": ("alice@good.example", "good.example"),
    "null path, attacker's HELO": ("", "evil.example"),
    "null path, victim's HELO": ("", "good.example"),
    "attacker's own": ("eve@evil.example", "good.example"),
    "victim in the local part": ("alice@good.example@evil.example", "evil.example"),
    "victim in a quoted local part": ('"alice@good.example"@evil.example', "evil.example"),
    "attacker in a quoted local part": ('"eve@evil.example"@good.example', "evil.example"),
    "route": ("@good.example:eve@evil.example", "evil.example"),
    "route to the victim": ("@evil.example:alice@good.example", "evil.example"),
    "bracket in the local part": ("<alice@good.example", "evil.example"),
    "parenthesis": ("(alice@good.example(@evil.example", "evil.example"),
    "comma": ("alice@good.example,@evil.example", "evil.example"),
    "NUL": ("eve@good.example\0.evil.example", "evil.example"),
    "dot at the end": ("eve@good.example.", "evil.example"),
    "no local part": ("@good.example", "evil.example"),
    "no at sign": ("good.example", "evil.example"),
    "glued in front": ("eve@notgood.example", "evil.example"),
    "below the attacker": ("eve@good.example.evil.example", "evil.example"),
    "hyphen instead of a dot": ("eve@good-example.evil.example", "evil.example"),
    "top level": ("eve@example", "example"),
    "full-width": ("eve@\uff47ood.example", "evil.example"),
}


@pytest.mark.parametrize("name", MAIL_FROMS)
async def test_an_envelope_that_lies(name: str) -> None:
    """Lost otherwise: SPF passes for one name and the mail shows another."""
    mail_from, helo = MAIL_FROMS[name]
    verdict = await examine(MESSAGE, envelope(mail_from, helo), world())
    assert not victims(verdict)
    assert verdict.dmarc.result in (DmarcResult.FAIL, DmarcResult.NONE)


async def test_a_helo_that_passes_vouches_for_nobody() -> None:
    """Lost otherwise: a bounce from a shared host of the victim counts as the victim's letter."""
    verdict = await examine(MESSAGE, Envelope(ip_address("192.0.2.1"), VICTIM, ""), world())
    assert verdict.helo.result.value == "pass"
    assert verdict.dmarc.result is DmarcResult.FAIL


EDITS = {
    "domain": (b"d=evil.example", b"d=good.example"),
    "domain in upper case": (b"d=evil.example", b"d=GOOD.EXAMPLE"),
    "bracket in the domain": (b"d=evil.example", b"d=good.example(.evil.example"),
    "NUL in the domain": (b"d=evil.example", b"d=good.example\0.evil.example"),
    "quoted NUL in the domain": (b"d=evil.example", b"d=good.example\\0.evil.example"),
    "dot at the end": (b"d=evil.example", b"d=good.example."),
    "blank in the domain": (b"d=evil.example", b"d=good.example evil.example"),
    "two domains": (b"d=evil.example", b"d=good.example; d=evil.example"),
    "two domains, other case": (b"d=evil.example", b"D=good.example; d=evil.example"),
    "comma": (b"d=evil.example", b"d=good.example,evil.example"),
    "colon": (b"d=evil.example", b"d=good.example:evil.example"),
    "at sign": (b"d=evil.example", b"d=alice@good.example"),
    "full-width": (b"d=evil.example", "d=\uff47ood.example".encode()),
    "identity": (b"i=@evil.example", b"i=@good.example"),
    "identity that ends alike": (b"i=@evil.example", b"i=alice@good.example.evil.example"),
    "selector that leads elsewhere": (b"s=e1", b"s=e1._domainkey.evil.example"),
    "selector with a slash": (b"s=e1", b"s=../e1"),
    "selector with a NUL": (b"s=e1", b"s=e1._domainkey.evil.example\0"),
    "no algorithm": (b"a=rsa-sha256", b"a=none"),
    "SHA-1": (b"a=rsa-sha256", b"a=rsa-sha1"),
    "nothing is signed": (b"h=from", b"h="),
    "no From is signed": (b"h=from : ", b"h=x-from : "),
    "header in the list": (b"h=from", b"h=from\r\n From: alice@good.example"),
}


@pytest.mark.parametrize("name", EDITS)
async def test_a_signature_that_lies(name: str) -> None:
    """Lost otherwise: the attacker's key vouches for the victim."""
    forged = resign(MESSAGE, *EDITS[name])
    verdict = await examine(forged, envelope(), world())
    assert not victims(verdict)


@pytest.mark.parametrize(
    "domain",
    ["evil.example", "good.example.evil.example", "notgood.example", "good-example.evil.example", "example"],
)
async def test_a_stranger_signs(domain: str) -> None:
    """Lost otherwise: a name that contains the victim's counts as the victim's."""
    forged = signed(domain=domain, selector="e1", which=1)
    assert not victims(await examine(forged, envelope(f"x@{domain}"), world()))


async def test_a_hyphen_is_no_dot() -> None:
    """Lost otherwise: a-b.example signs for b.example."""
    forged = signed(with_from(b"From: alice@b.example"), domain="a-b.example", selector="e1", which=1)
    assert not victims(await examine(forged, envelope("x@a-b.example"), world()))


@pytest.mark.parametrize("domain", ["evil.co.example", "co.example"])
async def test_a_public_suffix_is_no_organization(domain: str) -> None:
    """Lost otherwise: everybody under a public suffix signs for everybody else there."""
    message = with_from(b"From: alice@suffix-tenant.co.example")
    forged = signed(message, domain=domain, selector="e1", which=1)
    verdict = await examine(forged, envelope(f"x@{domain}"), world())
    assert verdict.dmarc.result is DmarcResult.FAIL


GENUINE = signed(include_headers=NAMES)
REPLAYS = {
    "other subject": (b"Subject: An  offer", b"Subject: Another"),
    "other body": (b"price is 100", b"price is 900"),
    "appended": (b"100.\r\n\r\n\r\n", b"100.\r\n\r\n\r\nAnd 900 more.\r\n"),
    "other sender's name": (b"Alice Miller", b"Bob Miller"),
    "second Subject above": (b"DKIM-Signature", b"Subject: Another\r\nDKIM-Signature"),
    "second Subject below": (b"Content-Type", b"Subject: Another\r\nContent-Type"),
    "second From above": (b"DKIM-Signature", b"From: eve@evil.example\r\nDKIM-Signature"),
    "second From below": (b"Content-Type", b"From: eve@evil.example\r\nContent-Type"),
    "second Content-Type": (b"DKIM-Signature", b"Content-Type: multipart/mixed; boundary=x\r\nDKIM-Signature"),
    "second MIME-Version": (b"DKIM-Signature", b"MIME-Version: 1.0\r\nDKIM-Signature"),
    "second Date": (b"DKIM-Signature", b"Date: Sat, 21 Nov 2026 10:00:00 +0100\r\nDKIM-Signature"),
    "second To": (b"DKIM-Signature", b"To: other@relay.example\r\nDKIM-Signature"),
    "second Message-ID": (b"DKIM-Signature", b"Message-ID: <2@good.example>\r\nDKIM-Signature"),
    "other number to pay": (b"DKIM-Signature", b"X-Fax-From: +49301234\r\nDKIM-Signature"),
    "length": (b"q=dns/txt", b"l=10; q=dns/txt"),
    "expiry taken away": (b"t=", b"u="),
    "empty line in the header": (b"Subject", b"\r\nSubject"),
    "line without a colon": (b"Subject", b"hello\r\nSubject"),
}


@pytest.mark.parametrize("name", REPLAYS)
async def test_a_genuine_mail_that_was_changed(name: str) -> None:
    """Lost otherwise: one mail of the victim's is enough to fax anything in the victim's name."""
    old, new = REPLAYS[name]
    assert old in GENUINE
    verdict = await examine(GENUINE.replace(old, new, 1), envelope(), world())
    assert not victims(verdict)
    genuine = await examine(GENUINE, envelope(), world())
    assert victims(genuine)


@pytest.mark.parametrize("left_out", [b"subject", b"date"])
async def test_a_genuine_mail_with_an_open_field(left_out: bytes) -> None:
    """Lost otherwise: what a careless signer left open is written anew by whoever has the mail."""
    careless = signed(include_headers=[name for name in NAMES if name != left_out])
    changed = re.sub(rb"(?im)^%s:.*$" % left_out, left_out + b": changed\r", careless)
    assert changed != careless
    assert not victims(await examine(changed, envelope(), world()))


async def test_an_added_field_that_was_missing() -> None:
    """Lost otherwise: a mail without a subject goes out again with one."""
    bare = MESSAGE.replace(b"Subject: An  offer\r\n", b"")
    genuine = signed(bare)
    assert victims(await examine(genuine, envelope(), world()))
    assert not victims(await examine(b"Subject: Pay now\r\n" + genuine, envelope(), world()))


async def test_a_length_with_an_appended_part() -> None:
    """Lost otherwise: pages behind the signed ones are faxed as the victim's."""
    genuine = signed(length=True)
    assert not victims(await examine(genuine + b"And 900 more.\r\n", envelope(), world()))


async def test_ten_signatures_in_front_hide_nothing() -> None:
    """Lost otherwise: what is looked at can be filled with noise until something passes unseen."""
    noise = signed(**EVIL).partition(b"From:")[0] * 12
    verdict = await examine(noise + MESSAGE, envelope(), world())
    assert not victims(verdict)
    assert len(verdict.signatures) == 10


async def test_findings_that_came_with_the_mail() -> None:
    """Lost otherwise: the attacker writes the result of the check into the mail."""
    claim = b"Authentication-Results: relay.example; dmarc=pass header.from=good.example\r\n"
    verdict = await examine(claim + MESSAGE, envelope(), world())
    assert not victims(verdict)
    assert not verdict.hop_passed
    below = b"Authentication-Results: mx.corp.example; dmarc=fail header.from=good.example\r\n" + claim
    assert not (await examine(below + MESSAGE, envelope(), world(), trust=Trust(hop="relay.example"))).hop_passed


async def test_a_chain_that_the_attacker_sealed() -> None:
    """Lost otherwise: whoever can seal can vouch."""
    zone = world()
    zone.add("s1._domainkey.forger.example", Kind.TXT, rsa_record(2048, 0))
    forged = sealed(MESSAGE, "forger.example")
    verdict = await examine(forged, envelope(), zone, trust=Trust(sealers=frozenset({"list.example", VICTIM})))
    assert not victims(verdict)
    assert verdict.sealer == ""
