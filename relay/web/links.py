"""Signed links: whoever holds one may do one thing to one fax until it ends, without logging in.

``/link/ACTION/FAX/UNTIL/SIGNATURE``: the signature is HMAC-SHA256 (RFC 2104) over the three with the data directory's
secret, so that nothing of a link can be changed or guessed, and nothing needs to be stored until one is used. Links
that act work once: their use is a row, written in the transaction of the act (:mod:`relay.web.actions`). Links that
decide have ``FAX-POSITION`` in place of the fax: whose answer it is, by the place among those who were asked. The link
that opens a received fax has the delivery of its mail there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

_DOMAIN: Final = b"faxrelay link 1"
_DIGITS = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_FAX = re.compile(r"(?P<fax>[1-9][0-9]{0,18})(?:-(?P<position>0|[1-9][0-9]{0,3}))?", re.ASCII)


class Action(Enum):
    """What a link does; the values stand in its address."""

    CANCEL = "cancel"
    RESEND = "resend"
    FAX = "fax"
    RECEIPT = "receipt"
    APPROVE = "approve"
    DENY = "deny"
    CONFIRM = "confirm"
    OPEN = "open"

    @property
    def acts(self) -> bool:
        """Whether it changes something, and so works once; those that neither act nor decide give a file."""
        return self in {Action.CANCEL, Action.RESEND}

    @property
    def decides(self) -> bool:
        """Whether it answers what a fax waits for; the fax's hold is the record of its use."""
        return self in {Action.APPROVE, Action.DENY, Action.CONFIRM}


class BadLink(Exception):
    """Not a link of ours: forged, or mangled on its way."""


class EndedLink(Exception):
    """A link of ours whose time is over."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link whose signature holds; ``until`` in seconds since 1970. ``position``: whose it is, of one that decides."""

    action: Action
    fax_id: int
    until: int
    position: int | None = None

    @property
    def fax(self) -> str:
        """What stands for the fax in its address."""
        return str(self.fax_id) if self.position is None else f"{self.fax_id}-{self.position}"

    @property
    def name(self) -> str:
        """What its use is recorded under."""
        return f"{self.action.value}:{self.fax}:{self.until}"


class Links:
    """Makes and reads links. ``key``: the secret; ``life``: seconds that a link works."""

    def __init__(self, key: bytes, *, life: float) -> None:
        self._key = key
        self._life = life

    def url(self, base: str, action: Action, fax_id: int, issued_at: float) -> tuple[str, float]:
        """Return a link under ``base`` and when it ends. The same arguments give the same link.

        >>> url, until = Links(b"secret", life=60).url("http://fax.example.com/", Action.RESEND, 7, 1000.0)
        >>> url.startswith("http://fax.example.com/link/resend/7/1060/"), until
        (True, 1060.0)
        """
        link = Link(action, fax_id, int(issued_at + self._life))
        return self._url(base, link), float(link.until)

    def answer(self, base: str, action: Action, fax_id: int, position: int, until: float) -> str:
        """Return a link under ``base`` by which one of those who were asked decides; it works ``until`` then."""
        return self._url(base, Link(action, fax_id, int(until), position))

    def read(self, action: str, fax_id: str, until: str, signature: str, *, now: float) -> Link:
        """Return the link that an address holds; raises :class:`BadLink` and :class:`EndedLink`."""
        matched = _FAX.fullmatch(fax_id)
        if not (matched and _DIGITS.fullmatch(until)):
            raise BadLink
        position = None if matched["position"] is None else int(matched["position"])
        try:
            link = Link(Action(action), int(matched["fax"]), int(until), position)
        except ValueError:
            raise BadLink from None
        if link.action.decides is (position is None):
            raise BadLink
        if not hmac.compare_digest(self._sign(link).encode(), signature.encode("utf-8", "replace")):
            raise BadLink
        if now >= link.until:
            raise EndedLink
        return link

    def _url(self, base: str, link: Link) -> str:
        return f"{base.rstrip('/')}/link/{link.action.value}/{link.fax}/{link.until}/{self._sign(link)}"

    def _sign(self, link: Link) -> str:
        digest = hmac.digest(self._key, b"%s|%s" % (_DOMAIN, link.name.encode()), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
