"""What a service does: all of it on one machine, or a part of it on each of several nodes."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """One part of the service."""

    SMTP = "smtp"
    IMAP = "imap"
    HTTP = "http"
    PREPARE = "prepare"
    LINES = "lines"
    OUTBOX = "outbox"


EVERYTHING = frozenset(Role)
