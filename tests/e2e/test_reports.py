"""What a sender's server and mail program asked for, from the dialogue to the signed report in the Maildir."""

from __future__ import annotations

import smtplib
import time
from email.message import EmailMessage
from pathlib import Path

import pytest

from relay.auth.dkim import key_names, read_signatures, verify
from relay.auth.header import read_header
from relay.auth.resolver import Kind
from relay.auth.signature import Bodies, DkimResult
from relay.auth.testing import ZoneResolver

from ..unit.auth.signing import ed25519_key, ed25519_record
from .service import DOCUMENTS, OFFICE_B, Relay

BUSY = "+97237777777"


def asked() -> bytes:
    """Return a mail that wants to hear that it was processed."""
    message = EmailMessage()
    message["From"] = "User <user@example.com>"
    message["To"] = f"{OFFICE_B}@fax.example.com"
    message["Subject"] = "Offer 4711"
    message["Message-ID"] = "<report@example.com>"
    message["Disposition-Notification-To"] = "user@example.com"
    message.set_content("Please find the document attached.")
    document = (DOCUMENTS / "one-page.pdf").read_bytes()
    message.add_attachment(document, maintype="application", subtype="pdf", filename="a.pdf")
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


@pytest.mark.parametrize("processes", [0, 1])
def test_reports_are_true_signed_and_in_their_thread(tmp_path: Path, processes: int) -> None:
    """Lost otherwise: a server is told less, or more, than what the far machine confirmed."""
    busy = f'      "{BUSY}": busy\n'
    relay = Relay(tmp_path, behaviours=busy, retries="retries:\n  retries: 0", processes=processes)
    (tmp_path / "dkim.key").write_bytes(ed25519_key()[0])
    written = relay.config.read_text()
    key = f"{{domain: fax.example.com, selector: s1, key: 'file:{tmp_path / 'dkim.key'}'}}"
    relay.config.write_text(f"{written}mail:\n  dkim: [{key}]\n")
    relay.start()
    try:
        with smtplib.SMTP(*relay.smtp, timeout=30) as client:
            client.ehlo("client.example.com")
            options = ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{OFFICE_B.replace('+', '+2B')}@fax.example.com"]
            client.mail("user@example.com", ["ENVID=QQ314", "RET=HDRS"])
            assert client.rcpt(f"{OFFICE_B}@fax.example.com", options)[0] == 250
            assert client.rcpt(f"{BUSY}@fax.example.com", options)[0] == 250
            assert client.data(asked())[0] == 250
        mails = relay.until_mailed("user@example.com", 3)
    finally:
        relay.stop()
    told = {}
    for mail in mails:
        parts = list(mail.iter_parts())
        group = parts[1].get_payload()[-1]  # type: ignore[index]  # a report's groups of fields
        told[group["Action"] or group["Disposition"]] = group["Status"]  # type: ignore[index]
        assert mail["In-Reply-To"] == "<report@example.com>"
        assert mail["Return-Path"] == "<>"
        assert "Message-ID: <report@example.com>" in parts[2].get_content()
    assert told == {
        "delivered": "2.0.0",
        "failed": "4.4.1",
        "automatic-action/MDN-sent-automatically; processed": None,
    }
    zone = ZoneResolver({"s1._domainkey.fax.example.com": {Kind.TXT: [ed25519_record()]}})
    for path in (relay.data / "mail" / "new").iterdir():
        content = path.read_bytes().split(b"\n", 2)[2].replace(b"\n", b"\r\n")
        header = read_header(content)
        pending = read_signatures(header, time.time())
        keys = {name: zone.lookup(name, Kind.TXT) for name in key_names(pending)}
        (signature,) = verify(header, Bodies(content[header.body_at :]), pending, keys)
        assert signature.result is DkimResult.PASS, signature.reason
