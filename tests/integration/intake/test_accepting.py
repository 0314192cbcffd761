"""The accepted way: what a mail becomes, and what 250 promises."""

from __future__ import annotations

from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Relay

PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n" + bytes(range(256)) * 8 + b"\n%%EOF\n"


def mail(*files: tuple[str, bytes, str], **headers: str) -> EmailMessage:
    """Return a mail with a text, attachments (name, bytes, media type) and headers."""
    message = EmailMessage()
    message["From"] = headers.pop("sender", "Alice <alice@example.com>")
    message["To"] = "+12025550123@fax.example.com"
    message["Subject"] = headers.pop("subject", "The contract")
    message["Message-ID"] = headers.pop("message_id", "<one@example.com>")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Please see the attachment.\n")
    for name, data, media_type in files or (("contract.pdf", PDF, "application/pdf"),):
        maintype, subtype = media_type.split("/")
        message.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
    return message


def wire(message: EmailMessage) -> bytes:
    """Return a mail as it goes over the wire."""
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


async def test_a_mail_becomes_a_fax(relay: Relay) -> None:
    """Lost otherwise: the main job."""
    reply = await relay.send(wire(mail()), "+12025550123@fax.example.com")
    (submission,) = relay.submissions
    assert reply == f"250 2.0.0 Accepted as {submission.id}; 1 fax"
    assert relay.files == [("contract.pdf", PDF)]
    assert relay.leftovers == []
