"""ARC chains: made by dkimpy as forwarders would, and broken in every place."""

from __future__ import annotations

import time

import dkim
import pytest

from relay.auth.arc import MAX_SETS, Arc, ChainResult, read_chain, verify, vouched
from relay.auth.header import read_header
from relay.auth.resolver import Kind
from relay.auth.signature import Bodies
from relay.auth.testing import BROKEN, ZoneResolver

from .signing import MESSAGE, NAMES, rsa_key, rsa_record, zone_with_key

LIST, BOX = "list.example", "box.example"
FOUND = "dmarc=pass header.from=good.example; dkim=pass header.d=good.example"


def sealed(message: bytes, domain: str = LIST, found: str = FOUND, names: list[bytes] | None = None) -> bytes:
    """The message as a forwarder passes it on."""
    results = f"Authentication-Results: {domain}; {found}\r\n".encode()
    fields = dkim.arc_sign(
        results + message,
        b"s1",
        domain.encode(),
        rsa_key(2048, 0)[0],
        domain.encode(),
        include_headers=names or NAMES,
        timestamp=int(time.time()),
    )
    return b"".join(fields) + message


def zone() -> ZoneResolver:
    """The keys of both forwarders."""
    made = zone_with_key(LIST)
    made.add(f"s1._domainkey.{BOX}", Kind.TXT, rsa_record())
    return made


def shown(message: bytes, keys: ZoneResolver | None = None) -> Arc:
    """What the chain of a message shows."""
    header = read_header(message)
    chain = read_chain(header, time.time())
    answers = {name: (keys or zone()).lookup(name, Kind.TXT) for name in chain.key_names}
    return verify(header, Bodies(message[header.body_at :]), chain, answers)


ONE = sealed(MESSAGE)
TWO = sealed(ONE, BOX, "arc=pass; dmarc=fail header.from=good.example")
CHANGED = sealed(ONE.replace(b"An  offer", b"[list] An offer"), BOX, "arc=pass; dmarc=none")


def test_no_chain() -> None:
    """Lost otherwise: mail that nobody forwarded is called broken."""
    assert shown(MESSAGE) == Arc(ChainResult.NONE)


def test_a_chain_of_one_and_of_two() -> None:
    """Lost otherwise: mail over a list that the administrator trusts is refused."""
    one, two = shown(ONE), shown(TWO)
    assert (one.result, one.oldest_pass, [hop.sealer for hop in one.hops]) == (ChainResult.PASS, 1, [LIST])
    assert (two.result, two.oldest_pass, [hop.sealer for hop in two.hops]) == (ChainResult.PASS, 1, [LIST, BOX])


def test_a_message_changed_between_two_hops() -> None:
    """Lost otherwise: a list that writes its name into the subject breaks every mail that it forwards."""
    arc = shown(CHANGED)
    assert (arc.result, arc.oldest_pass) == (ChainResult.PASS, 2)
    assert [hop.intact for hop in arc.hops] == [False, True]


def test_who_vouches() -> None:
    """Lost otherwise: a sealer whom nobody trusts can call any mail real."""
    assert vouched(shown(ONE), "good.example", {LIST}) == LIST
    assert vouched(shown(TWO), "good.example", {LIST, BOX}) == LIST
    assert vouched(shown(ONE), "good.example", set()) == ""
    assert vouched(shown(ONE), "good.example", {"example", "x-list.example"}) == ""
    assert vouched(shown(ONE), "other.example", {LIST}) == ""
    assert vouched(shown(ONE), "a.good.example", {LIST}) == ""


def test_a_stranger_after_the_trusted_sealer() -> None:
    """Lost otherwise: a stranger replaces the text of a mail that a trusted list sealed, and seals it again."""
    assert vouched(shown(CHANGED), "good.example", {LIST}) == ""
    assert vouched(shown(TWO), "good.example", {LIST}) == ""
    assert vouched(shown(TWO), "good.example", {BOX}) == ""


@pytest.mark.parametrize(
    "found",
    [
        "dmarc=fail header.from=good.example",
        "dmarc=pass header.from=evil.example",
        "dmarc=pass header.from=good.example; dmarc=fail header.from=good.example",
        "dmarc=pass (header.from=good.example)",
        "dkim=pass header.d=good.example",
        'dkim=pass reason="dmarc=pass header.from=good.example"',
        "none",
    ],
)
def test_what_is_no_pass_of_dmarc(found: str) -> None:
    """Lost otherwise: a sealer that found a mail to be forged vouches for it."""
    assert vouched(shown(sealed(MESSAGE, found=found)), "good.example", {LIST}) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"price is 100", b"price is 900"),
        (b"From: Alice", b"From: Mallory"),
        (b"dmarc=pass", b"dmarc=fail"),
        (b"header.from=good", b"header.from=evil"),
        (b"cv=none", b"cv=pass"),
        (b"cv=none", b"cv=fail"),
        (b"cv=none", b"cv=none; h=from"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=2"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=0"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=x"),
        (b"ARC-Seal: i=1", b"ARC-Seal: j=1"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=1; i=1"),
        (b"ARC-Seal:", b"X-Seal:"),
        (b"ARC-Message-Signature:", b"X-Signature:"),
        (b"ARC-Authentication-Results:", b"X-Results:"),
        (b"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results:"),
        (b"ARC-Message-Signature: i=1;", b"ARC-Message-Signature: i=1; l=5;"),
        (b"d=list.example", b"d=other.example"),
        (b"d=list.example", b"d=list.example(x"),
        (b"From: Alice", b"From: Eve <eve@evil.example>\r\nFrom: Alice"),
        (b"From: Alice", b"Content-Type: text/html\r\nFrom: Alice"),
    ],
)
def test_a_broken_chain_fails(old: bytes, new: bytes) -> None:
    """Lost otherwise: a chain that somebody edited still vouches."""
    message = ONE.replace(old, new, 1)
    assert message != ONE
    assert shown(message).result is ChainResult.FAIL


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"cv=none", b"cv=pass", "a seal says that the chain is broken"),
        (b"cv=none", b"cv=fail", "a seal says that the chain is broken"),
        (b"cv=none;", b"", "a seal says that the chain is broken"),
        (b"c=relaxed/relaxed", b"l=9; c=relaxed/relaxed", "a set signs what it may not"),
        (b"h=from", b"h=arc-seal : from", "a set signs what it may not"),
        (b"i=1;", b"i=2;", "its sets are not counted from one"),
    ],
)
def test_a_chain_that_is_not_even_verified(old: bytes, new: bytes, problem: str) -> None:
    """Lost otherwise: a chain whose own words say that it is broken is held together by its signatures."""
    message = ONE.replace(old, new, -1 if old == b"i=1;" else 1)
    assert read_chain(read_header(message), time.time()).problem == problem


def test_a_set_left_out_of_two() -> None:
    """Lost otherwise: the hop that found a forgery is cut out of the chain."""
    start = TWO.index(b"ARC-Seal: i=1")
    assert shown(TWO[:start] + MESSAGE).result is ChainResult.FAIL


def test_a_set_twice() -> None:
    """Lost otherwise: which of two statements counts is a matter of luck."""
    assert shown(ONE[: ONE.index(b"From:")] + ONE).result is ChainResult.FAIL


def test_a_chain_of_too_many_sets() -> None:
    """Lost otherwise: a mail with fifty seals occupies the relay."""
    sets = b"".join(
        f"ARC-Seal: i={i}; a=rsa-sha256; cv=pass; d=a.example; s=s; b=AAAA\r\n"
        f"ARC-Message-Signature: i={i}; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
        f"ARC-Authentication-Results: i={i}; a.example; none\r\n".encode()
        for i in range(1, MAX_SETS + 2)
    )
    assert read_chain(read_header(sets + MESSAGE), time.time()).key_names == ()


def test_a_set_that_leaves_the_subject_open() -> None:
    """Lost otherwise: an old forwarded mail goes out again under another subject."""
    message = sealed(MESSAGE, names=[b"from", b"to", b"date"])
    assert shown(message).result is ChainResult.FAIL


def test_findings_that_cannot_be_read() -> None:
    """Lost otherwise: a field that nobody can read vouches."""
    arc = shown(sealed(MESSAGE, found=FOUND + "; dkim=pass header.d=a.example header.d=b.example"))
    assert vouched(arc, "good.example", {LIST}) == ""


def test_keys_that_cannot_be_fetched() -> None:
    """Lost otherwise: mail is refused for good while a name server is away."""
    broken = ZoneResolver({f"s1._domainkey.{LIST}": {Kind.TXT: BROKEN}})
    assert shown(ONE, broken).result is ChainResult.TEMPERROR
    assert shown(ONE, ZoneResolver()).result is ChainResult.FAIL
