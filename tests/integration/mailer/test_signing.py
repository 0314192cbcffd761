"""DKIM on our own mail: what goes out is verified as a receiver would, by our own verifier."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from relay.auth.dkim import Signature, key_names, read_signatures, verify
from relay.auth.header import read_header
from relay.auth.resolver import Kind
from relay.auth.signature import Bodies, DkimResult
from relay.auth.testing import ZoneResolver
from relay.errors import SettingsError
from relay.mailer.maildir import Maildir
from relay.mailer.signing import Signer
from relay.mailer.smarthost import Smarthost
from relay.settings import Dkim, OutgoingMail
from relay.settings import Smarthost as Server
from tests.unit.auth.signing import ed25519_key, ed25519_record, rsa_key, rsa_record

from .desk import Desk, confirmed
from .test_reports import EVERYTHING, asked, wishes
from .test_smarthost import Handler, serving

DOMAIN = "fax.example.com"
ZONE = ZoneResolver(
    {
        f"r1._domainkey.{DOMAIN}": {Kind.TXT: [rsa_record()]},
        f"e1._domainkey.{DOMAIN}": {Kind.TXT: [ed25519_record()]},
    }
)
PASSES = (Signature(DOMAIN, "r1", DkimResult.PASS), Signature(DOMAIN, "e1", DkimResult.PASS))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """A signer with an RSA key and an Ed25519 key."""
    return Signer([key(tmp_path, "r1", rsa_key(2048, 0)[0]), key(tmp_path, "e1", ed25519_key()[0])])


def key(folder: Path, selector: str, material: bytes) -> Dkim:
    """Return the settings of a key that stands in a file."""
    (folder / f"{selector}.key").write_bytes(material)
    return Dkim(domain=DOMAIN, selector=selector, key=f"file:{folder / f'{selector}.key'}")


def shown(message: bytes) -> tuple[Signature, ...]:
    """Return what the signatures of a message show to a receiver."""
    header = read_header(message)
    pending = read_signatures(header, time.time())
    keys = {name: ZONE.lookup(name, Kind.TXT) for name in key_names(pending)}
    return verify(header, Bodies(message[header.body_at :]), pending, keys)


def kept(desk: Desk) -> list[bytes]:
    """Return the mails in the Maildir as they would go over a wire, without their envelopes."""
    files = sorted((desk.folder / "mail" / "new").iterdir())
    return [file.read_bytes().split(b"\n", 2)[2].replace(b"\n", b"\r\n") for file in files]


def test_every_mail_is_signed_by_every_key(desk: Desk, signer: Signer) -> None:
    """Lost otherwise: receipts fall to a receiver's DMARC policy, reports (without a return path) first of all."""
    desk.sent(confirmed(), message_id="<1@a>")
    desk.sent(confirmed(), message_id="<2@a>", subject="הצעה " * 40)
    desk.sent(confirmed(), message_id="<3@a>", **asked(wishes(EVERYTHING)))
    desk.received(confirmed())
    desk.mail_all(Maildir(desk.folder / "mail", signer))
    mails = kept(desk)
    assert len(mails) == 4
    assert [shown(mail) for mail in mails] == [PASSES] * 4


async def test_what_a_server_takes_is_what_was_signed(desk: Desk, signer: Signer) -> None:
    """Lost otherwise: the bytes that are signed are not those that go over the wire."""
    desk.sent(confirmed(), **asked(wishes(EVERYTHING)))
    handler = Handler()
    async with serving(handler) as port:
        server = Smarthost(Server(host="127.0.0.1", port=port, tls="none"), "relay.example.com", sign=signer)
        lane = desk.lane(server)
        outbox = desk.outbox(lane)
        await outbox.route()
        assert await outbox.step(lane)
    content = handler.kept[0].content
    assert isinstance(content, bytes)
    assert shown(content) == PASSES


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: ", b"Subject: Not: "),
        (b"\r\nFrom: ", b"\r\nX-Old-From: "),
        (b"\r\nTo: ", b"\r\nReply-To: thief@example.org\r\nTo: "),
        (b"was sent", b"was lost"),
        (b"\r\nAuto-Submitted: auto-replied", b""),
    ],
)
def test_a_change_on_the_way_shows(desk: Desk, signer: Signer, old: bytes, new: bytes) -> None:
    """Lost otherwise: a signature that covers too little lends our name to whatever is put around it."""
    desk.sent(confirmed())
    desk.mail_all(Maildir(desk.folder / "mail", signer))
    (mail,) = kept(desk)
    changed = mail.replace(old, new, 1)
    assert changed != mail
    assert all(one.result is not DkimResult.PASS for one in shown(changed))


def test_a_signature_leaves_the_message_as_it_is(signer: Signer) -> None:
    """Lost otherwise: signing changes the message that a receiver knows a repeat by."""
    plain = b"From: a@fax.example.com\r\nMessage-ID: <1@fax.example.com>\r\n\r\nx\r\n"
    assert signer(plain).startswith(b"DKIM-Signature: ")
    assert signer(plain).endswith(b"\r\n" + plain)


@pytest.mark.parametrize(
    ("material", "told"),
    [
        (b"", "cannot be read"),
        (b"hunter2 hunter2", "cannot be read"),
        (b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (rsa_key(1024)[0], "has 1024 bits"),
    ],
)
def test_a_key_that_cannot_sign_is_told_at_the_start(tmp_path: Path, material: bytes, told: str) -> None:
    """Lost otherwise: every mail waits in the outbox for a key that was never there, or the log shows its text."""
    with pytest.raises(SettingsError, match=told) as error:
        Signer([key(tmp_path, "s1", material)])
    assert f"s1._domainkey.{DOMAIN}" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Lost otherwise: a wrong path is found out by a receiver."""
    with pytest.raises(SettingsError, match="cannot be read"):
        Signer([Dkim(domain=DOMAIN, selector="s1", key=f"file:{tmp_path / 'none'}")])


@pytest.mark.parametrize(
    ("domain", "good"),
    [(DOMAIN, True), ("example.com", True), ("Example.COM", True), ("ple.com", False), ("other.example", False)],
)
def test_the_signing_domain_is_that_of_the_sender(domain: str, good: bool) -> None:
    """Lost otherwise: a signature that no receiver's DMARC takes for ours."""
    values: dict[str, Any] = {"dkim": [{"domain": domain, "selector": "s1", "key": "env:KEY"}]}
    if good:
        assert OutgoingMail.model_validate(values).dkim[0].domain == domain
        return
    with pytest.raises(ValueError, match="proves nothing"):
        OutgoingMail.model_validate(values)
