"""DKIM signatures: what passes, and the many things that look as if they should."""

from __future__ import annotations

import base64
import re
import time

import pytest

from relay.auth.dkim import MAX_SIGNATURES, Signature, key_names, read_signatures, verify
from relay.auth.header import read_header
from relay.auth.resolver import Kind
from relay.auth.signature import Bodies, DkimResult, canonical_body
from relay.auth.testing import BROKEN, ZoneResolver

from .signing import MESSAGE, ed25519_record, rsa_key, rsa_record, signed, zone_with_key

PASS = DkimResult.PASS


def shown(message: bytes, zone: ZoneResolver, now: float | None = None) -> tuple[Signature, ...]:
    """What the signatures of a message show."""
    header = read_header(message)
    pending = read_signatures(header, time.time() if now is None else now)
    keys = {name: zone.lookup(name, Kind.TXT) for name in key_names(pending)}
    return verify(header, Bodies(message[header.body_at :]), pending, keys)


def result(message: bytes, zone: ZoneResolver | None = None) -> DkimResult:
    """The result of the one signature of a message."""
    (signature,) = shown(message, zone or zone_with_key())
    return signature.result


def with_tag(message: bytes, old: bytes, new: bytes) -> bytes:
    """The message with a change in its first signature."""
    changed = message.replace(old, new, 1)
    assert changed != message
    return changed


@pytest.mark.parametrize("header_canon", [b"relaxed", b"simple"])
@pytest.mark.parametrize("body_canon", [b"relaxed", b"simple"])
@pytest.mark.parametrize("ed25519", [False, True])
def test_a_good_signature_passes(header_canon: bytes, body_canon: bytes, ed25519: bool) -> None:
    """Lost otherwise: mail that its domain signed is treated as forged."""
    record = ed25519_record() if ed25519 else rsa_record()
    message = signed(canonicalize=(header_canon, body_canon), ed25519=ed25519)
    assert shown(message, zone_with_key(record=record)) == (Signature("good.example", "s1", PASS),)


@pytest.mark.parametrize("body", [b"", b"\r\n", b" \r\n\t\r\n", b"no end", b"  two  spaces\t \r\n x \r\n\r\n"])
@pytest.mark.parametrize("canon", [b"relaxed", b"simple"])
def test_bodies_of_every_kind(body: bytes, canon: bytes) -> None:
    """Lost otherwise: an empty mail with a signature is treated as forged."""
    head = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert result(signed(head + body, canonicalize=(b"relaxed", canon))) is PASS


def test_the_example_of_rfc_6376_in_both_forms() -> None:
    """Lost otherwise: white space is counted as other programs do not."""
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert canonical_body(body, "relaxed") == b" C\r\nD E\r\n"
    assert canonical_body(body, "simple") == b" C \r\nD \t E\r\n"
    assert canonical_body(b"", "relaxed") == b""
    assert canonical_body(b"", "simple") == b"\r\n"


RFC8463 = (
    b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    b" subject : date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    b" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    b" date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
    b" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
    b" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
    b"From: Joe SixPack <joe@football.example.com>\r\n"
    b"To: Suzie Q <suzie@shopping.example.net>\r\n"
    b"Subject: Is dinner ready?\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    b"\r\n"
    b"Hi.\r\n"
    b"\r\n"
    b"We lost the game.  Are you hungry yet?\r\n"
    b"\r\n"
    b"Joe.\r\n"
)
RFC8463_RSA = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91"
    "y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
)
RFC8463_ZONE = ZoneResolver(
    {
        "brisbane._domainkey.football.example.com": {
            Kind.TXT: ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
        },
        "test._domainkey.football.example.com": {Kind.TXT: [f"v=DKIM1; k=rsa; p={RFC8463_RSA}"]},
    }
)


def test_the_example_of_rfc_8463() -> None:
    """Lost otherwise: real Ed25519 signatures, made by another program, do not verify."""
    assert [(found.selector, found.result) for found in shown(RFC8463, RFC8463_ZONE)] == [
        ("brisbane", PASS),
        ("test", PASS),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"price is 100", b"price is 900"),
        (b"From: Alice", b"From: Mallory"),
        (b"alice@good", b"bob@good"),
        (b"An  offer", b"Another offer"),
        (b"Fri, 20", b"Sat, 21"),
        (b"sha256; c=", b"sha256;  xy=1; c="),
    ],
)
def test_what_was_changed_fails(old: bytes, new: bytes) -> None:
    """Lost otherwise: a mail that was changed on its way counts as its author's."""
    assert result(with_tag(signed(), old, new)) is DkimResult.FAIL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v=1", b"v=2"),
        (b"v=1; ", b""),
        (b"a=rsa-sha256", b"a=rsa-sha1"),
        (b"a=rsa-sha256", b"a=none"),
        (b"a=rsa-sha256", b"a=ed25519-sha256"),
        (b"c=relaxed/simple", b"c=other/simple"),
        (b"d=good.example", b"d=good..example"),
        (b"d=good.example", b"d=good.example."),
        (b"d=good.example", b"d=example"),
        (b"d=good.example", b"d="),
        (b"d=good.example", b"d=good.example; d=good.example"),
        (b"d=good.example", b"d=good.example(.evil.example"),
        (b"d=good.example", b"d=good.example\xff"),
        (b"s=s1", b"s=s1/../x"),
        (b"s=s1", b"s=" + b"a" * 64),
        (b"q=dns/txt", b"q=http"),
        (b"i=@good.example", b"i=@evil.example"),
        (b"i=@good.example", b"i=alice@a-good.example"),
        (b"i=@good.example", b"i=good.example"),
        (b"i=@good.example", b"i=alice@[192.0.2.1]"),
        (b"s=s1", b"t=yesterday; s=s1"),
        (b"s=s1", b"x=99999999999999999999; s=s1"),
        (b"s=s1", b"t=5; x=1; s=s1"),
        (b"s=s1", b" junk ; s=s1"),
        (b"h=from : to", b"h=to"),
        (b"h=from", b"h=from:\xc3\xa9"),
        (b"h=from", b"h=" + b"x:" * 300 + b"from"),
        (b"bh=", b"bh=!"),
        (b"bh=", b"bh=A; x1="),
        (b"s=s1", b"s=" + b".".join([b"a" * 60] * 4)),
        (b"s=s1", b"s=" + b" " * 200 + b"s1"),
        (b"s=s1", b"z=" + b"x" * 9000 + b"; s=s1"),
    ],
)
def test_a_signature_that_cannot_be_used_is_a_permanent_error(old: bytes, new: bytes) -> None:
    """Lost otherwise: a strange signature crashes the relay, or passes for more than it is."""
    message = re.sub(rb" t=[0-9]+;", b"", signed())
    assert result(with_tag(message, old, new)) is DkimResult.PERMERROR


@pytest.mark.parametrize(
    "record",
    [
        "",
        "v=DKIM1; k=rsa; p=",
        "v=DKIM2; k=rsa; p=" + rsa_key()[1],
        "k=rsa; v=DKIM1; p=" + rsa_key()[1],
        "v=DKIM1; k=ed25519; p=" + rsa_key()[1],
        "v=DKIM1; k=dsa; p=" + rsa_key()[1],
        "v=DKIM1; k=rsa; p=AAAA",
        "v=DKIM1; k=rsa; p=!!!!",
        "v=DKIM1; k=rsa; p=" + "A" * 8000,
        "v=DKIM1; h=sha1; p=" + rsa_key()[1],
        "v=DKIM1; s=tlsrpt; p=" + rsa_key()[1],
        "v=DKIM1; p=x; p=" + rsa_key()[1],
        "v=spf1 -all",
    ],
)
def test_a_key_that_cannot_be_used_is_a_permanent_error(record: str) -> None:
    """Lost otherwise: a revoked, weak or foreign key vouches for mail."""
    zone = ZoneResolver({"s1._domainkey.good.example": {Kind.TXT: [record]}})
    assert result(signed(), zone) is DkimResult.PERMERROR


def test_a_key_below_1024_bits_is_refused() -> None:
    """Lost otherwise: whoever breaks a short key, which is a day's work, sends as its domain (RFC 8301)."""
    (signature,) = shown(signed(bits=768), zone_with_key(record=rsa_record(768)))
    assert (signature.result, signature.reason) == (DkimResult.PERMERROR, "its key has 768 bits")


def rsa_material(modulus: int, exponent: int) -> str:
    """The p= of a key with these numbers."""
    numbers = _der(2, modulus.to_bytes(modulus.bit_length() // 8 + 1)) + _der(2, exponent.to_bytes(6))
    algorithm = _der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return base64.b64encode(_der(0x30, algorithm + _der(3, b"\0" + _der(0x30, numbers)))).decode()


def test_an_enormous_key_is_refused() -> None:
    """Lost otherwise: keys of a hundred thousand bits keep the relay calculating."""
    zone = zone_with_key(record=f"v=DKIM1; p={rsa_material(1 << 9000, 65537)}")
    (signature,) = shown(signed(), zone)
    assert (signature.result, signature.reason) == (DkimResult.PERMERROR, "its key has 9001 bits")
    zone = zone_with_key(record=f"v=DKIM1; p={rsa_material(1 << 90000, 65537)}")
    (signature,) = shown(signed(), zone)
    assert signature.reason == "its key is longer than any key needs to be"


def test_the_library_failing_is_a_permanent_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a signature that the library cannot digest takes the child with it."""

    def fail(*_given: object) -> bool:
        raise IndexError

    monkeypatch.setattr("dkim.DKIM.verify_sig", fail)
    assert result(signed()) is DkimResult.PERMERROR


@pytest.mark.parametrize("exponent", [1, 2**33 + 1])
def test_an_exponent_that_nobody_uses(exponent: int) -> None:
    """Lost otherwise: a key that makes checking endless, or that anybody can sign for, is a key."""
    zone = zone_with_key(record=f"v=DKIM1; p={rsa_material(1 << 1024, exponent)}")
    (signature,) = shown(signed(), zone)
    assert (signature.result, signature.reason) == (DkimResult.PERMERROR, "its key has an exponent that nobody uses")


def _der(tag: int, content: bytes) -> bytes:
    """One value of a key in its encoding."""
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + content


def test_a_key_of_1024_bits_still_counts() -> None:
    """Lost otherwise: the many senders with the smallest allowed key are refused (RFC 8301 section 3.2)."""
    assert result(signed(bits=1024), zone_with_key(record=rsa_record(1024))) is PASS


def test_the_wrong_key_fails() -> None:
    """Lost otherwise: anybody's signature passes for the domain's."""
    assert result(signed(which=1)) is DkimResult.FAIL


def test_no_key_and_no_answer_are_told_apart() -> None:
    """Lost otherwise: mail is refused for good while a name server is away."""
    assert result(signed(), ZoneResolver()) is DkimResult.PERMERROR
    broken = ZoneResolver({"s1._domainkey.good.example": {Kind.TXT: BROKEN}})
    assert result(signed(), broken) is DkimResult.TEMPERROR


def test_two_keys_under_one_name_are_none() -> None:
    """Lost otherwise: which of two keys counts is a matter of luck."""
    zone = zone_with_key()
    zone.add("s1._domainkey.good.example", Kind.TXT, rsa_record(which=1))
    assert result(signed(), zone) is DkimResult.PERMERROR


def test_other_texts_beside_the_key_do_not_matter() -> None:
    """Lost otherwise: a remark beside a key makes its mails look forged."""
    zone = zone_with_key()
    zone.add("s1._domainkey.good.example", Kind.TXT, "hello there")
    assert result(signed(), zone) is PASS


def test_flags_of_the_key() -> None:
    """Lost otherwise: a key that is on trial, or speaks for no subdomains, counts as if it did."""
    assert result(signed(), zone_with_key(record=rsa_record(t="y"))) is DkimResult.NEUTRAL
    assert result(signed(), zone_with_key(record=rsa_record(t="s"))) is PASS
    below = signed(identity=b"@mail.good.example")
    assert result(below, zone_with_key(record=rsa_record(t="s"))) is DkimResult.PERMERROR
    assert result(below) is PASS


def test_a_length_never_counts() -> None:
    """Lost otherwise: pages appended to a signed mail are faxed as its author's."""
    message = signed(length=True)
    assert b"l=" in message
    assert result(message) is DkimResult.NEUTRAL
    assert result(message + b"and another page\r\n") is DkimResult.NEUTRAL


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Type: text/html",
        b"content-type: multipart/mixed; boundary=x",
        b"From: Alice <alice@good.example>",
        b"Subject: other",
        b"To: other@relay.example",
        b"Date: now",
        b"MIME-Version: 1.0",
        b"Message-ID: <2@good.example>",
    ],
)
def test_a_duplicated_singleton_does_not_count(field: bytes) -> None:
    """Lost otherwise: a second Content-Type put above a signed mail makes it another mail."""
    message = signed()
    assert result(field + b"\r\n" + message) is DkimResult.NEUTRAL
    head, _, body = message.partition(b"\r\n\r\n")
    assert result(head + b"\r\n" + field + b"\r\n\r\n" + body) is DkimResult.NEUTRAL


@pytest.mark.parametrize("left_out", [b"subject", b"date"])
def test_an_open_subject_or_date_does_not_count(left_out: bytes) -> None:
    """Lost otherwise: an old mail goes out again under another subject."""
    names = [name for name in (b"from", b"to", b"subject", b"date") if name != left_out]
    assert result(signed(include_headers=names)) is DkimResult.NEUTRAL


def test_an_added_choice_of_number_does_not_count() -> None:
    """Lost otherwise: whoever replays a mail chooses the number that pays for it."""
    assert result(b"X-Fax-From: +4930123456\r\n" + signed()) is DkimResult.NEUTRAL


def test_expired_and_not_yet_made() -> None:
    """Lost otherwise: a signature counts after the time that its domain gave it."""
    message = with_tag(signed(), b"s=s1", b"x=4000000000; s=s1")
    (expired,) = shown(message, zone_with_key(), now=4000001000.0)
    assert (expired.result, expired.reason) == (DkimResult.FAIL, "it has expired")
    assert shown(signed(), zone_with_key(), now=1000000000.0)[0].result is DkimResult.NEUTRAL


def test_any_of_several_signatures_may_pass() -> None:
    """Lost otherwise: mail that a provider signs beside its customer is not the customer's."""
    zone = zone_with_key()
    zone.add("p1._domainkey.provider.example", Kind.TXT, rsa_record(which=1))
    found = shown(signed(signed(), domain="provider.example", selector="p1", which=1), zone)
    assert [(each.domain, each.result) for each in found] == [("provider.example", PASS), ("good.example", PASS)]


def test_at_most_ten_are_looked_at_and_quickly() -> None:
    """Lost otherwise: a mail with a thousand signatures occupies the relay for half a minute."""
    one = signed().partition(b"From:")[0]
    zone = zone_with_key()
    started = time.process_time()
    message = one * 80 + MESSAGE.replace(b"Dear", b"x" * 900 + b" " * 90 + b"Dear")
    found = shown(message, zone)
    assert len(found) == MAX_SIGNATURES
    assert len(zone.asked) == 1
    assert time.process_time() - started < 5


def test_a_hostile_body_takes_linear_time() -> None:
    """Lost otherwise: lines of blanks, harmless to look at, stop the relay."""
    head = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    hostile = head + (b" " * 990 + b"x\r\n") * 3000
    started = time.process_time()
    assert len(canonical_body(hostile, "relaxed")) < len(hostile)
    assert time.process_time() - started < 3


def test_a_signature_for_an_umlaut_domain() -> None:
    """Lost otherwise: a sender with an umlaut in the domain cannot sign."""
    message = signed(domain="xn--bcher-kva.example")
    zone = zone_with_key("xn--bcher-kva.example")
    assert result(message, zone) is PASS
    assert re.search(rb"d=xn--bcher-kva", message)
