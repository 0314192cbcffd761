"""Mails as their reader sees them."""

from __future__ import annotations

import re
from email.message import EmailMessage

from .desk import Desk


def the_mail(desk: Desk) -> EmailMessage:
    """Mail everything and return the only mail."""
    desk.mail_all()
    (mail,) = desk.mails()
    return mail


def text(mail: EmailMessage, kind: str = "plain") -> str:
    """Return a mail's body."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def words(mail: EmailMessage) -> str:
    """Return a mail's text with what changes from run to run named."""
    told = re.sub(r"submission \d{19}", "submission SUBMISSION", text(mail))
    return re.sub(r"[0-9a-f]{64}", "DIGEST", re.sub(r"\d{19}", "FAX", told))
