"""The one way in: mail, the command line and devices (the API too) make a :class:`Submission`.

A submission is what one sender asked for at once: files, and one recipient or many. :mod:`relay.ledger` writes its
rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How long a repeat is recognised, in seconds.
KEY_LIFE: Final = 7 * 24 * 3600.0
#: The settings that make a rendering, with their defaults, in the order of ``document.rendering``; behind them may
#: stand the number that its cover page names.
RENDERING: Final = {"resolution": "fine", "mode": "auto", "paper": "a4", "max_pages": 300}
#: The resolution that every fax machine takes (T.30 table 2).
COARSEST: Final = "standard"


@dataclass(frozen=True, slots=True)
class File:
    """One attachment: its name as the sender wrote it (for people, never a path) and the blob of its decoded bytes."""

    name: str
    media_type: str
    size: int
    blob: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where one fax goes: E.164 ``number`` as dialled, and the recipient as ``written``.

    ``settings`` are the effective ones for this destination, as JSON values (see :mod:`relay.policy`). ``refusal``: the
    sentence for the sender where this recipient may not be dialled.
    """

    number: str
    written: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What a sender asked for. ``number``: the sending number, E.164; ``sender``: the proven address, if any.

    ``answerable`` is false for automatic mail, which is never answered (RFC 3834 section 2). ``thread``: the
    References that an answer carries. ``once``: names the deed where there is no Message-ID to know a repeat by.
    ``confirm_until``: ``sender`` is only claimed, and has so long to confirm it, seconds since 1970; ``client`` is then
    the address that brought the mail, as text.
    """

    source: str
    sender: str | None
    proof: str
    number: str
    subject: str
    files: tuple[File, ...]
    recipients: tuple[Recipient, ...]
    message_id: str | None = None
    thread: str = ""
    answerable: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    resend_of: int | None = None
    once: str | None = None
    confirm_until: float | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission: each recipient's fax, in order.

    ``id``: the submission's, ``None`` if every recipient was a repeat; ``first``: that of the first recipient's fax.
    """

    id: int | None
    first: int
    faxes: tuple[int, ...]
    repeats: int


def submission_key_of(asked: Submission, recipient: Recipient) -> str | None:
    """Return the key by which a repeat is known; ``None`` where nothing tells it: no Message-ID, no name."""
    if asked.once:
        return hashlib.sha256(f"once {asked.once} {recipient.written}".encode()).hexdigest()
    if not asked.message_id:
        return None
    digest = hashlib.sha256()
    for part in (asked.sender or "", asked.message_id, *(file.blob for file in asked.files), recipient.number):
        digest.update(f"{len(part)}:{part}".encode())
    if asked.confirm_until is not None:  # what nobody has confirmed must not stand for a mail with a proof
        digest.update(b"unconfirmed")
    return digest.hexdigest()


def rendering_of(settings: Mapping[str, Any], peer: str) -> str:
    """Return what ``document.rendering`` is for a fax to ``peer``.

    A cover page names whom it is for, so that each ``peer`` has a document of its own where there is one.
    """
    rendering = ":".join(str(settings.get(key, default)) for key, default in RENDERING.items())
    return f"{rendering}:{peer}" if settings.get("cover") else rendering
